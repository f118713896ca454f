// What a database is found to be by those who only read it, and keep nobody from writing it
// meanwhile.
//
// Where nobody holds the lock, the logs are replayed, as a recovery does that goes on to write.
// Where somebody does, logs are being written, and what counts is the manifest, which grows by
// whole edits: the state after its last flush. Files that a manifest named may be gone by the time
// that they are looked for, so a state counts only if what it was read from is still the same
// afterwards; else it is read again. Tables are opened at once, for an open file stays what it is
// when its name is removed.
#ifndef BANDB_STORAGE_ENGINE_READ_ONLY_RECOVERY_H_
#define BANDB_STORAGE_ENGINE_READ_ONLY_RECOVERY_H_

#include <string>

#include "absl/status/statusor.h"
#include "bandb/options.h"
#include "base/env.h"
#include "storage/engine/recovery.h"

namespace bandb::storage {

struct ReadOnlyDatabase {
  RecoveredDatabase recovered;
  // Somebody has it open, and the logs were left aside.
  bool as_of_last_flush = false;
};

// Errors: as Db::OpenReadOnly.
absl::StatusOr<ReadOnlyDatabase> RecoverToRead(const base::Env& env, const std::string& dir, const Options& options);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_READ_ONLY_RECOVERY_H_
