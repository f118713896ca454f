#include "base/stream_logger.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "base/escape.h"
#include "base/status.h"

namespace bandb::base {

namespace {

constexpr std::string_view kTextNames[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
constexpr std::string_view kJsonNames[] = {"debug", "info", "warning", "error"};

bool WriteLine(int fd, std::string_view line) {
  while (!line.empty()) {
    const ssize_t wrote = ::write(fd, line.data(), line.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    line.remove_prefix(static_cast<size_t>(wrote));
  }
  return true;
}

absl::StatusOr<int> OpenForLogging(const std::string& path) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return ErrnoStatus(errno, fmt::format("{}: open for logging", path));
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
  // Under the number that writers use, at one moment.
  int made = -1;
  do {
    made = ::dup3(fd, fd_, O_CLOEXEC);
  } while (made < 0 && (errno == EINTR || errno == EBUSY));
  const int error = errno;
  ::close(fd);
  return made < 0 ? ErrnoStatus(error, fmt::format("{}: open for logging", path_)) : absl::OkStatus();
}

StreamLogger::~StreamLogger() {
  if (!path_.empty()) ::close(fd_);
}

void StreamLogger::Write(LogLevel level, std::string_view message) {
  if (!Enabled(level)) return;
  const std::string time = FormatUtc(clock_->WallMillis());
  const auto index = static_cast<size_t>(level);
  const std::string line = options_.json ? fmt::format("{{\"time\":\"{}\",\"level\":\"{}\",\"message\":\"{}\"}}\n",
                                                       time, kJsonNames[index], EscapeJson(message))
                                         : fmt::format("{} {} {}\n", time, kTextNames[index], Escape(message));
  if (!WriteLine(fd_, line)) dropped_lines_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace bandb::base
