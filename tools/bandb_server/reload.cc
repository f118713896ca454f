#include "reload.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "base/status.h"
#include "settings.h"

namespace bandb::server_program {

namespace {

void LogRefusal(std::string_view mistakes, Logger* logger) {
  while (!mistakes.empty()) {
    const size_t end = std::min(mistakes.find('\n'), mistakes.size());
    logger->Log(LogSeverity::kError, fmt::format("reload refused: {}", mistakes.substr(0, end)));
    mistakes.remove_prefix(std::min(end + 1, mistakes.size()));
  }
}

}  // namespace

void Reload(const absl::StatusOr<Config>& fresh, Config* running, LoggerBridge* logger) {
  if (!fresh.ok()) return LogRefusal(base::Message(fresh.status()), logger);
  std::string taken;
  std::string waiting;
  for (const Setting& setting : Settings()) {
    if (setting.show(*fresh) == setting.show(*running)) continue;
    std::string& names = setting.is_live ? taken : waiting;
    names += fmt::format("{}{} = {}", names.empty() ? "" : ", ", NameOf(setting), setting.show(*fresh));
  }
  running->log_level = fresh->log_level;
  running->server.slow_log_threshold = fresh->server.slow_log_threshold;
  running->server.slow_log_key_bytes = fresh->server.slow_log_key_bytes;
  logger->SetLeast(running->log_level);
  if (!taken.empty()) logger->Log(LogSeverity::kInfo, fmt::format("reloaded: {}", taken));
  if (!waiting.empty()) logger->Log(LogSeverity::kWarning, fmt::format("these need a restart to change: {}", waiting));
  if (taken.empty() && waiting.empty()) {
    logger->Log(LogSeverity::kInfo, "reloaded: nothing that the configuration says has changed");
  }
}

}  // namespace bandb::server_program
