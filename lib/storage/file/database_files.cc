#include "storage/file/database_files.h"

#include <utility>

#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/file/refused_read.h"

namespace bandb::storage {

absl::StatusOr<std::shared_ptr<DatabaseFiles>> DatabaseFiles::Lock(base::FileSystem* files, const std::string& dir) {
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::FileSystem> pinned, files->Pin(dir));
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::FileLock> lock, pinned->Lock(LockPath(dir)));
  std::shared_ptr<DatabaseFiles> locked(new DatabaseFiles(std::move(pinned), dir, false));
  base::MutexLock hold(&locked->mutex_);
  locked->lock_ = std::move(lock);
  return locked;
}

absl::StatusOr<std::shared_ptr<DatabaseFiles>> DatabaseFiles::ForReading(base::FileSystem* files,
                                                                         const std::string& dir) {
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::FileSystem> pinned, files->Pin(dir));
  return std::shared_ptr<DatabaseFiles>(new DatabaseFiles(std::move(pinned), dir, true));
}

absl::Status DatabaseFiles::PinEngineDir() {
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::FileSystem> pinned, pinned_->Pin(EngineDir(dir_)));
  set_target(pinned.get());
  pinned_ = std::move(pinned);
  return absl::OkStatus();
}

void DatabaseFiles::NameOwner() {
  base::MutexLock hold(&mutex_);
  if (lock_ != nullptr) lock_->NameOwner();
}

void DatabaseFiles::Unlock() {
  base::MutexLock hold(&mutex_);
  lock_.reset();
}

void DatabaseFiles::SetDescriptorSource(std::function<bool()> give_up_one) {
  base::MutexLock hold(&mutex_);
  give_up_one_ = std::move(give_up_one);
}

bool DatabaseFiles::GiveUpDescriptor() {
  std::function<bool()> give_up_one;
  {
    base::MutexLock hold(&mutex_);
    give_up_one = give_up_one_;
  }
  return give_up_one && give_up_one();
}

absl::Status DatabaseFiles::CheckLock() const {
  base::MutexLock hold(&mutex_);
  if (lock_ != nullptr) return lock_->CheckHeld();
  return base::Error(absl::StatusCode::kFailedPrecondition, "{}: the database {}", dir_,
                     reads_only_ ? "was opened for reading only" : "is closed");
}

absl::StatusOr<std::unique_ptr<base::AppendableFile>> DatabaseFiles::Create(const std::string& path,
                                                                            base::AppendMode mode) {
  BANDB_RETURN_IF_ERROR(CheckLock());
  absl::StatusOr<std::unique_ptr<base::AppendableFile>> created = target().Create(path, mode);
  while (!created.ok() && created.status().code() == absl::StatusCode::kUnavailable) {
    descriptor_shortages_.fetch_add(1, std::memory_order_relaxed);
    if (!GiveUpDescriptor()) break;
    created = target().Create(path, mode);
  }
  if (!created.ok()) return MustBeThere(created.status());
  return created;
}

absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> DatabaseFiles::Open(const std::string& path) {
  // The owner of many open files knows which of them to close: OpenFiles does.
  absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> opened = target().Open(path);
  if (!opened.ok() && opened.status().code() == absl::StatusCode::kUnavailable) {
    descriptor_shortages_.fetch_add(1, std::memory_order_relaxed);
  }
  return opened;
}

absl::Status DatabaseFiles::CreateDirs(const std::string& path) {
  BANDB_RETURN_IF_ERROR(CheckLock());
  return target().CreateDirs(path);
}

absl::Status DatabaseFiles::Rename(const std::string& from, const std::string& to) {
  BANDB_RETURN_IF_ERROR(CheckLock());
  return target().Rename(from, to);
}

absl::Status DatabaseFiles::RenameDirectory(const std::string& from, const std::string& to) {
  BANDB_RETURN_IF_ERROR(CheckLock());
  return target().RenameDirectory(from, to);
}

absl::Status DatabaseFiles::WriteOver(const std::string& path, uint64_t offset, std::string_view bytes) {
  BANDB_RETURN_IF_ERROR(CheckLock());
  return target().WriteOver(path, offset, bytes);
}

absl::Status DatabaseFiles::Link(const std::string& from, const std::string& to) {
  BANDB_RETURN_IF_ERROR(CheckLock());
  return target().Link(from, to);
}

absl::Status DatabaseFiles::Remove(const std::string& path) {
  BANDB_RETURN_IF_ERROR(CheckLock());
  return target().Remove(path);
}

absl::Status DatabaseFiles::RemoveDir(const std::string& path) {
  BANDB_RETURN_IF_ERROR(CheckLock());
  return target().RemoveDir(path);
}

absl::Status DatabaseFiles::SyncDir(const std::string& path) {
  if (reads_only_) return CheckLock();
  return target().SyncDir(path);
}

}  // namespace bandb::storage
