#include "storage/engine/read_only_recovery.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "base/status.h"
#include "kv/options.h"
#include "storage/file/file_names.h"
#include "storage/log/log_reader.h"

namespace bandb::storage {

namespace {

// Each time that it is read in vain, a writer has begun, ended, or flushed and removed something.
constexpr int kTriesMax = 20;

constexpr uint64_t kCurrentBytesMax = 4096;

// What it was read from. Whatever cannot be read is told apart by its error.
struct Stamp {
  bool locked = false;
  std::string current;
  // Of the manifest, the edits up to here.
  uint64_t manifest_bytes = 0;
  absl::Status error;

  friend bool operator==(const Stamp&, const Stamp&) = default;
};

// Errors: whether it is locked cannot be found out.
absl::StatusOr<Stamp> TakeStamp(base::FileSystem* files, const std::string& dir) {
  Stamp stamp;
  const absl::StatusOr<bool> locked = files->IsLocked(LockPath(dir));
  // Nobody has open what is not there.
  if (!locked.ok() && !absl::IsNotFound(locked.status())) return locked.status();
  stamp.locked = locked.value_or(false);
  const std::string engine_dir = EngineDir(dir);
  absl::StatusOr<std::string> current = base::ReadFile(files, CurrentPath(engine_dir), kCurrentBytesMax);
  stamp.error = current.status();
  if (!current.ok()) return stamp;
  stamp.current = *std::move(current);
  const std::optional<std::string> name = DecodeCurrent(stamp.current);
  if (!name) return stamp;
  const absl::StatusOr<LogContent> manifest = CheckLog(files, base::JoinPath(engine_dir, *name), FileType::kManifest);
  stamp.error = manifest.status();
  if (manifest.ok()) stamp.manifest_bytes = manifest->valid_bytes;
  return stamp;
}

// Opens as many tables as may be open. False if the file of one cannot be had.
bool OpenTables(const Version& version, uint64_t open_files_max) {
  bool all_there = true;
  uint64_t opened = 0;
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : version.level(level)) {
      if (++opened > open_files_max) return all_there;
      // Damage is reported to those that read it.
      all_there &= table->Reader().status().code() != absl::StatusCode::kInternal;
    }
  }
  return all_there;
}

}  // namespace

absl::StatusOr<ReadOnlyDatabase> RecoverToRead(const base::Env& env, const std::string& dir, const Options& options) {
  const uint64_t open_files_max = kv::OpenFilesMax(options, env.files->OpenFilesMax());
  BANDB_ASSIGN_OR_RETURN(Stamp before, TakeStamp(env.files, dir));
  for (int tries = 0; tries < kTriesMax; ++tries) {
    const RecoveryMode mode = before.locked ? RecoveryMode::kReadTables : RecoveryMode::kRead;
    absl::StatusOr<RecoveredDatabase> recovered = RecoverDatabase(env, dir, options, nullptr, mode);
    const bool whole = recovered.ok() && OpenTables(*recovered->state.version, open_files_max);
    BANDB_ASSIGN_OR_RETURN(Stamp after, TakeStamp(env.files, dir));
    // A writer that goes on meanwhile is of no consequence, once all is open that there was. A
    // table that was not there may be one that it has just merged away.
    const bool nothing_gone = whole && recovered->damaged_tables.empty();
    if (after == before || (nothing_gone && before.locked && after.locked)) {
      BANDB_RETURN_IF_ERROR(recovered.status());
      return ReadOnlyDatabase{.recovered = *std::move(recovered), .as_of_last_flush = before.locked};
    }
    before = std::move(after);
  }
  return base::Error(absl::StatusCode::kUnavailable, "{}: it kept changing while it was read, {} times", dir,
                     kTriesMax);
}

}  // namespace bandb::storage
