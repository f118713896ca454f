#include "base/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/posix_file_lock.h"
#include "base/posix_file_system_files.h"

namespace bandb::base {

namespace {

constexpr mode_t kDirectoryMode = 0700;

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

  uint64_t SkipHole(uint64_t offset) const override {
    if (offset >= size_) return offset;
    // Nobody else goes by the place in the file that this moves.
    const off_t data = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0) return errno == ENXIO ? size_ : offset;
    return std::clamp(static_cast<uint64_t>(data), offset, size_);
  }

  uint64_t Size() const override { return size_; }

 private:
  const UniqueFd fd_;
  const std::string path_;
  const uint64_t size_;
};

}  // namespace

struct PosixFileSystem::PinnedDirectory {
  std::string name;
  UniqueFd fd;
};

PosixFileSystem::Place PosixFileSystem::At(const std::string& path) const {
  // The innermost of the pinned directories that the path lies in.
  const PinnedDirectory* innermost = nullptr;
  for (const std::shared_ptr<const PinnedDirectory>& pinned : pinned_) {
    const std::string& name = pinned->name;
    const bool inside = path.starts_with(name) && (path.size() == name.size() || path[name.size()] == '/');
    if (inside && (innermost == nullptr || name.size() > innermost->name.size())) innermost = pinned.get();
  }
  if (innermost == nullptr) return {AT_FDCWD, path};
  const size_t rest = path.find_first_not_of('/', innermost->name.size());
  return {innermost->fd.get(), rest == std::string::npos ? "." : path.substr(rest)};
}

absl::StatusOr<std::unique_ptr<FileSystem>> PosixFileSystem::Pin(const std::string& path) {
  const Place place = At(path);
  UniqueFd fd = OpenFd(place.directory, place.path, O_RDONLY | O_DIRECTORY);
  if (!fd.valid()) return PathError(errno, "open directory", path);
  auto files = std::make_unique<PosixFileSystem>(options_);
  files->pinned_ = pinned_;
  files->pinned_.push_back(std::make_shared<const PinnedDirectory>(PinnedDirectory{path, std::move(fd)}));
  return files;
}

absl::StatusOr<std::unique_ptr<AppendableFile>> PosixFileSystem::Create(const std::string& path, AppendMode mode) {
  const Place place = At(path);
  UniqueFd fd = OpenFd(place.directory, place.path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, kNewFileMode);
  if (!fd.valid()) return PathError(errno, "create", path);
  if (mode == AppendMode::kWriteThrough) return NewMappedFile(std::move(fd), path, options_.window_bytes);
  return NewBufferedFile(std::move(fd), path, options_.write_buffer_bytes);
}

absl::StatusOr<std::unique_ptr<RandomAccessFile>> PosixFileSystem::Open(const std::string& path) {
  const Place place = At(path);
  // Not to wait for somebody to write to it, if it is a pipe.
  UniqueFd fd = OpenFd(place.directory, place.path, O_RDONLY | O_NONBLOCK);
  if (!fd.valid()) return PathError(errno, "open", path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return PathError(errno, "stat", path);
  if (!S_ISREG(info.st_mode)) return Error(absl::StatusCode::kInternal, "{}: open: not a regular file", path);
  return std::make_unique<PosixRandomAccessFile>(std::move(fd), path, static_cast<uint64_t>(info.st_size));
}

absl::StatusOr<std::vector<std::string>> PosixFileSystem::List(const std::string& path) {
  const Place place = At(path);
  UniqueFd fd = OpenFd(place.directory, place.path, O_RDONLY | O_DIRECTORY);
  if (!fd.valid()) return PathError(errno, "list", path);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd.get()), ::closedir);
  if (directory == nullptr) return PathError(errno, "list", path);
  // The descriptor is the stream's now.
  static_cast<void>(fd.Release());
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
  const Place place = At(path);
  struct stat info {};
  if (::fstatat(place.directory, place.path.c_str(), &info, 0) != 0) return PathError(errno, "stat", path);
  return static_cast<uint64_t>(info.st_size);
}

absl::StatusOr<bool> PosixFileSystem::Exists(const std::string& path) {
  const Place place = At(path);
  struct stat info {};
  // A dangling link exists: nothing can be created in its place.
  if (::fstatat(place.directory, place.path.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return PathError(errno, "stat", path);
}

absl::Status PosixFileSystem::CreateDirs(const std::string& path) {
  // From the top down, each part that a slash or the end follows.
  const Place place = At(path);
  for (size_t end = place.path.find('/', 1);; end = place.path.find('/', end + 1)) {
    const std::string part = place.path.substr(0, end);
    if (::mkdirat(place.directory, part.c_str(), kDirectoryMode) != 0) {
      const int error_number = errno;
      struct stat info {};
      const bool there = ::fstatat(place.directory, part.c_str(), &info, 0) == 0;
      if (!there || !S_ISDIR(info.st_mode)) {
        return PathError(there ? EEXIST : error_number, fmt::format("create directory {}", part), path);
      }
    }
    if (end == std::string::npos) return absl::OkStatus();
  }
}

absl::Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  const Place source = At(from), target = At(to);
  if (::renameat(source.directory, source.path.c_str(), target.directory, target.path.c_str()) == 0) {
    return absl::OkStatus();
  }
  return PathError(errno, fmt::format("rename to {}", to), from);
}

absl::Status PosixFileSystem::WriteOver(const std::string& path, uint64_t offset, std::string_view bytes) {
  const Place place = At(path);
  UniqueFd fd = OpenFd(place.directory, place.path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd.valid()) return PathError(errno, "open", path);
  BANDB_RETURN_IF_ERROR(WriteAt(fd.get(), path, offset, bytes));
  if (::fdatasync(fd.get()) != 0) return PathError(errno, "fdatasync", path);
  return fd.Close(path);
}

absl::Status PosixFileSystem::Link(const std::string& from, const std::string& to) {
  const Place source = At(from), target = At(to);
  if (::linkat(source.directory, source.path.c_str(), target.directory, target.path.c_str(), 0) == 0) {
    return absl::OkStatus();
  }
  const int error_number = errno;
  const absl::Status status = PathError(error_number, fmt::format("link as {}", to), from);
  // Linux answers EPERM where the file system knows no links.
  return error_number == EPERM ? absl::Status(absl::StatusCode::kInternal, status.message()) : status;
}

absl::Status PosixFileSystem::Remove(const std::string& path) {
  const Place place = At(path);
  return ::unlinkat(place.directory, place.path.c_str(), 0) == 0 ? absl::OkStatus() : PathError(errno, "remove", path);
}

absl::Status PosixFileSystem::RemoveDir(const std::string& path) {
  const Place place = At(path);
  return ::unlinkat(place.directory, place.path.c_str(), AT_REMOVEDIR) == 0
             ? absl::OkStatus()
             : PathError(errno, "remove directory", path);
}

absl::Status PosixFileSystem::SyncDir(const std::string& path) {
  const Place place = At(path);
  UniqueFd fd;
  // One that is pinned is open already.
  const bool pinned = place.directory != AT_FDCWD && place.path == ".";
  if (!pinned) {
    fd = OpenFd(place.directory, place.path, O_RDONLY | O_DIRECTORY);
    if (!fd.valid()) return PathError(errno, "open directory", path);
  }
  if (::fsync(pinned ? place.directory : fd.get()) != 0) return PathError(errno, "sync directory", path);
  return absl::OkStatus();
}

absl::Status PosixFileSystem::RenameDirectory(const std::string& from, const std::string& to) {
  const Place source = At(from), target = At(to);
  const std::string operation = fmt::format("rename to {}", to);
  if (options_.rename_noreplace) {
    if (::renameat2(source.directory, source.path.c_str(), target.directory, target.path.c_str(), RENAME_NOREPLACE) ==
        0)
      return absl::OkStatus();
    if (errno != EINVAL && errno != ENOSYS) return PathError(errno, operation, from);
  }
  // Where nobody else can have made it, an empty directory takes the name, and the other one takes
  // its place, unless there is something in it by then.
  if (::mkdirat(target.directory, target.path.c_str(), kDirectoryMode) != 0) return PathError(errno, operation, from);
  if (::renameat(source.directory, source.path.c_str(), target.directory, target.path.c_str()) == 0) {
    return absl::OkStatus();
  }
  const int error_number = errno;
  ::unlinkat(target.directory, target.path.c_str(), AT_REMOVEDIR);
  return PathError(error_number, operation, from);
}

absl::StatusOr<std::unique_ptr<FileLock>> PosixFileSystem::Lock(const std::string& path) {
  const std::string parent = ParentPath(path);
  const Place directory = At(parent);
  return TakePosixFileLock(directory.directory, directory.path, path.substr(path.rfind('/') + 1), path);
}

absl::StatusOr<bool> PosixFileSystem::IsLocked(const std::string& path) {
  const std::string parent = ParentPath(path);
  const Place directory = At(parent);
  return IsPosixFileLocked(directory.directory, directory.path, path.substr(path.rfind('/') + 1), path);
}

absl::StatusOr<uint64_t> PosixFileSystem::FreeBytes(const std::string& path) {
  const Place place = At(path);
  struct statvfs info {};
  const int failed = RetryInterrupted([&] {
    return place.directory == AT_FDCWD ? ::statvfs(path.c_str(), &info) : ::fstatvfs(place.directory, &info);
  });
  if (failed != 0) return PathError(errno, "statvfs", path);
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
