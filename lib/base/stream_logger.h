// The logger of production: lines to standard error or to a file.
//
// Text:  2026-11-22T19:12:27.123Z WARNING message
// JSON:  {"time":"2026-11-22T19:12:27.123Z","level":"warning","message":"message"}
//
// Each line is one write(2), so that lines of several threads and processes do not mix. Whatever
// would end or spoil a line is escaped, which is a second line of defence: bytes from outside are
// escaped by those who log them. A line that cannot be written is dropped and counted; a full log
// disk is no error for anybody else.
//
// Nothing waits for the reader of a pipe or a socket: what these have no room for is dropped, and a
// line says how much, once there is room. A line of more than 4 KiB goes into them in pieces, and a
// part of one that has no room is written before the next line. A terminal that stands still holds
// those that log, as it does with any program; so may a pipe that others fill at the same time.
#ifndef BANDB_BASE_STREAM_LOGGER_H_
#define BANDB_BASE_STREAM_LOGGER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/logger.h"
#include "base/mutex.h"

namespace bandb::base {

struct StreamLoggerOptions {
  // Lines below it are not written.
  LogLevel level = LogLevel::kInfo;
  // JSON lines instead of text.
  bool json = false;
};

// Thread safety: any thread.
class StreamLogger final : public Logger {
 public:
  // Lifetime: `clock` is borrowed.
  static std::unique_ptr<StreamLogger> ToStderr(Clock* clock, const StreamLoggerOptions& options = {});
  // Appends to the file, and creates it if need be. Errors: as FileSystem::Create, but for
  // kAlreadyExists.
  static absl::StatusOr<std::unique_ptr<StreamLogger>> ToFile(const std::string& path, Clock* clock,
                                                              const StreamLoggerOptions& options = {});
  ~StreamLogger() override;

  // Goes on in the file that has its path by now, which is created if need be: for a program that
  // moves logs away. Lines go into one file or the other, whole. Nothing, if it logs to standard
  // error. Errors: as ToFile; it goes on in the file that it had.
  absl::Status Reopen() ABSL_LOCKS_EXCLUDED(mutex_);

  bool Enabled(LogLevel level) const override { return level >= options_.level; }
  void Write(LogLevel level, std::string_view message) override ABSL_LOCKS_EXCLUDED(mutex_);

  // Lines that could not be written.
  uint64_t dropped_lines() const { return dropped_lines_.load(std::memory_order_relaxed); }

 private:
  StreamLogger(int fd, std::string path, Clock* clock, const StreamLoggerOptions& options);

  std::string LineOf(LogLevel level, std::string_view message) const;
  // Of what may have no room: writes as much as it has. False if that is not all of `*bytes`,
  // which are what is left.
  bool WriteSome(std::string* bytes) const;
  void WriteWithoutWaiting(std::string line) ABSL_LOCKS_EXCLUDED(mutex_);

  const int fd_;
  const std::string path_;  // empty: fd_ is not its own
  Clock* const clock_;
  const StreamLoggerOptions options_;
  std::atomic<bool> is_file_;  // a regular one
  std::atomic<uint64_t> dropped_lines_{0};
  Mutex mutex_;
  std::string rest_ ABSL_GUARDED_BY(mutex_);  // of a line that had begun
  uint64_t untold_lines_ ABSL_GUARDED_BY(mutex_) = 0;
};

// "2026-11-22T19:12:27.123Z".
std::string FormatUtc(int64_t wall_ms);

}  // namespace bandb::base

#endif  // BANDB_BASE_STREAM_LOGGER_H_
