// The logger seam: leveled, one line a message, no global.
#ifndef BANDB_BASE_LOGGER_H_
#define BANDB_BASE_LOGGER_H_

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace bandb::base {

enum class LogLevel : int { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };

// Thread safety: any thread.
class Logger {
 public:
  virtual ~Logger() = default;
  virtual bool Enabled(LogLevel level) const = 0;
  // `message` is one line without its end. Bytes that came from outside must already be escaped.
  virtual void Write(LogLevel level, std::string_view message) = 0;

  template <typename... Args>
  void Log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
    if (Enabled(level)) Write(level, fmt::format(format, std::forward<Args>(args)...));
  }
};

class NullLogger final : public Logger {
 public:
  bool Enabled(LogLevel) const override { return false; }
  void Write(LogLevel, std::string_view) override {}
};

}  // namespace bandb::base

#endif  // BANDB_BASE_LOGGER_H_
