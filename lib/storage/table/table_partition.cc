#include "storage/table/table_partition.h"

#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

absl::StatusOr<std::unique_ptr<TablePartition>> TablePartition::Read(const TableFile& file, size_t number,
                                                                     const PartitionExtent& extent,
                                                                     const BlockBounds& bounds, BlockCache* cache) {
  BANDB_ASSERT(cache != nullptr);
  std::unique_ptr<TablePartition> partition(new TablePartition(cache->partitions(), number));
  // Where they lie side by side, one read is enough for both.
  ReadaheadBuffer both;
  if (extent.has_filter() && extent.filter.offset == extent.index.end()) {
    BANDB_RETURN_IF_ERROR(file.ReadAhead(extent.index.offset, extent.filter.end() - extent.index.offset, &both));
  }
  BANDB_RETURN_IF_ERROR(partition->ReadIndex(file, extent, bounds, cache, both));
  if (extent.has_filter()) BANDB_RETURN_IF_ERROR(partition->ReadFilter(file, extent.filter, cache, both));
  partition->blocks_.emplace(cache, partition->index_.size());
  partition->Charge(partition->MemoryBytes());
  return partition;
}

absl::Status TablePartition::ReadIndex(const TableFile& file, const PartitionExtent& extent, const BlockBounds& bounds,
                                       BlockCache* cache, const ReadaheadBuffer& both) {
  BANDB_ASSIGN_OR_RETURN(const BlockRef block,
                         file.ReadEntries(extent.index, Block::Trailers::kSeparators, cache, &both));
  std::optional<TableIndex> index = TableIndex::Make(Block::FromParsed(block.payload()), bounds);
  if (!index) return file.Damage(extent.index.offset, "the index is malformed");
  if (index->size() != extent.data_blocks) {
    return file.Damage(extent.index.offset, "the index has another number of data blocks");
  }
  index_ = *std::move(index);
  return absl::OkStatus();
}

absl::Status TablePartition::ReadFilter(const TableFile& file, const BlockHandle& handle, BlockCache* cache,
                                        const ReadaheadBuffer& both) {
  BANDB_ASSIGN_OR_RETURN(const BlockRef block, file.ReadBlock(handle, cache, &both));
  const std::string_view payload = block.payload();
  filter_lines_.resize((payload.size() + kFilterLineBytes - 1) / kFilterLineBytes);
  char* lines = filter_lines_.empty() ? nullptr : filter_lines_.front().bytes;
  if (lines != nullptr) std::memcpy(lines, payload.data(), payload.size());
  const std::optional<BloomFilter> filter = BloomFilter::Parse(std::string_view(lines, payload.size()));
  if (!filter) return file.Damage(handle.offset, "the filter is malformed");
  filter_ = *filter;
  return absl::OkStatus();
}

uint64_t TablePartition::MemoryBytes() const {
  return sizeof(TablePartition) + index_.memory_bytes() + filter_lines_.size() * sizeof(FilterLine) +
         blocks_->memory_bytes();
}

}  // namespace bandb::storage
