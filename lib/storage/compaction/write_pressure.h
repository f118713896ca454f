// How level 0 slows writers down, and stops them, when compactions cannot keep up.
#ifndef BANDB_STORAGE_COMPACTION_WRITE_PRESSURE_H_
#define BANDB_STORAGE_COMPACTION_WRITE_PRESSURE_H_

#include <cstddef>
#include <cstdint>

#include "storage/compaction/compaction_picker.h"
#include "storage/version/version.h"

namespace bandb::storage {

struct WritePressure {
  // 0 to 1000: from where writers are slowed to where they stop.
  uint32_t permille = 0;
  // No memtable may be frozen until level 0 has shrunk.
  bool stops = false;
};

// `stuck` tables of level 0 can be taken out of it by no compaction: writers don't wait for what
// never comes, unless there are very many.
WritePressure PressureOf(const Version& version, const CompactionSettings& settings, size_t stuck = 0);

// How long a writer of so many bytes should wait under this pressure.
int64_t WriteDelayNanos(uint32_t pressure_permille, uint64_t bytes);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_COMPACTION_WRITE_PRESSURE_H_
