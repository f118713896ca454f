// A partition of a table in memory: the index of a stretch of data blocks, the filter of their
// keys, and which of those blocks the cache holds.
//
// A table that is not cut into partitions is one partition.
#ifndef BANDB_STORAGE_TABLE_TABLE_PARTITION_H_
#define BANDB_STORAGE_TABLE_TABLE_PARTITION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/table/block_cache.h"
#include "storage/table/bloom_filter.h"
#include "storage/table/partition_cache.h"
#include "storage/table/table_file.h"
#include "storage/table/table_format.h"
#include "storage/table/table_index.h"

namespace bandb::storage {

// Immutable but for what the cache holds. Thread safety: const methods from any thread.
class TablePartition final : public CachedPartition {
 public:
  // Reads and checks it. Its data blocks must lie within the bounds. Errors: as TableFile.
  static absl::StatusOr<std::unique_ptr<TablePartition>> Read(const TableFile& file, size_t number,
                                                              const PartitionExtent& extent, const BlockBounds& bounds,
                                                              BlockCache* cache);

  // Which of the partitions of its table it is.
  size_t number() const { return number_; }
  const TableIndex& index() const { return index_; }
  bool MayContain(uint64_t filter_hash) const { return filter_.MayContain(filter_hash); }
  void PrefetchFilter(uint64_t filter_hash) const { filter_.Prefetch(filter_hash); }
  const BlockCache::Table& blocks() const { return *blocks_; }

 private:
  struct alignas(kFilterLineBytes) FilterLine {
    char bytes[kFilterLineBytes];
  };

  TablePartition(PartitionCache* cache, size_t number) : CachedPartition(cache), number_(number) {}
  absl::Status ReadIndex(const TableFile& file, const PartitionExtent& extent, const BlockBounds& bounds,
                         BlockCache* cache, const ReadaheadBuffer& both);
  absl::Status ReadFilter(const TableFile& file, const BlockHandle& handle, BlockCache* cache,
                          const ReadaheadBuffer& both);
  uint64_t MemoryBytes() const;

  const size_t number_;
  TableIndex index_;
  BloomFilter filter_;
  std::optional<BlockCache::Table> blocks_;
  std::vector<FilterLine> filter_lines_;  // what filter_ views, aligned as its lines want to be
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_TABLE_PARTITION_H_
