#include "base/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "base/posix_file_system_files.h"

namespace bandb::base {

namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;

// Never one of the numbers of the standard streams: where those are closed, what the program prints would be written
// into the database.
UniqueFd OpenFd(const std::string& path, int flags, mode_t mode = 0) {
  UniqueFd fd(RetryInterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); }));
  if (!fd.valid() || fd.get() > STDERR_FILENO) return fd;
  return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

class PosixRandomAccessFile final : public RandomAccessFile {
 public:
  PosixRandomAccessFile(UniqueFd fd, std::string path, uint64_t size)
      : fd_(std::move(fd)), path_(std::move(path)), size_(size) {}

  absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> to) const override {
    if (offset > static_cast<uint64_t>(INT64_MAX)) return size_t{0};
    size_t done = 0;
    while (done < to.size()) {
      const ssize_t got = RetryInterrupted(
          [&] { return ::pread(fd_.get(), to.data() + done, to.size() - done, static_cast<off_t>(offset + done)); });
      if (got < 0) return PathError(errno, fmt::format("read at {}", offset + done), path_);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  void Prefetch(uint64_t offset, uint64_t bytes) const override {
    ::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
  }

  uint64_t Size() const override { return size_; }

 private:
  const UniqueFd fd_;
  const std::string path_;
  const uint64_t size_;
};

// The kernel's lock goes with the descriptor.
class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  const UniqueFd fd_;
};

// Who holds a lock, as far as the lock file tells.
std::string LockOwner(int fd) {
  char digits[32] = {};
  const ssize_t got = RetryInterrupted([&] { return ::pread(fd, digits, sizeof(digits) - 1, 0); });
  int64_t pid = 0;
  for (ssize_t i = 0; i < got && digits[i] >= '0' && digits[i] <= '9'; ++i) pid = pid * 10 + (digits[i] - '0');
  if (pid <= 0 || pid > std::numeric_limits<pid_t>::max()) return "another process, or this one,";
  return pid == ::getpid() ? "this process" : fmt::format("another process ({})", pid);
}

}  // namespace

absl::StatusOr<std::unique_ptr<AppendableFile>> PosixFileSystem::Create(const std::string& path, AppendMode mode) {
  UniqueFd fd = OpenFd(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, kFileMode);
  if (!fd.valid()) return PathError(errno, "create", path);
  if (mode == AppendMode::kWriteThrough) return NewMappedFile(std::move(fd), path, options_.window_bytes);
  return NewBufferedFile(std::move(fd), path, options_.write_buffer_bytes);
}

absl::StatusOr<std::unique_ptr<RandomAccessFile>> PosixFileSystem::Open(const std::string& path) {
  // Not to wait for somebody to write to it, if it is a pipe.
  UniqueFd fd = OpenFd(path, O_RDONLY | O_NONBLOCK);
  if (!fd.valid()) return PathError(errno, "open", path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return PathError(errno, "stat", path);
  if (!S_ISREG(info.st_mode)) return Error(absl::StatusCode::kInternal, "{}: open: not a regular file", path);
  return std::make_unique<PosixRandomAccessFile>(std::move(fd), path, static_cast<uint64_t>(info.st_size));
}

absl::StatusOr<std::vector<std::string>> PosixFileSystem::List(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (directory == nullptr) return PathError(errno, "list", path);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return PathError(errno, "list", path);
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<uint64_t> PosixFileSystem::FileSize(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return PathError(errno, "stat", path);
  return static_cast<uint64_t>(info.st_size);
}

absl::StatusOr<bool> PosixFileSystem::Exists(const std::string& path) {
  struct stat info {};
  // A dangling link exists: nothing can be created in its place.
  if (::lstat(path.c_str(), &info) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return PathError(errno, "stat", path);
}

absl::Status PosixFileSystem::CreateDirs(const std::string& path) {
  // From the top down, each part that a slash or the end follows.
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), kDirectoryMode) != 0) {
      const int error_number = errno;
      struct stat info {};
      if (::stat(part.c_str(), &info) != 0) return PathError(error_number, "create directory", part);
      if (!S_ISDIR(info.st_mode)) return PathError(EEXIST, "create directory", part);
    }
    if (end == std::string::npos) return absl::OkStatus();
  }
}

absl::Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return PathError(errno, fmt::format("rename to {}", to), from);
}

absl::Status PosixFileSystem::Link(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  const int error_number = errno;
  const absl::Status status = PathError(error_number, fmt::format("link as {}", to), from);
  // Linux answers EPERM where the file system knows no links.
  return error_number == EPERM ? absl::Status(absl::StatusCode::kInternal, status.message()) : status;
}

absl::Status PosixFileSystem::Remove(const std::string& path) {
  return ::unlink(path.c_str()) == 0 ? absl::OkStatus() : PathError(errno, "remove", path);
}

absl::Status PosixFileSystem::RemoveDir(const std::string& path) {
  return ::rmdir(path.c_str()) == 0 ? absl::OkStatus() : PathError(errno, "remove directory", path);
}

absl::Status PosixFileSystem::SyncDir(const std::string& path) {
  UniqueFd fd = OpenFd(path, O_RDONLY | O_DIRECTORY);
  if (!fd.valid()) return PathError(errno, "open directory", path);
  if (::fsync(fd.get()) != 0) return PathError(errno, "sync directory", path);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<FileLock>> PosixFileSystem::Lock(const std::string& path) {
  UniqueFd fd = OpenFd(path, O_RDWR | O_CREAT | O_NOFOLLOW, kFileMode);
  if (!fd.valid()) return PathError(errno, "lock", path);
  if (RetryInterrupted([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno != EWOULDBLOCK) return PathError(errno, "lock", path);
    return Error(absl::StatusCode::kFailedPrecondition, "{}: {} holds the lock", path, LockOwner(fd.get()));
  }
  // The owner's name is for people only: a full disk must not keep a database from being opened.
  if (::ftruncate(fd.get(), 0) == 0) WriteAt(fd.get(), path, 0, fmt::format("{}\n", ::getpid())).IgnoreError();
  return std::make_unique<PosixFileLock>(std::move(fd));
}

absl::StatusOr<uint64_t> PosixFileSystem::FreeBytes(const std::string& path) {
  struct statvfs info {};
  if (RetryInterrupted([&] { return ::statvfs(path.c_str(), &info); }) != 0) return PathError(errno, "statvfs", path);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

uint64_t PosixFileSystem::OpenFilesMax() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return FileSystem::OpenFilesMax();
  return static_cast<uint64_t>(limit.rlim_cur);
}

void PosixFileSystem::RaiseOpenFilesMax(uint64_t wanted) {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || wanted <= limit.rlim_cur) return;
  limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
  // Best effort: OpenFilesMax tells what came of it.
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

}  // namespace bandb::base
