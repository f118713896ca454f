// How the memory of a database is divided. Of Options::write_buffer_bytes one half is the memtable
// that is written, the other those being flushed.
#ifndef BANDB_STORAGE_ENGINE_WRITE_BUFFER_H_
#define BANDB_STORAGE_ENGINE_WRITE_BUFFER_H_

#include <algorithm>
#include <cstddef>

#include "bandb/options.h"
#include "kv/options.h"
#include "storage/table/block_cache.h"

namespace bandb::storage {

// However small the buffer is: a memtable pays for its log and its table.
inline constexpr size_t kMemtableBytesMin = 64 << 10;

// Of the budget one part of so many is for readers, whatever else takes memory.
inline constexpr uint64_t kReadersParts = 8;

// The capacity of a memtable.
inline size_t MemtableBytes(const Options& options) {
  return std::max<size_t>(options.write_buffer_bytes / 2, kMemtableBytesMin);
}

// What all memtables together may take before writers wait for a flush.
inline size_t MemtablesBytesMax(const Options& options) {
  return std::max<size_t>(options.write_buffer_bytes, 2 * MemtableBytes(options));
}

// What of the budget is there beside the write buffer and the capacity of the block cache: a part
// of it for indexes and filters, and the rest for all else, which takes from the cache beyond it.
inline BlockCache::Spare SpareMemory(const Options& options) {
  const uint64_t budget = kv::MemoryBudgetBytes(options);
  const uint64_t others = MemtablesBytesMax(options) + options.block_cache_bytes;
  const uint64_t spare = budget - std::min(budget, others);
  constexpr uint64_t kPartitionParts = 4;
  return {.partition_bytes = spare / kPartitionParts, .pinned_bytes = spare - spare / kPartitionParts};
}

// What memtables may take together in a database that is only read, where they stay: all but what
// stays the cache's and what is kept for readers in any case.
inline uint64_t ReplayRoomBytes(const BlockCache& cache, const Options& options) {
  const uint64_t budget = kv::MemoryBudgetBytes(options);
  const uint64_t others = cache.HeldBytes() + budget / kReadersParts;
  return budget - std::min(budget, others);
}

// What of its logs a database may hold while it is opened, beside the memtables that are made of
// them.
inline uint64_t HeldLogsRoomBytes(const BlockCache& cache, const Options& options) {
  const uint64_t budget = kv::MemoryBudgetBytes(options);
  const uint64_t others = cache.HeldBytes() + MemtablesBytesMax(options);
  return budget - std::min(budget, others);
}

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_WRITE_BUFFER_H_
