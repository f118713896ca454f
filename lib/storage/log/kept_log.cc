#include "storage/log/kept_log.h"

#include <algorithm>

namespace bandb::storage {

namespace {

// What a log counts as at the least: a file takes a block, and a line in the manifest.
constexpr uint64_t kLogBytesMin = 4096;

uint64_t Weight(const KeptLog& log) { return std::max(log.bytes, kLogBytesMin); }

}  // namespace

uint64_t KeptBytes(const std::vector<KeptLog>& logs) {
  uint64_t bytes = 0;
  for (const KeptLog& log : logs) bytes += Weight(log);
  return bytes;
}

size_t LogsToLetGo(const std::vector<KeptLog>& logs, const KeepPolicy& policy) {
  uint64_t bytes = KeptBytes(logs);
  size_t count = 0;
  for (const KeptLog& log : logs) {
    const uint64_t age_ms = policy.now_ms - std::min(policy.now_ms, log.end_ms);
    const bool wanted = age_ms <= policy.keep_ms || log.last_sequence > policy.floor;
    if (bytes <= policy.keep_bytes && wanted) break;
    bytes -= Weight(log);
    ++count;
  }
  return count;
}

}  // namespace bandb::storage
