// The file system as an open database sees it: bound to the directory that it has locked.
//
// A database is the directory that had its name when it was opened. The directory and the folder of
// the engine's files are pinned, so that a name that comes to mean something else (renamed, removed
// and made by another process, a relative path after chdir) is of no consequence; and nothing is
// made, renamed or removed unless the lock is known to be held. A caller that comes too late, after
// the database was closed or in a child that its process forked, changes nothing. Nor does a
// database that was opened for reading, which has no lock.
#ifndef BANDB_STORAGE_FILE_DATABASE_FILES_H_
#define BANDB_STORAGE_FILE_DATABASE_FILES_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/forwarding_file_system.h"
#include "base/mutex.h"

namespace bandb::storage {

// Lifetime: shared by the engine and by what it has posted to be done later, which may come after
// its end.
// Thread safety: any thread, once Lock and PinEngineDir have returned.
class DatabaseFiles final : public base::ForwardingFileSystem {
 public:
  // Pins `dir`, which must exist, and locks it. Errors: kFailedPrecondition somebody holds the
  // lock.
  static absl::StatusOr<std::shared_ptr<DatabaseFiles>> Lock(base::FileSystem* files, const std::string& dir);

  // Pins `dir`, which must exist, and locks nothing: then nothing is ever made, renamed or removed.
  static absl::StatusOr<std::shared_ptr<DatabaseFiles>> ForReading(base::FileSystem* files, const std::string& dir);

  // Once the folder of the engine's files exists.
  absl::Status PinEngineDir();
  // Once the directory is known to be a database of ours: only then is the lock file written to.
  void NameOwner() ABSL_LOCKS_EXCLUDED(mutex_);
  // Gives the lock back. From now on nothing is made, renamed or removed.
  void Unlock() ABSL_LOCKS_EXCLUDED(mutex_);

  // Where no descriptor is free for a file that is to be created, `give_up_one` is asked to close
  // one that can do without, until it answers false. Null: nobody is asked.
  void SetDescriptorSource(std::function<bool()> give_up_one) ABSL_LOCKS_EXCLUDED(mutex_);
  // How often no descriptor was to be had.
  uint64_t descriptor_shortages() const { return descriptor_shortages_.load(std::memory_order_relaxed); }

  // Errors of these, besides those of every file system: kFailedPrecondition the lock is not held.
  // A directory that is gone is kInternal: the name of a file was not what could not be found.
  absl::StatusOr<std::unique_ptr<base::AppendableFile>> Create(const std::string& path, base::AppendMode mode) override;
  absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> Open(const std::string& path) override;
  absl::Status CreateDirs(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status RenameDirectory(const std::string& from, const std::string& to) override;
  absl::Status WriteOver(const std::string& path, uint64_t offset, std::string_view bytes) override;
  absl::Status Link(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveDir(const std::string& path) override;
  absl::Status SyncDir(const std::string& path) override;

 private:
  DatabaseFiles(std::unique_ptr<base::FileSystem> pinned, std::string dir, bool reads_only)
      : base::ForwardingFileSystem(pinned.get()),
        dir_(std::move(dir)),
        reads_only_(reads_only),
        pinned_(std::move(pinned)) {}

  absl::Status CheckLock() const ABSL_LOCKS_EXCLUDED(mutex_);
  bool GiveUpDescriptor() ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string dir_;
  const bool reads_only_;
  std::unique_ptr<base::FileSystem> pinned_;
  mutable base::Mutex mutex_;
  // Null once it was given back, and of one that only reads.
  std::unique_ptr<base::FileLock> lock_ ABSL_GUARDED_BY(mutex_);
  std::function<bool()> give_up_one_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> descriptor_shortages_{0};
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_FILE_DATABASE_FILES_H_
