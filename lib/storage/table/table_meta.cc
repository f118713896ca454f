#include "storage/table/table_meta.h"

#include <optional>
#include <utility>

#include "base/status.h"
#include "storage/table/block_cursor.h"

namespace bandb::storage {

absl::StatusOr<TableMeta> TableMeta::Read(const TableFile& file, BlockCache* cache) {
  TableMeta meta;
  meta.blocks_end_ = file.blocks_end();
  const uint64_t meta_at = file.meta_index().offset;
  BANDB_ASSIGN_OR_RETURN(const BlockRef block, file.ReadBlock(file.meta_index(), cache));
  NamedValues values;
  if (!ParseNamedValues(block.payload(), &values)) return file.Damage(meta_at, "the meta index is malformed");
  BANDB_RETURN_IF_ERROR(meta.Take(file, values, cache));
  if (meta.properties_.range_tombstones != meta.tombstones_.tombstones().size()) {
    return file.Damage(meta_at, "the properties count another number of range tombstones");
  }
  uint64_t data_blocks = 0;
  for (const PartitionExtent& extent : meta.extents_) {
    meta.first_blocks_.push_back(data_blocks);
    // No sum of what the file says may overflow.
    if (extent.data_blocks > meta.properties_.data_blocks - data_blocks) break;
    data_blocks += extent.data_blocks;
  }
  if (meta.first_blocks_.size() != meta.extents_.size() || data_blocks != meta.properties_.data_blocks) {
    return file.Damage(meta_at, "the properties count another number of data blocks");
  }
  return meta;
}

absl::Status TableMeta::Take(const TableFile& file, const NamedValues& values, BlockCache* cache) {
  const uint64_t meta_at = file.meta_index().offset;
  PartitionExtent whole;
  bool has_index = false;
  bool has_properties = false;
  for (const auto& [name, value] : values) {
    BlockHandle handle;
    if (!ParseHandle(value, file.blocks_end(), &handle)) {
      return file.Damage(meta_at, "the meta index points outside of the file");
    }
    if (name == kIndexName) {
      whole.index = handle;
      has_index = true;
    } else if (name == kPartitionsName && file.header().format_version >= 2) {
      BANDB_RETURN_IF_ERROR(ReadPartitions(file, handle, cache));
    } else if (name == kPropertiesName) {
      BANDB_RETURN_IF_ERROR(ReadProperties(file, handle, cache));
      has_properties = true;
    } else if (name == kFilterName) {
      if (handle.payload_bytes == 0) return file.Damage(handle.offset, "the filter is malformed");
      whole.filter = handle;
    } else if (name == kRangeTombstonesName) {
      BANDB_RETURN_IF_ERROR(ReadTombstones(file, handle, cache));
    }
  }
  if (!has_properties || has_index != extents_.empty()) {
    return file.Damage(meta_at, "the meta index names no index, more than one, or no properties");
  }
  if (has_index) {
    whole.data_blocks = properties_.data_blocks;
    extents_.push_back(whole);
  }
  return absl::OkStatus();
}

absl::Status TableMeta::ReadPartitions(const TableFile& file, const BlockHandle& handle, BlockCache* cache) {
  BANDB_ASSIGN_OR_RETURN(const BlockRef block, file.ReadEntries(handle, Block::Trailers::kSeparators, cache));
  std::optional<TableIndex> top =
      TableIndex::MakeTop(Block::FromParsed(block.payload()), {kFileHeaderBytes, file.blocks_end()}, &extents_);
  if (!top || top->size() < 2) return file.Damage(handle.offset, "the list of partitions is malformed");
  top_ = *std::move(top);
  return absl::OkStatus();
}

BlockBounds TableMeta::bounds(size_t k) const {
  if (top_.size() == 0) return {kFileHeaderBytes, blocks_end_};
  return {k == 0 ? kFileHeaderBytes : extents_[k - 1].end(), extents_[k].index.offset};
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
  return top_.memory_bytes() + tombstones_.memory_bytes() + extents_.capacity() * sizeof(PartitionExtent) +
         first_blocks_.capacity() * sizeof(uint64_t);
}

}  // namespace bandb::storage
