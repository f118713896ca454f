#include "storage/compaction/write_pressure.h"

#include <algorithm>

#include "base/assert.h"

namespace bandb::storage {

namespace {

// Level 0 with this many times its trigger slows writers down, and with this many stops them.
constexpr int kSlowdownTriggers = 3;
constexpr int kStopTriggers = 8;
// Tiered, there are more by design.
constexpr int kTieredSlowdownTriggers = 6;
constexpr int kTieredStopTriggers = 12;
// So many that are stuck don't count: they are merged among themselves, and a logarithmic number of
// them remains.
constexpr size_t kStuckTablesMax = 64;
// At full pressure a writer waits this long for each byte: 8 MiB/s.
constexpr double kNanosPerByteAtFullPressure = 1e9 / (8 << 20);

}  // namespace

WritePressure PressureOf(const Version& version, const CompactionSettings& settings, size_t stuck) {
  BANDB_ASSERT(settings.level0_tables > 0);
  BANDB_ASSERT(stuck <= version.level(0).size());
  // There its tables are not on their way to anywhere.
  if (settings.style == CompactionStyle::kFifo) return {};
  const int tables = static_cast<int>(version.level(0).size() - std::min(stuck, kStuckTablesMax));
  const bool is_tiered = settings.style == CompactionStyle::kTiered;
  const int slow = settings.level0_tables * (is_tiered ? kTieredSlowdownTriggers : kSlowdownTriggers);
  const int stop = settings.level0_tables * (is_tiered ? kTieredStopTriggers : kStopTriggers);
  const int permille = std::clamp((tables - slow) * 1000 / (stop - slow), 0, 1000);
  BANDB_ASSERT((permille == 1000) == (tables >= stop));
  return {.permille = static_cast<uint32_t>(permille), .stops = tables >= stop};
}

int64_t WriteDelayNanos(uint32_t pressure_permille, uint64_t bytes) {
  BANDB_ASSERT(pressure_permille <= 1000);
  return static_cast<int64_t>(static_cast<double>(bytes) * kNanosPerByteAtFullPressure * pressure_permille / 1000);
}

}  // namespace bandb::storage
