#include "base/stream_logger.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/escape.h"
#include "base/status.h"

namespace bandb::base {

namespace {

constexpr std::string_view kTextNames[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
constexpr std::string_view kJsonNames[] = {"debug", "info", "warning", "error"};

// A pipe that says that it has room takes as much, at least.
constexpr size_t kPieceBytes = 4096;

bool IsRegularFile(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

bool HasRoom(int fd) {
  pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&room, 1, 0) > 0;
}

bool WriteLine(int fd, std::string_view line) {
  while (!line.empty()) {
    const ssize_t wrote = ::write(fd, line.data(), line.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    line.remove_prefix(static_cast<size_t>(wrote));
  }
  return true;
}

// What the system says of a pipe without a reader, and of a socket, is that there is no device.
absl::Status OpenError(int error, const std::string& path) {
  struct stat status {};
  const bool is_known = error == ENXIO && ::stat(path.c_str(), &status) == 0;
  if (is_known && S_ISFIFO(status.st_mode)) {
    return Error(absl::StatusCode::kFailedPrecondition, "{}: a pipe that nobody reads", path);
  }
  if (is_known && S_ISSOCK(status.st_mode)) {
    return Error(absl::StatusCode::kFailedPrecondition, "{}: a socket, which cannot be opened", path);
  }
  return ErrnoStatus(error, fmt::format("{}: open for logging", path));
}

absl::StatusOr<int> OpenForLogging(const std::string& path) {
  int fd = -1;
  do {
    // O_NONBLOCK: opening a pipe would wait for a reader.
    fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return OpenError(errno, path);
  // As standard error is: Write asks whether there is room.
  if (::fcntl(fd, F_SETFL, O_APPEND) != 0) {
    const int error = errno;
    ::close(fd);
    return ErrnoStatus(error, fmt::format("{}: open for logging", path));
  }
  return fd;
}

}  // namespace

std::string FormatUtc(int64_t wall_ms) {
  // Toward the past, so that the milliseconds are never negative.
  const int64_t milliseconds = ((wall_ms % 1000) + 1000) % 1000;
  const auto seconds = static_cast<time_t>((wall_ms - milliseconds) / 1000);
  tm utc{};
  if (::gmtime_r(&seconds, &utc) == nullptr) return fmt::format("{}ms", wall_ms);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, milliseconds);
}

StreamLogger::StreamLogger(int fd, std::string path, Clock* clock, const StreamLoggerOptions& options)
    : fd_(fd), path_(std::move(path)), clock_(clock), options_(options), is_file_(IsRegularFile(fd)) {}

std::unique_ptr<StreamLogger> StreamLogger::ToStderr(Clock* clock, const StreamLoggerOptions& options) {
  return std::unique_ptr<StreamLogger>(new StreamLogger(STDERR_FILENO, "", clock, options));
}

absl::StatusOr<std::unique_ptr<StreamLogger>> StreamLogger::ToFile(const std::string& path, Clock* clock,
                                                                   const StreamLoggerOptions& options) {
  BANDB_ASSIGN_OR_RETURN(const int fd, OpenForLogging(path));
  return std::unique_ptr<StreamLogger>(new StreamLogger(fd, path, clock, options));
}

absl::Status StreamLogger::Reopen() {
  if (path_.empty()) return absl::OkStatus();
  BANDB_ASSIGN_OR_RETURN(const int fd, OpenForLogging(path_));
  int made = -1;
  int error = 0;
  {
    // The rest of a line stays out of the new file.
    const MutexLock lock(&mutex_);
    // Under the number that writers use, at one moment.
    do {
      made = ::dup3(fd, fd_, O_CLOEXEC);
    } while (made < 0 && (errno == EINTR || errno == EBUSY));
    error = errno;
    if (made >= 0) {
      is_file_.store(IsRegularFile(fd_), std::memory_order_relaxed);
      rest_.clear();
    }
  }
  ::close(fd);
  return made < 0 ? ErrnoStatus(error, fmt::format("{}: open for logging", path_)) : absl::OkStatus();
}

StreamLogger::~StreamLogger() {
  if (!path_.empty()) ::close(fd_);
}

std::string StreamLogger::LineOf(LogLevel level, std::string_view message) const {
  const std::string time = FormatUtc(clock_->WallMillis());
  const auto index = static_cast<size_t>(level);
  return options_.json ? fmt::format("{{\"time\":\"{}\",\"level\":\"{}\",\"message\":\"{}\"}}\n", time,
                                     kJsonNames[index], EscapeJson(message))
                       : fmt::format("{} {} {}\n", time, kTextNames[index], Escape(message));
}

void StreamLogger::Write(LogLevel level, std::string_view message) {
  if (!Enabled(level)) return;
  std::string line = LineOf(level, message);
  if (!is_file_.load(std::memory_order_relaxed)) return WriteWithoutWaiting(std::move(line));
  if (!WriteLine(fd_, line)) dropped_lines_.fetch_add(1, std::memory_order_relaxed);
}

bool StreamLogger::WriteSome(std::string* bytes) const {
  std::string_view left = *bytes;
  bool has_room = true;
  while (!left.empty() && has_room) {
    has_room = HasRoom(fd_) && WriteLine(fd_, left.substr(0, kPieceBytes));
    if (has_room) left.remove_prefix(std::min(left.size(), kPieceBytes));
  }
  bytes->erase(0, bytes->size() - left.size());
  return bytes->empty();
}

void StreamLogger::WriteWithoutWaiting(std::string line) {
  MutexLock lock(&mutex_);
  bool wrote = WriteSome(&rest_);
  if (wrote && untold_lines_ > 0) {
    rest_ =
        LineOf(LogLevel::kWarning, fmt::format("{} lines of this log had no room, and were dropped", untold_lines_));
    const size_t bytes = rest_.size();
    wrote = WriteSome(&rest_);
    if (rest_.size() < bytes) {
      untold_lines_ = 0;
    } else {
      rest_.clear();
    }
  }
  const size_t bytes = line.size();
  if (wrote) {
    rest_ = std::move(line);
    WriteSome(&rest_);
    // Nothing of it: what comes later may have room.
    wrote = rest_.size() < bytes;
    if (!wrote) rest_.clear();
  }
  if (wrote) return;
  ++untold_lines_;
  dropped_lines_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace bandb::base
