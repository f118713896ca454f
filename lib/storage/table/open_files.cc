#include "storage/table/open_files.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

class OpenFiles::SharedFile final : public base::RandomAccessFile {
 public:
  SharedFile(std::shared_ptr<OpenFiles> owner, std::string path) : owner_(std::move(owner)), path_(std::move(path)) {}
  ~SharedFile() override { owner_->Forget(this); }

  absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> to) const override {
    used_.store(true, std::memory_order_relaxed);
    File file = Present();
    if (file == nullptr) {
      // Opening changes nothing that a caller could see.
      BANDB_ASSIGN_OR_RETURN(file, owner_->Reopen(const_cast<SharedFile*>(this)));
    }
    return file->Read(offset, to);
  }
  void Prefetch(uint64_t offset, uint64_t bytes) const override {
    if (const File file = Present()) file->Prefetch(offset, bytes);
  }
  uint64_t Size() const override { return size_; }

  const std::string& path() const { return path_; }
  File Present() const ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    return file_;
  }
  // The previous one is the caller's to drop.
  File Exchange(File file) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    return std::exchange(file_, std::move(file));
  }
  // Whether it was read since this was last asked.
  bool TakeUsed() { return used_.exchange(false, std::memory_order_relaxed); }
  void set_size(uint64_t bytes) { size_ = bytes; }
  uint64_t size() const { return size_; }

 private:
  friend class OpenFiles;

  // Shared: a reader of a table may outlive the store of tables.
  const std::shared_ptr<OpenFiles> owner_;
  const std::string path_;
  // Set before anybody else sees the file.
  uint64_t size_ = 0;
  mutable std::atomic<bool> used_{true};
  // Taken with the owner's mutex held, or alone; shared with reads that are under way.
  mutable base::Mutex mutex_;
  File file_ ABSL_GUARDED_BY(mutex_);
  // The owner's, under its mutex: where in its list the file is while it is open.
  bool listed_ = false;
  std::list<SharedFile*>::iterator place_;
};

absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> OpenFiles::Open(const std::string& path) {
  auto shared = std::make_unique<SharedFile>(shared_from_this(), path);
  BANDB_ASSIGN_OR_RETURN(const File file, Reopen(shared.get()));
  shared->set_size(file->Size());
  return std::unique_ptr<base::RandomAccessFile>(std::move(shared));
}

absl::StatusOr<OpenFiles::File> OpenFiles::Reopen(SharedFile* shared) {
  // Held while the file is opened, so that Close does not return under it.
  base::MutexLock lock(&mutex_);
  if (File file = shared->Present()) return file;
  if (files_ == nullptr) return base::Error(absl::StatusCode::kFailedPrecondition, "the database is closed");
  while (open_.size() >= open_max_ && CloseOne()) {
  }
  absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> opened = files_->Open(shared->path());
  // Others have used up the descriptors: ours are then fewer than was planned.
  while (!opened.ok() && opened.status().code() == absl::StatusCode::kUnavailable && CloseOne()) {
    opened = files_->Open(shared->path());
  }
  if (!opened.ok()) return opened.status();
  File file = *std::move(opened);
  if (shared->size() != 0 && file->Size() != shared->size()) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: the file has {} bytes, and had {} before",
                       shared->path(), std::min(file->Size(), shared->size()), file->Size(), shared->size());
  }
  shared->Exchange(file);
  BANDB_ASSERT(!shared->listed_);
  shared->place_ = open_.insert(open_.end(), shared);
  shared->listed_ = true;
  return file;
}

bool OpenFiles::CloseOne() {
  // After one round all marks are cleared, so that the second finds a victim unless readers are
  // very quick.
  for (size_t looks = 2 * open_.size(); looks > 0; --looks) {
    SharedFile* candidate = open_.front();
    if (looks > 1 && candidate->TakeUsed()) {
      open_.splice(open_.end(), open_, open_.begin());
      continue;
    }
    open_.pop_front();
    candidate->listed_ = false;
    candidate->Exchange(nullptr);
    return true;
  }
  return false;
}

void OpenFiles::Forget(SharedFile* shared) {
  base::MutexLock lock(&mutex_);
  if (!shared->listed_) return;
  open_.erase(shared->place_);
  shared->listed_ = false;
}

bool OpenFiles::GiveUpOne() {
  base::MutexLock lock(&mutex_);
  return CloseOne();
}

void OpenFiles::Close() {
  base::MutexLock lock(&mutex_);
  files_ = nullptr;
}

uint64_t OpenFiles::open_count() const {
  base::MutexLock lock(&mutex_);
  return open_.size();
}

}  // namespace bandb::storage
