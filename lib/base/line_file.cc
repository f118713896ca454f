#include "base/line_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/status.h"

namespace bandb::base {

namespace {

// False: it cannot be read.
bool EndsWithinLine(int fd, int64_t bytes) {
  char last = '\n';
  return bytes > 0 && ::pread(fd, &last, 1, bytes - 1) == 1 && last != '\n';
}

}  // namespace

absl::StatusOr<LineFile::Opened> LineFile::OpenAt(const std::string& path) {
  int fd = -1;
  do {
    // O_NONBLOCK: opening a pipe would wait for a reader, before it can be seen that it is one.
    fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return ErrnoStatus(errno, fmt::format("{}: open for appending", path));
  struct stat status {};
  if (::fstat(fd, &status) != 0) {
    const int error = errno;
    ::close(fd);
    return ErrnoStatus(error, fmt::format("{}: stat", path));
  }
  if (!S_ISREG(status.st_mode)) {
    ::close(fd);
    return Error(absl::StatusCode::kFailedPrecondition, "{}: not a regular file", path);
  }
  return Opened{.fd = fd, .torn = EndsWithinLine(fd, status.st_size)};
}

absl::StatusOr<std::unique_ptr<LineFile>> LineFile::Open(const std::string& path) {
  BANDB_ASSIGN_OR_RETURN(const Opened opened, OpenAt(path));
  return std::unique_ptr<LineFile>(new LineFile(path, opened));
}

LineFile::~LineFile() { ::close(fd_); }

absl::Status LineFile::Reopen() {
  // Nothing is being written to it while it is looked whether it ends within a line.
  MutexLock lock(&mutex_);
  return ReopenLocked();
}

absl::Status LineFile::ReopenLocked() {
  BANDB_ASSIGN_OR_RETURN(const Opened opened, OpenAt(path_));
  ::close(fd_);
  fd_ = opened.fd;
  torn_ = opened.torn;
  return absl::OkStatus();
}

absl::Status LineFile::Append(std::string_view line) {
  MutexLock lock(&mutex_);
  struct stat status {};
  const bool is_removed = ::fstat(fd_, &status) == 0 && status.st_nlink == 0;
  if (is_removed) BANDB_RETURN_IF_ERROR(ReopenLocked());
  std::string text;
  text.reserve(line.size() + 2);
  if (torn_) text.push_back('\n');
  text.append(line).push_back('\n');
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t wrote = ::write(fd_, rest.data(), rest.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      // Nothing, or no more than the end of the line before, leaves whole lines.
      const size_t written = text.size() - rest.size();
      if (written > 0) torn_ = text[written - 1] != '\n';
      return ErrnoStatus(wrote < 0 ? errno : EIO, fmt::format("{}: write", path_));
    }
    rest.remove_prefix(static_cast<size_t>(wrote));
  }
  torn_ = false;
  return absl::OkStatus();
}

}  // namespace bandb::base
