// Where BanDB writes what happens to it.
#ifndef BANDB_LOGGER_H_
#define BANDB_LOGGER_H_

#include <string_view>

namespace bandb {

// How much a line matters: for developers, for the record, for a look soon, for a look now.
enum class LogSeverity : int { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };

// Implemented by the application; without one BanDB is silent.
// Thread safety: Log is called from any thread, several at once, never with a lock of BanDB held.
class Logger {
 public:
  virtual ~Logger() = default;
  // `message` is one line without its end; it holds no bytes of keys or values.
  virtual void Log(LogSeverity severity, std::string_view message) = 0;
};

}  // namespace bandb

#endif  // BANDB_LOGGER_H_
