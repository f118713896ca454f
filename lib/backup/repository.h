// What is done with the files of a repository (layout.h).
//
// The idea: a table never changes, nor does a log that has ended, and each is known by the random
// id in its header, so one that is there needs no reading. The description comes last when a backup
// is made, and goes first when it is removed: what it names is whole and durable as long as it is
// there.
//
// Reading and making a backup may go on at the same time: nobody changes what a description
// names. Pruning is done alone.
#ifndef BANDB_BACKUP_REPOSITORY_H_
#define BANDB_BACKUP_REPOSITORY_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backup/layout.h"
#include "backup/log_hold.h"
#include "backup/making.h"
#include "backup/repository_mark.h"
#include "backup/restoring.h"
#include "backup/survey.h"
#include "bandb/backup.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "base/random.h"

namespace bandb::backup {

// Calls of bandb::Backup, in a given file system. Thread safety: any thread. Lifetime: borrows the
// file system.
class Repository {
 public:
  struct Parts {
    base::FileSystem* files = nullptr;
    // The wall clock.
    std::function<int64_t()> now_ms{};
    uint64_t seed = 0;
    // In the same file system.
    OpenRestored open{};
    // A lock on a directory, for a caller that may only read it, against FileSystem::Lock of a file
    // in it; may be null.
    std::function<absl::StatusOr<std::unique_ptr<base::FileLock>>(const std::string& path)> lock_directory{};
  };
  Repository(Parts parts, std::string path);

  absl::StatusOr<BackupInfo> Create(Db* db, const BackupOptions& options);
  absl::StatusOr<BackupInfo> Create(Cluster* cluster, const BackupOptions& options);
  absl::StatusOr<std::vector<BackupInfo>> List();
  absl::Status Verify(uint64_t number);
  absl::Status Prune(uint64_t keep);
  absl::StatusOr<RestoreInfo> Restore(const RestoreOptions& options, const std::string& dir);
  absl::StatusOr<uint64_t> HandOver(const Backup::HandOver& hand_over);
  // Any thread.
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }

 private:
  using Lock = std::unique_ptr<base::FileLock>;

  // Durability: they survive power loss when it returns OK.
  absl::Status MakeFolders();
  // None: this is no repository, or one of an earlier release. Errors: as DecodeMark.
  absl::StatusOr<std::optional<RepositoryMark>> ReadMark() const;
  // Errors: kNotFound nothing was ever made here.
  absl::Status CheckThere();
  // Whether it is a repository, or can become one, which takes nothing from anybody. Errors:
  // kFailedPrecondition it is another directory, or there is no backup among what is here;
  // kDataLoss none can be read, or not the mark.
  absl::StatusOr<std::optional<RepositoryMark>> Recognize(const Survey& survey) const;
  // The same, before a lock is taken, which makes a file.
  absl::Status CheckOurs();
  // The mark, which is made if need be, and says whether there is a backup.
  absl::StatusOr<RepositoryMark> TakeMark(const Survey& survey) ABSL_LOCKS_EXCLUDED(mutex_);
  // Of a call that makes or prunes. Errors: kFailedPrecondition another one does.
  absl::StatusOr<Lock> LockAlone();
  // Against a prune; null where that cannot be had by a caller that may not write here.
  absl::StatusOr<Lock> LockToRead();
  // What became of reading under it.
  absl::Status AsRead(const absl::Status& status, const Lock& lock) const;
  // Of a call that prunes, against all readers.
  absl::StatusOr<std::vector<Lock>> LockReadersOut();
  absl::StatusOr<Lock> LockReader(int place);
  // kFailedPrecondition.
  absl::Status Busy(std::string_view why) const;
  uint64_t NowMs() const { return static_cast<uint64_t>(std::max<int64_t>(now_ms_(), 0)); }
  base::Random DrawRandom() ABSL_LOCKS_EXCLUDED(mutex_);
  // Errors: kCancelled.
  absl::Status CheckCancelled() const;
  // As Db::CreateCheckpoint, but that tables and logs go to the sink.
  using Checkpoint = std::function<absl::Status(const std::string& dir, internal::CheckpointSink* sink)>;
  // `db`: where logs are asked for.
  absl::StatusOr<BackupInfo> CreateOf(const Checkpoint& checkpoint, Db* db, const BackupOptions& options);
  absl::StatusOr<BackupInfo> Make(const Checkpoint& checkpoint, const BackupOptions& options, Survey* survey);
  // Removes what calls that did not end have left; tables and logs, too, if it is known which are
  // needed. `first`: the mark says that there was no backup yet.
  absl::Status RemoveLeftovers(const Survey& survey, bool first);
  // `needed`: null if that is not known.
  absl::Status RemoveUnneeded(const std::string& folder, std::string_view end, const Survey::StoredById* needed);
  absl::Status RemoveTree(const std::string& path);
  // Restore, under the lock of one who reads.
  absl::StatusOr<RestoreInfo> RestoreLocked(const RestoreOptions& options, const std::string& dir);
  // What a file of the repository is called in it.
  std::string_view NameIn(std::string_view path) const;
  // Of a backup that was there just now. Errors: kDataLoss.
  absl::StatusOr<Description> Described(uint64_t number) const;
  absl::StatusOr<uint64_t> HandOverAll(const Backup::HandOver& hand_over);
  // Hands over what a backup has and those that were handed over have not.
  absl::Status HandOverOne(uint64_t number, const Description& description, const Survey& handed,
                           const Backup::HandOver& hand_over);

  base::FileSystem* const files_;
  const Layout layout_;
  const std::function<int64_t()> now_ms_;
  const OpenRestored open_;
  const std::function<absl::StatusOr<Lock>(const std::string& path)> lock_directory_;
  base::Mutex mutex_;
  base::Random random_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> cancelled_{false};
};

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_REPOSITORY_H_
