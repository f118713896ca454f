// What Open finds on disk, and what it makes of it.
//
// The order of a recovery: the lock and the identity (database_directory.h); the manifest; the logs
// from the manifest's log number on, checked whole before anything is replayed; then, and only
// then, changes: what may not be durable of the recovered logs is written over itself and synced, a
// new log is begun, and a new manifest that says how far each recovered log counts. An error before
// that point leaves the directory as it was. Until then memory holds the logs as well as what was
// made of them, as far as the budget has room for both; logs beyond that are read once more for
// each use. A database that is only read gets no farther, and holds no log: one is read twice, to
// be checked and to be replayed. Logs that are only kept for the change feed are not read: those
// that read them find out what they hold.
#ifndef BANDB_STORAGE_ENGINE_RECOVERY_H_
#define BANDB_STORAGE_ENGINE_RECOVERY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/event_listener.h"
#include "bandb/options.h"
#include "base/env.h"
#include "storage/file/database_files.h"
#include "storage/file/file_header.h"
#include "storage/file/identity.h"
#include "storage/log/kept_log.h"
#include "storage/memtable/memtable.h"
#include "storage/version/live_table.h"
#include "storage/version/manifest.h"

namespace bandb::storage {

// What a database is recovered for.
enum class RecoveryMode : uint8_t {
  kOpen,
  // To be read: nothing is locked or changed, the logs are not in memory beside what is made of
  // them, and that has no more than its share of the memory budget.
  kRead,
  // The same without the logs that hold what is in no table: the state as of the last flush.
  kReadTables,
  // Only to know whether kOpen would do: nothing is locked or changed, and what is in the logs is
  // checked and not kept, whatever memory it would take.
  kCheck,
};

struct RecoveredDatabase {
  // Bound to the directory, which is locked, unless it is only read. Shared with removals that are
  // still to be done when the database ends.
  std::shared_ptr<DatabaseFiles> files;
  Uuid database_id;
  // There was none: FinishCreation is due once the engine's files are durable.
  bool created = false;
  std::shared_ptr<TableStore> tables;
  ManifestState state;
  // Oldest first; what they hold is in logs that the next manifest still names.
  std::vector<std::shared_ptr<Memtable>> memtables;
  Sequence last_sequence = 0;
  // Up to here all is known to be durable as it was found.
  Sequence synced_sequence = 0;
  uint64_t last_commit_time_ms = 0;
  uint64_t records = 0;
  uint64_t dropped_bytes = 0;
  // A log whose end was found by reading it, not told by the manifest: its bytes, which may not be
  // durable yet.
  struct FoundLog {
    uint64_t number = 0;
    // Empty where there was no room to hold them.
    std::string bytes;
    uint64_t valid_bytes = 0;
    // Of these, from the beginning on, a record tells that they are.
    uint64_t synced_bytes = 0;
  };
  std::vector<FoundLog> found_logs;
  // Every log that counts: those that are kept for the change feed, and those with what is in no
  // table, which hold what comes right after.
  std::vector<KeptLog> kept_logs;
  std::vector<KeptLog> needed_logs;
  // The manifest that was read, and how much of it counts.
  std::string manifest_name;
  uint64_t manifest_bytes = 0;
  // Some of what was replayed is the system's.
  bool has_system_records = false;
  // Files of ours that nothing refers to; removed once the database is open.
  std::vector<std::string> orphans;
  // Tables whose files are gone or have another length: to be set aside. Then orphans are none of
  // them tables.
  std::vector<TableDamage> damaged_tables;
};

// `node`: a replica's, which has no logs; null for a standalone database. Errors: as Db::Open and
// Db::OpenReadOnly, and for a replica kFailedPrecondition logs of a standalone database that hold
// what is in no table.
absl::StatusOr<RecoveredDatabase> RecoverDatabase(const base::Env& env, const std::string& dir, const Options& options,
                                                  const Identity* node = nullptr,
                                                  RecoveryMode mode = RecoveryMode::kOpen);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_RECOVERY_H_
