// What is kept of a table in memory while it is open: everything in its meta blocks
// (table_format.h).
#ifndef BANDB_STORAGE_TABLE_TABLE_META_H_
#define BANDB_STORAGE_TABLE_TABLE_META_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/key/range_tombstones.h"
#include "storage/table/block_cache.h"
#include "storage/table/bloom_filter.h"
#include "storage/table/table_file.h"
#include "storage/table/table_format.h"
#include "storage/table/table_index.h"

namespace bandb::storage {

// Immutable once read. Thread safety: any thread, any number of calls at once.
class TableMeta {
 public:
  // Reads and verifies all meta blocks. The cache only lends memory. Errors: as TableFile.
  static absl::StatusOr<TableMeta> Read(const TableFile& file, BlockCache* cache);

  const TableProperties& properties() const { return properties_; }
  const TableIndex& index() const { return index_; }
  const BloomFilter& filter() const { return filter_; }
  const FragmentedTombstones& tombstones() const { return tombstones_; }
  // Of all of it, roughly.
  uint64_t memory_bytes() const;

 private:
  struct alignas(kFilterLineBytes) FilterLine {
    char bytes[kFilterLineBytes];
  };

  TableMeta() = default;
  absl::Status ReadProperties(const TableFile& file, const BlockHandle& handle, BlockCache* cache);
  absl::Status ReadIndex(const TableFile& file, const BlockHandle& handle, BlockCache* cache);
  absl::Status ReadFilter(const TableFile& file, const BlockHandle& handle, BlockCache* cache);
  absl::Status ReadTombstones(const TableFile& file, const BlockHandle& handle, BlockCache* cache);

  TableProperties properties_;
  TableIndex index_;
  std::vector<FilterLine> filter_lines_;  // what filter_ views, aligned as its lines want to be
  BloomFilter filter_;
  FragmentedTombstones tombstones_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_TABLE_META_H_
