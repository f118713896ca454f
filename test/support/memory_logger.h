// Keeps what is logged, for tests that look.
#ifndef BANDB_TEST_SUPPORT_MEMORY_LOGGER_H_
#define BANDB_TEST_SUPPORT_MEMORY_LOGGER_H_

#include <deque>
#include <string>
#include <string_view>

#include "base/logger.h"
#include "base/mutex.h"

namespace bandb::test {

// Thread safety: any thread.
class MemoryLogger final : public base::Logger {
 public:
  bool Enabled(base::LogLevel) const override { return true; }
  void Write(base::LogLevel level, std::string_view message) override ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    lines_.push_back(std::string(1, "DIWE"[static_cast<int>(level)]) + " " + std::string(message));
    if (lines_.size() > kLinesMax) lines_.pop_front();
  }

  // Lines as "W message", the last ones.
  std::string Text() const ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    std::string text;
    for (const std::string& line : lines_) text += line + "\n";
    return text;
  }

 private:
  static constexpr size_t kLinesMax = 10'000;

  mutable base::Mutex mutex_;
  std::deque<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_MEMORY_LOGGER_H_
