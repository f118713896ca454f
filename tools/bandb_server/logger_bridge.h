// Hands what the libraries log to the logger of base.
#ifndef BANDB_TOOLS_BANDB_SERVER_LOGGER_BRIDGE_H_
#define BANDB_TOOLS_BANDB_SERVER_LOGGER_BRIDGE_H_

#include <atomic>
#include <string_view>

#include "bandb/logger.h"
#include "base/logger.h"

namespace bandb::server_program {

// The severities of the public interface are the levels of base. Thread safety: any thread.
class LoggerBridge final : public Logger {
 public:
  // Passes on what is at least this severe. Lifetime: borrows the logger.
  LoggerBridge(base::Logger* logger, LogSeverity least) : logger_(logger), least_(least) {}

  void SetLeast(LogSeverity least) { least_.store(least, std::memory_order_relaxed); }

  void Log(LogSeverity severity, std::string_view message) override {
    if (severity < least_.load(std::memory_order_relaxed)) return;
    const auto level = static_cast<base::LogLevel>(severity);
    if (logger_->Enabled(level)) logger_->Write(level, message);
  }

 private:
  base::Logger* const logger_;
  std::atomic<LogSeverity> least_;
};

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_LOGGER_BRIDGE_H_
