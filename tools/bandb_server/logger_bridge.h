// Hands what the libraries log to the logger of base.
#ifndef BANDB_TOOLS_BANDB_SERVER_LOGGER_BRIDGE_H_
#define BANDB_TOOLS_BANDB_SERVER_LOGGER_BRIDGE_H_

#include <string_view>

#include "bandb/logger.h"
#include "base/logger.h"

namespace bandb::server_program {

// The severities of the public interface are the levels of base.
class LoggerBridge final : public Logger {
 public:
  // Lifetime: borrows the logger.
  explicit LoggerBridge(base::Logger* logger) : logger_(logger) {}

  void Log(LogSeverity severity, std::string_view message) override {
    const auto level = static_cast<base::LogLevel>(severity);
    if (logger_->Enabled(level)) logger_->Write(level, message);
  }

 private:
  base::Logger* const logger_;
};

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_LOGGER_BRIDGE_H_
