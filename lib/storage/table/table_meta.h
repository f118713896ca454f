// What is kept of a table in memory as long as it is open (table_format.h): its properties, its
// range tombstones, and where its partitions lie.
#ifndef BANDB_STORAGE_TABLE_TABLE_META_H_
#define BANDB_STORAGE_TABLE_TABLE_META_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/key/range_tombstones.h"
#include "storage/table/block_cache.h"
#include "storage/table/table_file.h"
#include "storage/table/table_format.h"
#include "storage/table/table_index.h"

namespace bandb::storage {

// Immutable once read. Thread safety: any thread, any number of calls at once.
class TableMeta {
 public:
  // Reads and verifies all meta blocks but index and filter. The cache only lends memory. Errors:
  // as TableFile.
  static absl::StatusOr<TableMeta> Read(const TableFile& file, BlockCache* cache);

  const TableProperties& properties() const { return properties_; }
  const FragmentedTombstones& tombstones() const { return tombstones_; }
  // A table that is not cut is one partition, whose data blocks may be none.
  size_t partitions() const { return extents_.size(); }
  const PartitionExtent& extent(size_t k) const { return extents_[k]; }
  // Where the data blocks of partition k may lie.
  BlockBounds bounds(size_t k) const;
  // How many data blocks there are before those of partition k.
  uint64_t first_block(size_t k) const { return first_blocks_[k]; }
  // The partition with the first entry at or after the internal key, unless the table
  // has none; else partitions(). Of one that is not cut, that one.
  size_t FindPartition(std::string_view internal_key) const {
    return extents_.size() == 1 ? 0 : top_.Find(internal_key);
  }
  // Over the partitions; empty if the table is not cut.
  const TableIndex& top() const { return top_; }
  // Of all of it, roughly.
  uint64_t memory_bytes() const;

 private:
  TableMeta() = default;
  absl::Status Take(const TableFile& file, const NamedValues& values, BlockCache* cache);
  absl::Status ReadProperties(const TableFile& file, const BlockHandle& handle, BlockCache* cache);
  absl::Status ReadPartitions(const TableFile& file, const BlockHandle& handle, BlockCache* cache);
  absl::Status ReadTombstones(const TableFile& file, const BlockHandle& handle, BlockCache* cache);

  uint64_t blocks_end_ = 0;
  TableProperties properties_;
  TableIndex top_;
  std::vector<PartitionExtent> extents_;
  std::vector<uint64_t> first_blocks_;
  FragmentedTombstones tombstones_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_TABLE_META_H_
