// Writes a table (table_format.h).
#ifndef BANDB_STORAGE_TABLE_TABLE_BUILDER_H_
#define BANDB_STORAGE_TABLE_TABLE_BUILDER_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/options.h"
#include "base/file_system.h"
#include "storage/file/file_header.h"
#include "storage/key/internal_key.h"
#include "storage/key/range_tombstones.h"
#include "storage/table/block_builder.h"
#include "storage/table/bloom_filter.h"
#include "storage/table/expiry_sample.h"
#include "storage/table/table_format.h"

namespace bandb::storage {

// A partition of so much index, with its filter, is read in some 10 µs, and finding a key in it
// costs no more than in an index of the whole table.
inline constexpr uint32_t kPartitionIndexBytesMax = 8 << 10;

// For tables of a size, so that small ones have partitions, too.
inline uint32_t PartitionIndexBytes(uint64_t table_bytes) {
  constexpr uint64_t kPartitions = 4096;
  constexpr uint64_t kIndexBytesMin = 256;
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(table_bytes / kPartitions, kIndexBytesMin, kPartitionIndexBytesMax));
}

// How tables are written; the first three are members of Options (include/bandb/options.h).
struct TableOptions {
  uint32_t block_bytes = 4096;
  int bloom_bits_per_key = 10;
  Compression compression = Compression::kNone;
  // Where the index of a table is cut into partitions, each with its filter (table_format.h). A
  // table whose whole index is no larger has none; nor has one of format version 1.
  uint32_t partition_index_bytes = kPartitionIndexBytesMax;
  // A partition has at least so many data blocks, however long the keys are: what stays in memory
  // for it is one separator.
  uint32_t partition_blocks_min = 8;
  // Recorded in the properties. 0: not recorded.
  uint64_t creation_time_ms = 0;
  uint64_t newest_ms = 0;
};

// The trailer of TableSummary::largest where the limit of a range tombstone is what lies furthest.
// A limit is exclusive, and no entry ever has kSequenceMax, so this key comes before everything
// with its spaced key.
inline constexpr uint64_t kTombstoneLimitTrailer = kSequenceMax << 8 | static_cast<uint8_t>(Kind::kRangeDelete);

// What has to be known of a table to install it.
struct TableSummary : TableFigures {
  uint64_t file_bytes = 0;
  // Internal keys that bound all entries and range tombstones: smallest <= each of them <= largest.
  // A tombstone counts with (begin, its sequence and kind) and with (limit,
  // kTombstoneLimitTrailer). Empty if the table is.
  std::string smallest;
  std::string largest;
  SpaceFigures space;
};

// Usage: Add and AddRangeTombstone as often as needed, then Finish; or destroy it without Finish
// and remove the file.
// Lifetime: borrows the file. Thread safety: one thread at a time.
class TableBuilder {
 public:
  // The file is empty. Compression must be built in.
  TableBuilder(base::AppendableFile* file, const FileHeader& header, const TableOptions& options);
  TableBuilder(const TableBuilder&) = delete;
  TableBuilder& operator=(const TableBuilder&) = delete;

  // Keys are internal, strictly increasing, and of any kind but kRangeDelete. A value of a kind
  // with expiry begins with expiry_ms:u64.
  void Add(std::string_view internal_key, std::string_view value);
  // Deletes entries of spaced keys [begin, limit) that are older than `sequence`. In any order, at
  // any time before Finish. A range in which nothing lies is left out.
  void AddRangeTombstone(std::string_view begin_spaced, std::string_view limit_spaced, Sequence sequence);

  // What the file would hold if it were finished now, roughly, in bytes.
  uint64_t FileBytes() const;
  // Memory held, in bytes: what waits for the end of the file, and the block that is made.
  uint64_t memory_bytes() const;
  uint64_t entries() const { return properties_.entries; }
  // The first error of the file. Adding goes on without effect after it, so it need not be asked
  // for at every Add.
  const absl::Status& status() const { return status_; }

  // In place of TableOptions::creation_time_ms; before Finish.
  void SetCreationTime(uint64_t ms) { properties_.creation_time_ms = ms; }
  // Writes what is missing. Does not sync or close the file.
  // Errors: those of the file.
  absl::StatusOr<TableSummary> Finish();

 private:
  void Count(uint64_t trailer, std::string_view value);
  void CountSequence(Sequence sequence);
  void FinishDataBlock();
  // Writes the index entry of the last data block, before the key that the next one begins with;
  // "": there is none.
  void AddIndexEntry(std::string_view next_key);
  // Writes index and filter of the data blocks since the last partition.
  void FinishPartition();
  // Writes the index, whole or as the list of partitions. The names of meta blocks are in order:
  // `filter`, `index` and `partitions` come before all others.
  void FinishIndex();
  BlockHandle WriteBlock(std::string_view payload, Compression compression);
  void Append(std::string_view bytes);
  void WriteRangeTombstones();
  void WriteMetaBlock(std::string_view name, std::string_view payload);
  void ExtendBounds(const RangeTombstone& tombstone);

  base::AppendableFile* const file_;
  const TableOptions options_;
  const uint64_t checksum_seed_;
  const bool cuts_partitions_;
  absl::Status status_;
  bool finished_ = false;
  uint64_t offset_ = 0;

  BlockBuilder data_block_;
  // Of the present partition.
  BlockBuilder index_block_;
  // One entry for each partition that was written.
  BlockBuilder partitions_block_;
  uint64_t partitioned_blocks_ = 0;
  // Set between a data block and the first key after it: only then is their separator known.
  std::optional<BlockHandle> unindexed_block_;
  std::string last_key_;
  std::optional<BloomFilterBuilder> filter_;
  std::vector<RangeTombstone> tombstones_;
  uint64_t tombstone_bytes_ = 0;
  NamedValues meta_index_;
  std::string stored_;  // the block that is being written
  std::string compressed_;

  TableProperties properties_;
  uint64_t hidden_ = 0;
  ExpirySample expiries_;
  bool has_sequence_ = false;
  std::string smallest_;
  std::string largest_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_TABLE_BUILDER_H_
