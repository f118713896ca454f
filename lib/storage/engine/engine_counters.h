// What an engine counts.
#ifndef BANDB_STORAGE_ENGINE_ENGINE_COUNTERS_H_
#define BANDB_STORAGE_ENGINE_ENGINE_COUNTERS_H_

#include <atomic>
#include <cstdint>

#include "bandb/stats.h"

namespace bandb::storage {

// Counters that the hot paths raise without a lock.
struct EngineCounters {
  std::atomic<uint64_t> operations{0}, batches{0}, user_bytes{0}, log_bytes{0};
  std::atomic<uint64_t> stalls{0}, stall_micros{0};
  std::atomic<uint64_t> gets{0}, tables_probed{0}, filter_negatives{0};
  // Of the application: what its listener and its callbacks threw.
  std::atomic<uint64_t> exceptions{0};
  std::atomic<uint64_t> values_removed{0}, values_changed{0}, forgotten_tables{0}, forgotten_bytes{0};

  void FillStats(Stats* stats) const;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_ENGINE_COUNTERS_H_
