// A backup that is being made: takes tables and logs of a checkpoint into the repository, and keeps
// the account of what the backup consists of.
#ifndef BANDB_BACKUP_MAKING_H_
#define BANDB_BACKUP_MAKING_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backup/description.h"
#include "backup/layout.h"
#include "backup/stored_file.h"
#include "backup/survey.h"
#include "bandb/backup.h"
#include "base/file_system.h"
#include "kv/checkpoint_sink.h"
#include "storage/file/file_header.h"

namespace bandb::backup {

// Lifetime: borrows all that it is given.
class Making final : public internal::CheckpointSink {
 public:
  // `begun_ms`: read from the clock before the checkpoint begins. `check_cancelled`: kCancelled
  // ends it.
  Making(base::FileSystem* files, const Layout& layout, const Survey& earlier, const BackupOptions& options,
         uint64_t begun_ms, std::function<absl::Status()> check_cancelled);

  absl::Status Begin(base::FileSystem* files, const internal::CheckpointState& state, const GoOn& go_on) override;
  absl::Status TakeTable(base::FileSystem* files, const std::string& path, uint64_t number, const GoOn& go_on) override;
  // What else is in the checkpoint, byte by byte: of its own files the lengths are not durable.
  absl::Status TakeFiles(const std::string& checkpoint, const std::string& folder);

  Description* description() { return &description_; }
  // Why no logs lead here from the backup before; empty: some do, or none were asked for.
  const std::string& hole() const { return hole_; }

 private:
  // Says up to which time it has all commits.
  void TakeTimes(const internal::CheckpointState& state);
  // The backup before, from which logs may lead to this state; 0: there is none. Errors: none, but
  // a hole.
  uint64_t FindBefore(const internal::CheckpointState& state);
  absl::Status TakeLogs(base::FileSystem* files, const internal::CheckpointState& state, const GoOn& go_on);
  absl::Status TakeLog(base::FileSystem* files, const internal::CheckpointLog& log, const GoOn& go_on);
  // That there is none, where there are backups.
  void NoteNoBefore(const internal::CheckpointState& state);
  void NoteHole(uint64_t first, uint64_t last, std::string_view why);
  // Whether the repository has the file, in which case `*stored` says how.
  absl::StatusOr<bool> IsThere(const Survey::StoredById& known, const storage::Uuid& id, const std::string& path,
                               uint64_t bytes, StoredBytes* stored) const;
  GoOn WithCancel(const GoOn& go_on) const;
  // Copies through a temporary file, which `check` accepts or not.
  absl::StatusOr<StoredBytes> Copy(base::FileSystem* files, const std::string& from, uint64_t bytes_max,
                                   const std::string& target, const GoOn& go_on,
                                   const std::function<absl::Status(const std::string& path)>& check);

  base::FileSystem* const files_;
  const Layout& layout_;
  const Survey& earlier_;
  const BackupOptions& options_;
  const std::function<absl::Status()> check_cancelled_;
  Description description_;
  std::string hole_;
};

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_MAKING_H_
