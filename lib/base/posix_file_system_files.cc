#include "base/posix_file_system_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/assert.h"

namespace bandb::base {

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

absl::Status UniqueFd::Close(std::string_view path) {
  // Linux frees the descriptor even when close is interrupted; to repeat it could close somebody
  // else's.
  if (::close(std::exchange(fd_, -1)) != 0 && errno != EINTR) return PathError(errno, "close", path);
  return absl::OkStatus();
}

UniqueFd OpenFd(int directory, const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(RetryInterrupted([&] { return ::openat(directory, path.c_str(), flags | O_CLOEXEC, mode); }));
  if (!fd.valid() || fd.get() > STDERR_FILENO) return fd;
  return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

absl::Status PathError(int error_number, std::string_view operation, std::string_view path) {
  return ErrnoStatus(error_number, fmt::format("{}: {}", path, operation));
}

absl::Status WriteAt(int fd, std::string_view path, uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote =
        RetryInterrupted([&] { return ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (wrote < 0) return PathError(errno, "write", path);
    // A write of nothing would have us turn here forever.
    if (wrote == 0) return PathError(EIO, "write", path);
    bytes.remove_prefix(static_cast<size_t>(wrote));
    offset += static_cast<uint64_t>(wrote);
  }
  return absl::OkStatus();
}

namespace {

absl::Status WriteZeros(int fd, std::string_view path, uint64_t from, uint64_t to) {
  const std::string zeros(static_cast<size_t>(std::min<uint64_t>(to - from, 64 << 10)), '\0');
  while (from < to) {
    const size_t count = static_cast<size_t>(std::min<uint64_t>(to - from, zeros.size()));
    BANDB_RETURN_IF_ERROR(WriteAt(fd, path, from, std::string_view(zeros).substr(0, count)));
    from += count;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AllocateSpace(int fd, std::string_view path, uint64_t from, uint64_t to, bool keep_size) {
  BANDB_ASSERT(from <= to);
  if (from == to) return absl::OkStatus();
  if (to > static_cast<uint64_t>(INT64_MAX)) return PathError(EFBIG, "reserve", path);
  const int failed = RetryInterrupted([&] {
    return ::fallocate(fd, keep_size ? FALLOC_FL_KEEP_SIZE : 0, static_cast<off_t>(from),
                       static_cast<off_t>(to - from));
  });
  if (failed == 0) return absl::OkStatus();
  const int error_number = errno;
  absl::Status status = PathError(error_number, "reserve", path);
  if (error_number == EOPNOTSUPP || error_number == ENOSYS) {
    status = WriteZeros(fd, path, from, to);
    if (status.ok()) return status;
  }
  // What was allocated before the space ran out is of no use. If it cannot be given back, it goes
  // with the file.
  if (RetryInterrupted([&] { return ::ftruncate(fd, static_cast<off_t>(from)); }) != 0) return status;
  return status;
}

absl::Status PosixAppendableFile::Usable() const {
  if (!poisoned_.load(std::memory_order_acquire)) return absl::OkStatus();
  MutexLock lock(&mutex_);
  return first_error_;
}

absl::Status PosixAppendableFile::Poison(const absl::Status& status) {
  if (status.ok()) return status;
  MutexLock lock(&mutex_);
  if (first_error_.ok()) first_error_ = status;
  poisoned_.store(true, std::memory_order_release);
  return first_error_;
}

absl::Status PosixAppendableFile::Sync() {
  BANDB_RETURN_IF_ERROR(Usable());
  BANDB_RETURN_IF_ERROR(Poison(HandOver()));
  if (::fdatasync(fd()) != 0) return Poison(PathError(errno, "fdatasync", path_));
  return absl::OkStatus();
}

absl::Status PosixAppendableFile::Close() {
  BANDB_RETURN_IF_ERROR(Usable());
  absl::Status status = HandOver();
  if (status.ok()) status = Trim();
  const absl::Status closed = fd_.Close(path_);
  if (status.ok()) status = closed;
  BANDB_RETURN_IF_ERROR(Poison(status));
  Poison(Error(absl::StatusCode::kFailedPrecondition, "{}: the file is closed", path_)).IgnoreError();
  return absl::OkStatus();
}

namespace {

// Collects appends in memory. The buffer has a mutex because Sync empties it while Append may fill
// it; the write runs under it, so that pieces reach the file in order.
class BufferedFile final : public PosixAppendableFile {
 public:
  BufferedFile(UniqueFd fd, std::string path, size_t buffer_bytes)
      : PosixAppendableFile(std::move(fd), std::move(path)), buffer_bytes_(buffer_bytes) {}
  ~BufferedFile() override {
    if (Usable().ok()) Close().IgnoreError();
  }

  absl::Status Reserve(uint64_t bytes) override {
    BANDB_RETURN_IF_ERROR(Usable());
    const uint64_t size = Size();
    const uint64_t end = size + std::min(bytes, UINT64_MAX - size);
    const uint64_t from = std::max(reserved_, size);
    if (end <= from) return absl::OkStatus();
    // The size stays, so that the file does not end in zeros that nobody appended.
    BANDB_RETURN_IF_ERROR(AllocateSpace(fd(), path(), from, end, true));
    reserved_ = end;
    return absl::OkStatus();
  }

  absl::Status Append(std::string_view bytes) override ABSL_LOCKS_EXCLUDED(buffer_mutex_) {
    BANDB_RETURN_IF_ERROR(Usable());
    absl::Status status;
    {
      MutexLock lock(&buffer_mutex_);
      if (buffer_.size() + bytes.size() > buffer_bytes_) status = WriteBufferLocked();
      if (status.ok() && bytes.size() >= buffer_bytes_) {
        status = WriteAt(fd(), path(), written_, bytes);
        written_ += bytes.size();
      } else {
        buffer_.append(bytes);
      }
    }
    BANDB_RETURN_IF_ERROR(Poison(status));
    size_.fetch_add(bytes.size(), std::memory_order_relaxed);
    return absl::OkStatus();
  }

  uint64_t Size() const override { return size_.load(std::memory_order_relaxed); }

 protected:
  absl::Status HandOver() override ABSL_LOCKS_EXCLUDED(buffer_mutex_) {
    MutexLock lock(&buffer_mutex_);
    return WriteBufferLocked();
  }

  absl::Status Trim() override {
    const uint64_t size = Size();
    if (reserved_ <= size) return absl::OkStatus();
    if (RetryInterrupted([&] { return ::ftruncate(fd(), static_cast<off_t>(size)); }) != 0) {
      return PathError(errno, "truncate", path());
    }
    return absl::OkStatus();
  }

 private:
  absl::Status WriteBufferLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(buffer_mutex_) {
    if (buffer_.empty()) return absl::OkStatus();
    BANDB_RETURN_IF_ERROR(WriteAt(fd(), path(), written_, buffer_));
    written_ += buffer_.size();
    buffer_.clear();
    return absl::OkStatus();
  }

  const size_t buffer_bytes_;
  std::atomic<uint64_t> size_{0};
  uint64_t reserved_ = 0;  // the appender's own
  Mutex buffer_mutex_;
  std::string buffer_ ABSL_GUARDED_BY(buffer_mutex_);
  uint64_t written_ ABSL_GUARDED_BY(buffer_mutex_) = 0;
};

}  // namespace

std::unique_ptr<AppendableFile> NewBufferedFile(UniqueFd fd, std::string path, size_t buffer_bytes) {
  BANDB_ASSERT(fd.valid());
  return std::make_unique<BufferedFile>(std::move(fd), std::move(path), buffer_bytes);
}

}  // namespace bandb::base
