// Hands log lines to the application's logger, and lets nothing out that it throws.
#ifndef BANDB_KV_HOST_LOGGER_H_
#define BANDB_KV_HOST_LOGGER_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#include "bandb/logger.h"
#include "base/logger.h"
#include "kv/host_code.h"

namespace bandb::kv {

// Thread safety: any thread. Lifetime: `logger` is borrowed, and may be null.
class HostLogger final : public base::Logger {
 public:
  explicit HostLogger(bandb::Logger* logger) : logger_(logger) {}
  bool Enabled(base::LogLevel) const override { return logger_ != nullptr; }
  void Write(base::LogLevel level, std::string_view message) override {
    if (logger_ == nullptr) return;
    if (RunContained([&]() { logger_->Log(static_cast<LogSeverity>(level), message); })) return;
    exceptions_.fetch_add(1, std::memory_order_relaxed);
  }
  uint64_t exceptions() const { return exceptions_.load(std::memory_order_relaxed); }

 private:
  bandb::Logger* const logger_;
  std::atomic<uint64_t> exceptions_{0};
};

}  // namespace bandb::kv

#endif  // BANDB_KV_HOST_LOGGER_H_
