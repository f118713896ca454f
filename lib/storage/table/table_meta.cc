#include "storage/table/table_meta.h"

#include <cstring>
#include <optional>
#include <utility>

#include "base/status.h"
#include "storage/table/block_cursor.h"

namespace bandb::storage {

absl::StatusOr<TableMeta> TableMeta::Read(const TableFile& file, BlockCache* cache) {
  TableMeta meta;
  const uint64_t meta_at = file.meta_index().offset;
  BANDB_ASSIGN_OR_RETURN(const BlockRef block, file.ReadBlock(file.meta_index(), cache));
  NamedValues values;
  if (!ParseNamedValues(block.payload(), &values)) return file.Damage(meta_at, "the meta index is malformed");
  bool has_index = false;
  bool has_properties = false;
  for (const auto& [name, value] : values) {
    BlockHandle handle;
    if (!ParseHandle(value, file.blocks_end(), &handle)) {
      return file.Damage(meta_at, "the meta index points outside of the file");
    }
    if (name == kIndexName) {
      BANDB_RETURN_IF_ERROR(meta.ReadIndex(file, handle, cache));
      has_index = true;
    } else if (name == kPropertiesName) {
      BANDB_RETURN_IF_ERROR(meta.ReadProperties(file, handle, cache));
      has_properties = true;
    } else if (name == kFilterName) {
      BANDB_RETURN_IF_ERROR(meta.ReadFilter(file, handle, cache));
    } else if (name == kRangeTombstonesName) {
      BANDB_RETURN_IF_ERROR(meta.ReadTombstones(file, handle, cache));
    }
  }
  if (!has_index || !has_properties) return file.Damage(meta_at, "the meta index names no index or no properties");
  if (meta.properties_.range_tombstones != meta.tombstones_.tombstones().size()) {
    return file.Damage(meta_at, "the properties count another number of range tombstones");
  }
  if (meta.properties_.data_blocks != meta.index_.size()) {
    return file.Damage(meta_at, "the properties count another number of data blocks");
  }
  return meta;
}

absl::Status TableMeta::ReadProperties(const TableFile& file, const BlockHandle& handle, BlockCache* cache) {
  BANDB_ASSIGN_OR_RETURN(const BlockRef block, file.ReadBlock(handle, cache));
  if (!ParseProperties(block.payload(), &properties_)) {
    return file.Damage(handle.offset, "the properties are malformed");
  }
  if (properties_.comparator != kComparatorName) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "{}: offset {}: keys are in the order \"{}\", which this program does not know", file.path(),
                       handle.offset, properties_.comparator);
  }
  return absl::OkStatus();
}

absl::Status TableMeta::ReadIndex(const TableFile& file, const BlockHandle& handle, BlockCache* cache) {
  BANDB_ASSIGN_OR_RETURN(const BlockRef block, file.ReadEntries(handle, Block::Trailers::kSeparators, cache));
  std::optional<TableIndex> index = TableIndex::Make(Block::FromParsed(block.payload()), file.blocks_end());
  if (!index) return file.Damage(handle.offset, "the index is malformed");
  index_ = *std::move(index);
  return absl::OkStatus();
}

absl::Status TableMeta::ReadFilter(const TableFile& file, const BlockHandle& handle, BlockCache* cache) {
  BANDB_ASSIGN_OR_RETURN(const BlockRef block, file.ReadBlock(handle, cache));
  const std::string_view payload = block.payload();
  filter_lines_.resize((payload.size() + kFilterLineBytes - 1) / kFilterLineBytes);
  char* lines = filter_lines_.empty() ? nullptr : filter_lines_.front().bytes;
  if (lines != nullptr) std::memcpy(lines, payload.data(), payload.size());
  const std::optional<BloomFilter> filter = BloomFilter::Parse(std::string_view(lines, payload.size()));
  if (!filter) return file.Damage(handle.offset, "the filter is malformed");
  filter_ = *filter;
  return absl::OkStatus();
}

absl::Status TableMeta::ReadTombstones(const TableFile& file, const BlockHandle& handle, BlockCache* cache) {
  BANDB_ASSIGN_OR_RETURN(const BlockRef block, file.ReadEntries(handle, Block::Trailers::kInternalKeys, cache));
  std::vector<RangeTombstone> tombstones;
  BlockCursor cursor;
  cursor.Reset(Block::FromParsed(block.payload()));
  for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) {
    const uint64_t trailer = Trailer(cursor.key());
    const std::string_view begin = SpacedKey(cursor.key());
    // A limit becomes the begin of what the next compaction writes, so it has the bounds of a key.
    if (TrailerKind(trailer) != Kind::kRangeDelete || begin >= cursor.value() ||
        cursor.value().size() > kSpacedKeyBytesMax) {
      return file.Damage(handle.offset, "the range tombstones are malformed");
    }
    tombstones.push_back({std::string(begin), std::string(cursor.value()), TrailerSequence(trailer)});
  }
  tombstones_ = FragmentedTombstones(std::move(tombstones));
  return absl::OkStatus();
}

uint64_t TableMeta::memory_bytes() const {
  return index_.memory_bytes() + tombstones_.memory_bytes() + filter_lines_.size() * sizeof(FilterLine);
}

}  // namespace bandb::storage
