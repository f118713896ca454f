// Backups of a database: a repository of plain files, in which no table is stored twice.
//
//   auto backup = bandb::Backup::Open("/mnt/backups/app");
//   auto made = (*backup)->Create(*db);
//   ...
//   (*backup)->Restore({.to_time = yesterday}, "/var/lib/app/data");
//
// A table of a database never changes and has an id of its own, so a backup copies only those that
// the repository does not have yet, and reads nothing else of what is there. With
// BackupOptions::logs it also takes the logs since the backup before, and every state between the
// two can be restored as well.
#ifndef BANDB_BACKUP_H_
#define BANDB_BACKUP_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bandb/cluster.h"
#include "bandb/db.h"

namespace bandb {

// One backup of a repository.
struct BackupInfo {
  uint64_t number = 0;         // from 1, never given twice while the repository has any
  absl::Time time{};           // when its making began
  uint64_t last_sequence = 0;  // of the operations that it holds
  uint64_t tables = 0;
  uint64_t bytes = 0;      // of all its files
  uint64_t new_bytes = 0;  // of those that no backup before it had, logs included
  // Every state from the one to the other can be restored, commit by commit: after the operation of
  // from_sequence, up to last_sequence. Without logs that is one state.
  uint64_t from_sequence = 0;
  // Of their last commits, or a little later. No commit is later, but for those of a clock that was
  // ahead and then accepted.
  absl::Time from_time{};
  absl::Time to_time{};
  uint64_t logs = 0;  // that lead from the one to the other
  // Logs were asked for, and none lead here from the backup before, and why; usually empty. States
  // between the two cannot be restored.
  std::string hole{};
  // Of Create: the backup is made, and what was to follow did not succeed; usually empty.
  std::string warning{};
  std::string damage{};  // what is wrong with its description, in which case only the number is known; usually empty
};

// What goes into a backup.
struct BackupOptions {
  // The logs since the backup before, too. The database must keep them until then: up to
  // Options::changes_keep_bytes it does so for a cursor of this name, which is made if need be.
  // Empty: `bandb.backup.` and the id of the repository, so that it is no other one's. Where more
  // was written meanwhile, the backup is made and says that there is a hole.
  bool logs = false;
  std::string cursor{};
};

// Which state is restored.
struct RestoreOptions {
  // A backup, or with 0 the newest one, or a state on the way to it.
  uint64_t number = 0;
  // The last state of which the last commit is not later than this. kOutOfRange if the backup may
  // lack commits of by then: of all times from the begin of its making on, but for that of its last
  // commit; of a node, and of a backup of an earlier release, of all after its last commit; and of
  // any time while the begin of its making is more than an hour in the future, since the clock was
  // ahead then. Where a clock was ahead and then accepted (Db::AcceptClock), times go back: what
  // was committed meanwhile is in the states of after that, and is found by its sequence. Of a
  // backup that was made meanwhile nothing shows that later, or if it was by less than an hour:
  // make another one before a time is asked for. All logs from that time on are read.
  std::optional<absl::Time> to_time{};
  // The last state without an operation after this one: never a part of a commit.
  std::optional<uint64_t> to_sequence{};
  // Finds out, and makes nothing.
  bool dry_run = false;
};

// What was restored.
struct RestoreInfo {
  uint64_t number = 0;  // of the backup that it began with
  uint64_t logs = 0;    // of which something was put to it
  uint64_t last_sequence = 0;
  absl::Time time{};  // of the last commit; where the backup has no logs, none is later
};

// The backups of one database, in a directory.
//
// Errors of all calls: kFailedPrecondition another call, of this process or another one, is in the
// way, the repository is of another database, or the directory is no repository and not empty, in
// which nothing is made or removed; kDataLoss a file is not as it was stored, named
// in the message; kNotFound there is no such backup; kResourceExhausted the disk is full; kInternal
// the operating system refused; kPermissionDenied the repository cannot be written to, which Verify
// and Restore need not. Whatever fails, and whenever the power does, backups that are
// complete stay as they are.
// Thread safety: any thread. One Create or Prune at a time is at work on a repository; List, Verify
// and Restore run beside a Create and beside one another, up to 4 of the last two, and keep a Prune
// from beginning.
class Backup {
 public:
  // Of a directory, which the first Create makes.
  // Errors: kInvalidArgument the path is empty.
  static absl::StatusOr<std::unique_ptr<Backup>> Open(const std::filesystem::path& repository);
  virtual ~Backup() = default;
  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;

  // Makes a backup of the present state of the database, with which it begins as
  // Db::CreateCheckpoint does. Every table that is copied is read back, and every checksum in it
  // verified.
  // Durability: the backup survives power loss when it returns OK.
  // Errors: as Db::CreateCheckpoint; kFailedPrecondition a database that is open for reading only,
  // or one that keeps no logs where they are asked for; kCancelled see Cancel.
  virtual absl::StatusOr<BackupInfo> Create(Db& db, const BackupOptions& options = {}) = 0;
  // The same of what this node of a cluster has applied, without logs; any member will do. What is
  // restored is a standalone database: open it as that, or begin a cluster with it
  // (ClusterOptions::bootstrap), which others join. That is another cluster: its nodes refuse those
  // of the old one, and the tokens of its change feed.
  virtual absl::StatusOr<BackupInfo> Create(Cluster& cluster, const BackupOptions& options = {}) = 0;
  // Ends a Create that is under way, soon, and every later one, with kCancelled.
  virtual void Cancel() = 0;
  // Oldest first.
  virtual absl::StatusOr<std::vector<BackupInfo>> List() = 0;
  // Reads every byte of a backup, or with 0 of all of them, and checks it. The message names the
  // first ten files that are not as they were stored.
  virtual absl::Status Verify(uint64_t number) = 0;
  // A file, and its name in the repository: with / between folders, of letters, digits, dots
  // and dashes.
  using HandOver = std::function<absl::Status(const std::filesystem::path& file, std::string_view name)>;
  // Hands over the files of every backup that was not handed over yet, the oldest first, and the
  // description of each last; files that one before it had are not handed over again. Returns how
  // many backups that were. An error ends it: that file is named, its backup counts as missing
  // where the files go, and the next call hands over all of its files again. Where the logs that
  // lead to a backup were pruned before, the description that is handed over tells of the hole.
  // Errors: also those of `hand_over`; kUnknown in place of its kNotFound.
  // Durability: what was handed over is known after power loss, backup by backup.
  virtual absl::StatusOr<uint64_t> HandOverFiles(const HandOver& hand_over) = 0;
  // Removes all but the newest `keep` backups, which is at least 1, and what only they needed: so
  // too the logs that lead to the oldest of those that stay.
  virtual absl::Status Prune(uint64_t keep) = 0;
  // Makes a database in `dir`, which must not exist. Every file is checked while it is copied, and
  // the directory has its name once all of it is durable. The database begins an epoch of its own:
  // tokens of the change feed for what came after the state are refused.
  // Errors: kAlreadyExists `dir` is there; kInvalidArgument it is in the repository; kOutOfRange no
  // backup and logs lead to the state that was asked for.
  virtual absl::StatusOr<RestoreInfo> Restore(const RestoreOptions& options, const std::filesystem::path& dir) = 0;

 protected:
  Backup() = default;
};

}  // namespace bandb

#endif  // BANDB_BACKUP_H_
