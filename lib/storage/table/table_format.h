// The bytes of a table: an immutable file of entries in the order of their internal keys.
//
//   table       := file_header (data_block | partition_index | partition_filter)* meta_block* meta_index footer
//   file_header := as in                          file_header.h, magic "BanDBtbl"
//   data_block, partition_index, partition_filter, meta_block, meta_index := stored_block
//   stored_block := payload type:u8 checksum:u64
//                   type      low 4 bits: how the payload is compressed (Compression); high 4 bits: layout of the
//                             payload once it is not compressed, 0 for the ones given here
//                   checksum  base::BlockChecksum of payload and type, with the seed of the file header and the
//                             offset of the payload in the file
//   compressed payload := uncompressed_bytes:varint bytes            only data blocks are compressed
//   handle      := offset:varint payload_bytes:varint                where a stored block begins, without its type and
//                                                                    checksum
//   meta_index  := named_value*                   value: a handle
//   named_value := length:varint name[length] length:varint value[length]       names strictly increasing
//   meta blocks, by name:
//     "filter"            bloom_filter.h; absent if the table has none
//     "index"             a block (block.h) with one entry for each data block: a separator and the block's handle
//     "partitions"        instead of filter and index where those are cut into partitions: a block with one entry for
//                         each of them: the separator of its last data block, and an extent
//   extent      := handle data_blocks:varint filter_payload_bytes:varint       handle: of the partition's index; its
//                  filter is the block right after that one, 0: it has none
//     "prefix filter"     reserved
//     "properties"        named_value*, see TableProperties; unknown names are ignored
//     "range tombstones"  a block with one entry for each: begin, trailer, limit; absent if there is none
//   footer      := meta_index_offset:u64 meta_index_payload_bytes:u64 checksum:u64 magic:8 bytes "BanDBend"
//                  checksum: base::BlockChecksum of the two numbers, with the offset of the footer
//
// Every byte of a table is under one checksum, and each checksum is bound to the file and the
// place. The separator in the index entry of a data block is at or after all its entries and before
// all entries of the next one. If the two spaced keys that it separates differ, it is the shortest
// prefix of the later one that is greater than the earlier one, with the trailer kSeparatorTrailer,
// and comes before everything with that spaced key. Else, and for the last block, it is the last
// internal key of the block.
//
// A partition is a stretch of data blocks, and right after them an index of theirs and a filter of
// their keys, as the blocks of those names are for a whole table. It is what is read of an index
// and a filter at a time, and what leaves memory when others need it. Format version 1 has none.
//
// A value of one of the kinds with expiry begins with expiry_ms:u64.
#ifndef BANDB_STORAGE_TABLE_TABLE_FORMAT_H_
#define BANDB_STORAGE_TABLE_TABLE_FORMAT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/coding.h"
#include "storage/key/internal_key.h"

namespace bandb::storage {

inline constexpr size_t kBlockTrailerBytes = sizeof(uint8_t) + sizeof(uint64_t);
inline constexpr size_t kFooterBytes = 32;

// No data block is larger than this before compression: more than the largest block setting, key
// and value together. The bound on what a decompressor is asked to make.
inline constexpr uint64_t kDataBlockBytesMax = 128 << 20;

// The trailer of separators that are no internal key. No entry has it: its kind does not exist.
inline constexpr uint64_t kSeparatorTrailer = UINT64_MAX;

inline constexpr std::string_view kFilterName = "filter";
inline constexpr std::string_view kIndexName = "index";
inline constexpr std::string_view kPartitionsName = "partitions";
inline constexpr std::string_view kPropertiesName = "properties";
inline constexpr std::string_view kRangeTombstonesName = "range tombstones";

// What every table of this release says of its order.
inline constexpr std::string_view kComparatorName = "bandb.bytewise";

// Where a stored block begins and how long its payload is.
struct BlockHandle {
  uint64_t offset = 0;
  uint64_t payload_bytes = 0;

  uint64_t end() const { return offset + payload_bytes + kBlockTrailerBytes; }
  friend bool operator==(const BlockHandle&, const BlockHandle&) = default;
};

void AppendHandle(std::string* to, const BlockHandle& handle);
// False if the bytes are not exactly a handle of a block that ends at or before `file_bytes`.
bool ParseHandle(std::string_view bytes, uint64_t file_bytes, BlockHandle* handle);

// Where in a file blocks may lie.
struct BlockBounds {
  uint64_t begin = 0;
  uint64_t end = 0;
};

// A partition: where its index and its filter lie, and how many data blocks it has.
struct PartitionExtent {
  BlockHandle index;
  // No payload: there is none.
  BlockHandle filter;
  uint64_t data_blocks = 0;

  bool has_filter() const { return filter.payload_bytes != 0; }
  uint64_t end() const { return has_filter() ? filter.end() : index.end(); }
};

void AppendExtent(std::string* to, const PartitionExtent& extent);
// False if the bytes are not exactly an extent of blocks within the bounds, with data blocks.
bool ParseExtent(std::string_view bytes, const BlockBounds& bounds, PartitionExtent* extent);

// The kFooterBytes bytes at `offset`.
std::string EncodeFooter(const BlockHandle& meta_index, uint64_t checksum_seed, uint64_t offset);
// Errors: kDataLoss the bytes are no footer, or not the one of this file and place
absl::StatusOr<BlockHandle> DecodeFooter(std::string_view bytes, uint64_t checksum_seed, uint64_t offset,
                                         std::string_view path);

using NamedValues = std::vector<std::pair<std::string, std::string>>;

// The names must be strictly increasing.
std::string EncodeNamedValues(const NamedValues& values);
// False if the bytes are malformed or the names not strictly increasing.
bool ParseNamedValues(std::string_view bytes, NamedValues* values);
// The value of a name; null if there is none.
const std::string* FindNamedValue(const NamedValues& values, std::string_view name);

// What is counted of the entries of a table: in its properties, and for those that install it and
// find it.
struct TableFigures {
  uint64_t entries = 0;  // without range tombstones
  uint64_t deletes = 0;  // entries of kind delete
  uint64_t range_tombstones = 0;
  Sequence smallest_sequence = 0;
  Sequence largest_sequence = 0;
  uint64_t earliest_expiry_ms = UINT64_MAX;  // UINT64_MAX: nothing expires

  const TableFigures& figures() const { return *this; }
  friend bool operator==(const TableFigures&, const TableFigures&) = default;
};

// What a merge of the table alone would give back.
struct SpaceFigures {
  uint64_t hidden = 0;                  // entries of whose key the table holds a newer one
  uint64_t expired_at_ms = UINT64_MAX;  // when a quarter of the entries has expired; UINT64_MAX: never

  friend bool operator==(const SpaceFigures&, const SpaceFigures&) = default;
};

// What a table says of itself. Each number is stored as a varint under the name of its member, the
// comparator as text; newest_ms only where it is known.
struct TableProperties : TableFigures {
  uint64_t raw_key_bytes = 0;  // internal keys, before prefix compression
  uint64_t raw_value_bytes = 0;
  uint64_t data_blocks = 0;
  uint64_t data_bytes = 0;        // of the data blocks as stored
  uint64_t creation_time_ms = 0;  // 0: not recorded
  // Of a table that was merged of others of level 0: the NewestMs of them. 0: not recorded.
  uint64_t newest_ms = 0;
  std::string comparator = std::string(kComparatorName);

  // A time at or after the commit times of all that it holds. 0: not known.
  uint64_t NewestMs() const { return newest_ms == 0 ? creation_time_ms : newest_ms; }
};

std::string EncodeProperties(const TableProperties& properties);
// False if the bytes are malformed or lack a property.
bool ParseProperties(std::string_view bytes, TableProperties* properties);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_TABLE_FORMAT_H_
