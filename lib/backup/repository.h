// The files of a repository, and what is done with them.
//
//   REPO/LOCK                    held by the call that is at work
//   REPO/tables/ID.tbl           a table, by its id in hexadecimal digits
//   REPO/backups/000007.backup   what backup 7 consists of (description.h)
//   REPO/backups/000007/         its files but the tables: those of a checkpoint
//   NAME.tmp, NAME.tmp-...       what a call that did not end has left; removed by the next
//
// The idea: a table never changes and is known by the random id in its header, so one that is there
// needs no reading. The description comes last when a backup is made, and goes first when it is
// removed: what it names is whole and durable as long as it is there.
#ifndef BANDB_BACKUP_REPOSITORY_H_
#define BANDB_BACKUP_REPOSITORY_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backup/description.h"
#include "bandb/backup.h"
#include "base/file_system.h"
#include "base/random.h"

namespace bandb::backup {

// Calls of bandb::Backup, in a given file system. Thread safety: one call at a time is at work, any
// thread's. Lifetime: borrows the file system.
class Repository {
 public:
  // `now_ms`: the wall clock.
  Repository(base::FileSystem* files, std::string path, std::function<int64_t()> now_ms, uint64_t seed);

  absl::StatusOr<BackupInfo> Create(Db* db);
  absl::StatusOr<std::vector<BackupInfo>> List();
  absl::Status Verify(uint64_t number);
  absl::Status Prune(uint64_t keep);
  absl::Status Restore(uint64_t number, const std::string& dir);
  // Any thread.
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }

 private:
  class Making;
  // By number; one that is damaged is its error.
  using Descriptions = std::map<uint64_t, absl::StatusOr<Description>>;

  std::string PathOf(std::string_view name) const { return base::JoinPath(path_, name); }
  std::string TablesDir() const { return PathOf("tables"); }
  std::string BackupsDir() const { return PathOf("backups"); }
  std::string TablePath(const storage::Uuid& id) const;
  // The description of a backup, and the folder of its files.
  std::string DescriptionPath(uint64_t number) const;
  std::string FolderOf(uint64_t number) const;

  absl::Status MakeFolders();
  // Errors: kNotFound nothing was ever made here.
  absl::Status CheckThere();
  absl::StatusOr<std::unique_ptr<base::FileLock>> Lock();
  // The same for who changes nothing; null where nobody can.
  absl::StatusOr<std::unique_ptr<base::FileLock>> LockToRead();
  // Errors: kDataLoss there are some, and none can be read.
  static absl::Status CheckReadable(const Descriptions& descriptions);
  // Errors: kCancelled.
  absl::Status CheckCancelled() const;
  absl::StatusOr<Descriptions> ReadAll();
  // The one of this number, or with 0 the newest. Errors: kNotFound.
  absl::StatusOr<Description> Find(uint64_t* number);
  // Removes what calls that did not end have left; tables, too, if it is known which are needed.
  absl::Status RemoveLeftovers(const Descriptions& descriptions);
  absl::Status RemoveUnneededTables(const Descriptions& descriptions);
  absl::Status RemoveTree(const std::string& path);
  // All files below a folder, as paths within it.
  absl::Status ListTree(const std::string& root, const std::string& inner, std::vector<std::string>* paths);
  absl::Status RestoreInto(const Description& description, const std::string& folder, const std::string& dir);
  absl::Status CopyChecked(const std::string& from, const std::string& to, const StoredBytes& stored);

  base::FileSystem* const files_;
  const std::string path_;
  const std::function<int64_t()> now_ms_;
  base::Random random_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_REPOSITORY_H_
