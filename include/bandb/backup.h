// Backups of a database: a repository of plain files, in which no table is stored twice.
//
//   auto backup = bandb::Backup::Open("/mnt/backups/app");
//   auto made = (*backup)->Create(*db);
//   ...
//   (*backup)->Restore(made->number, "/var/lib/app/data");
//
// A table of a database never changes and has an id of its own, so a backup copies only those that
// the repository does not have yet, and reads nothing else of what is there.
#ifndef BANDB_BACKUP_H_
#define BANDB_BACKUP_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bandb/db.h"

namespace bandb {

// One backup of a repository.
struct BackupInfo {
  uint64_t number = 0;         // from 1, never given twice while the repository has any
  absl::Time time{};           // when it was made
  uint64_t last_sequence = 0;  // of the operations that it holds
  uint64_t tables = 0;
  uint64_t bytes = 0;      // of all its files
  uint64_t new_bytes = 0;  // of those that no backup before it had
  std::string damage{};    // what is wrong with its description, in which case only the number is known; usually empty
};

// The backups of one database, in a directory.
//
// Errors of all calls: kFailedPrecondition another call, of this process or another one, is at work
// on the repository, or it is of another database; kDataLoss a file is not as it was stored, named
// in the message; kNotFound there is no such backup; kResourceExhausted the disk is full; kInternal
// the operating system refused; kPermissionDenied the repository cannot be written to, which Verify
// and Restore need not. Whatever fails, and whenever the power does, backups that are
// complete stay as they are.
// Thread safety: any thread; one call at a time is at work.
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
  // Errors: as Db::CreateCheckpoint; kFailedPrecondition a database that is open for reading only;
  // kCancelled see Cancel.
  virtual absl::StatusOr<BackupInfo> Create(Db& db) = 0;
  // Ends a Create that is under way, soon, and every later one, with kCancelled.
  virtual void Cancel() = 0;
  // Oldest first.
  virtual absl::StatusOr<std::vector<BackupInfo>> List() = 0;
  // Reads every byte of a backup, or with 0 of all of them, and checks it. The message names the
  // first ten files that are not as they were stored.
  virtual absl::Status Verify(uint64_t number) = 0;
  // Removes all but the newest `keep` backups, which is at least 1, and what only they had.
  virtual absl::Status Prune(uint64_t keep) = 0;
  // Makes a database of a backup, or with 0 of the newest one, in `dir`, which must not exist.
  // Every file is checked while it is copied, and the directory has its name once all of it is
  // durable. The database begins an epoch of its own: tokens of the change feed for what came after
  // the backup are refused.
  // Errors: kAlreadyExists `dir` is there; kInvalidArgument it is in the repository.
  virtual absl::Status Restore(uint64_t number, const std::filesystem::path& dir) = 0;

 protected:
  Backup() = default;
};

}  // namespace bandb

#endif  // BANDB_BACKUP_H_
