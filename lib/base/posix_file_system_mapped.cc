// The kWriteThrough file: appends are copied into a mapped window of the file.
//
// The idea: the bytes are in the page cache, where they survive the death of the process, as soon
// as they are copied; a system call is paid once for each window, not for each append. Three things
// make that sound:
//
// * Space. A window is mapped only over blocks that fallocate gave us, so that a copy never finds
//   the disk full.
// * Errors. A store into a mapping has no return value; where the kernel cannot serve the page
//   fault, the process gets SIGBUS. So pages are first made writable by
//   madvise(MADV_POPULATE_WRITE), which reports the failure. When that fails for whatever reason
//   (an old kernel, a file system that cannot, a dying disk), the file goes on with pwrite(2),
//   whose error becomes the Status.
// * Write-back. Writing a page back makes it read-only again, and the next store faults. While a
//   Sync runs, appends therefore go by pwrite(2), so that a disk which dies under it is seen as a
//   Status; and after it the appender populates again, first only the pages that it needs and then
//   ever more of them, so that a log that is synced at each append does not write pages of zeros
//   each time. The kernel also writes back on its own, between populating and storing; if the file
//   system has shut down meanwhile, the store raises SIGBUS, which the copy survives
//   (guarded_copy.h). The file then goes on with pwrite(2), whose error becomes the Status. Where
//   the guard cannot be installed, or was taken away, nothing is mapped.
//
// A system call for each record, pwrite(2) or process_vm_writev(2), costs several times what the
// copy does; the guard adds two stores and the saving of a few registers.
//
// Invariants: Size() <= allocated_end_; [0, allocated_end_) is allocated and the file is that long;
// a mapped window lies within it; [window_ + 0, populated_end_) was populated since the last Sync
// that the appender has seen.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "base/assert.h"
#include "base/guarded_copy.h"
#include "base/posix_file_system_files.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14; older C libraries do not name it
#endif

namespace bandb::base {

namespace {

constexpr uint64_t kPageBytes = 4096;

uint64_t PageFloor(uint64_t offset) { return offset & ~(kPageBytes - 1); }
uint64_t PageCeil(uint64_t offset) { return PageFloor(offset + kPageBytes - 1); }

class MappedFile final : public PosixAppendableFile {
 public:
  MappedFile(UniqueFd fd, std::string path, size_t window_bytes)
      : PosixAppendableFile(std::move(fd), std::move(path)),
        window_bytes_(PageCeil(window_bytes)),
        // A larger page than ours would make every offset of a window wrong.
        mapping_(window_bytes > 0 && ::sysconf(_SC_PAGESIZE) == static_cast<long>(kPageBytes)) {}

  ~MappedFile() override {
    if (Usable().ok()) Close().IgnoreError();
    Unmap();
  }

  absl::Status Reserve(uint64_t bytes) override;
  absl::Status Append(std::string_view bytes) override;
  absl::Status Sync() override;
  uint64_t Size() const override { return size_; }

 protected:
  // Appends reach the operating system at once.
  absl::Status HandOver() override { return absl::OkStatus(); }
  absl::Status Trim() override;

 private:
  // Allocates so that `end` is within allocated_end_, a window more if there is room.
  absl::Status Allocate(uint64_t end);
  // Maps the window that begins at the page of `offset`. On failure the file appends by pwrite from
  // now on.
  void MapWindow(uint64_t offset);
  // Makes the pages of [offset, end) writable, and some after them. On failure as MapWindow.
  void Populate(uint64_t offset, uint64_t end);
  void Unmap();
  // From now on the file is appended to by pwrite.
  void StopMapping();

  const uint64_t window_bytes_;
  bool mapping_;
  uint64_t size_ = 0;
  uint64_t allocated_end_ = 0;
  char* window_ = nullptr;
  uint64_t window_begin_ = 0;
  uint64_t window_end_ = 0;
  uint64_t populated_end_ = 0;
  uint64_t populate_ahead_ = 0;
  // While a Sync runs, and whether one has run since the last Append that looked.
  std::atomic<bool> syncing_{false};
  std::atomic<bool> written_back_{false};
};

absl::Status MappedFile::Allocate(uint64_t end) {
  if (end <= allocated_end_) return absl::OkStatus();
  const uint64_t roomy = std::max(end, PageFloor(end + window_bytes_));
  absl::Status status = AllocateSpace(fd(), path(), allocated_end_, roomy, false);
  uint64_t reached = roomy;
  if (!status.ok() && roomy > end) {
    status = AllocateSpace(fd(), path(), allocated_end_, end, false);
    reached = end;
  }
  if (status.ok()) allocated_end_ = reached;
  return status;
}

absl::Status MappedFile::Reserve(uint64_t bytes) {
  BANDB_RETURN_IF_ERROR(Usable());
  return Allocate(size_ + std::min(bytes, UINT64_MAX / 2 - size_));
}

void MappedFile::Unmap() {
  if (window_ != nullptr) ::munmap(window_, window_end_ - window_begin_);
  window_ = nullptr;
  window_begin_ = window_end_ = populated_end_ = 0;
}

void MappedFile::StopMapping() {
  Unmap();
  mapping_ = false;
}

void MappedFile::MapWindow(uint64_t offset) {
  Unmap();
  if (!InstallGuard()) return StopMapping();
  const uint64_t begin = PageFloor(offset);
  const uint64_t end = std::min(begin + window_bytes_, allocated_end_);
  void* const at = ::mmap(nullptr, end - begin, PROT_READ | PROT_WRITE, MAP_SHARED, fd(), static_cast<off_t>(begin));
  if (at == MAP_FAILED) return StopMapping();
  window_ = static_cast<char*>(at);
  window_begin_ = begin;
  window_end_ = end;
  populated_end_ = begin;
  populate_ahead_ = window_bytes_;
}

void MappedFile::Populate(uint64_t offset, uint64_t end) {
  const uint64_t from = PageFloor(offset);
  const uint64_t to = std::min(PageCeil(end) + populate_ahead_, PageCeil(window_end_));
  if (::madvise(window_ + (from - window_begin_), to - from, MADV_POPULATE_WRITE) != 0 && errno != EINTR) {
    StopMapping();
    return;
  }
  populated_end_ = to;
  populate_ahead_ = std::min(std::max(2 * populate_ahead_, kPageBytes), window_bytes_);
}

absl::Status MappedFile::Append(std::string_view bytes) {
  BANDB_RETURN_IF_ERROR(Usable());
  const bool by_window = mapping_ && !syncing_.load();
  if (by_window && written_back_.load(std::memory_order_relaxed)) {
    written_back_.store(false);
    populated_end_ = window_begin_;
    populate_ahead_ = 0;
  }
  if (mapping_) BANDB_RETURN_IF_ERROR(Poison(Allocate(size_ + bytes.size())));
  while (!bytes.empty() && by_window) {
    if (window_ == nullptr || size_ >= window_end_) MapWindow(size_);
    if (!mapping_) break;
    const uint64_t count = std::min<uint64_t>(bytes.size(), window_end_ - size_);
    if (size_ + count > populated_end_) Populate(std::max(size_, populated_end_), size_ + count);
    if (!mapping_) break;
    if (!GuardedCopy(window_ + (size_ - window_begin_), bytes.data(), count)) {
      StopMapping();
      break;
    }
    size_ += count;
    bytes.remove_prefix(count);
  }
  if (bytes.empty()) return absl::OkStatus();
  BANDB_RETURN_IF_ERROR(Poison(WriteAt(fd(), path(), size_, bytes)));
  size_ += bytes.size();
  allocated_end_ = std::max(allocated_end_, size_);
  return absl::OkStatus();
}

absl::Status MappedFile::Sync() {
  syncing_.store(true);
  const absl::Status status = PosixAppendableFile::Sync();
  written_back_.store(true);
  syncing_.store(false);
  return status;
}

absl::Status MappedFile::Trim() {
  Unmap();
  if (allocated_end_ == size_) return absl::OkStatus();
  if (RetryInterrupted([&] { return ::ftruncate(fd(), static_cast<off_t>(size_)); }) != 0) {
    return PathError(errno, "truncate", path());
  }
  allocated_end_ = size_;
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<AppendableFile> NewMappedFile(UniqueFd fd, std::string path, size_t window_bytes) {
  BANDB_ASSERT(fd.valid());
  return std::make_unique<MappedFile>(std::move(fd), std::move(path), window_bytes);
}

}  // namespace bandb::base
