#include "storage/table/table_builder.h"

#include <algorithm>
#include <tuple>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/status.h"
#include "storage/table/compression.h"
#include "storage/table/table_index.h"

namespace bandb::storage {

TableBuilder::TableBuilder(base::AppendableFile* file, const FileHeader& header, const TableOptions& options)
    : file_(file),
      options_(options),
      checksum_seed_(header.checksum_seed()),
      cuts_partitions_(header.format_version != 1) {
  BANDB_ASSERT(header.type == FileType::kTable);
  BANDB_ASSERT(file->Size() == 0);
  BANDB_ASSERT(CompressionIsBuiltIn(options.compression));
  if (options.bloom_bits_per_key > 0) filter_.emplace(options.bloom_bits_per_key);
  properties_.creation_time_ms = options.creation_time_ms;
  properties_.newest_ms = options.newest_ms;
  Append(EncodeFileHeader(header));
}

void TableBuilder::Add(std::string_view internal_key, std::string_view value) {
  BANDB_ASSERT(!finished_);
  BANDB_ASSERT(IsInternalKey(internal_key));
  const std::string_view before = data_block_.empty() ? std::string_view(last_key_) : data_block_.last_key();
  BANDB_ASSERT(before.empty() || CompareInternalKeys(before, internal_key) < 0);
  if (unindexed_block_) AddIndexEntry(internal_key);
  if (before.empty()) {
    smallest_ = internal_key;
  } else if (SpacedKey(before) == SpacedKey(internal_key)) {
    ++hidden_;
  }
  if (filter_) filter_->Add(FilterHash(SpacedKey(internal_key)));
  Count(Trailer(internal_key), value);
  properties_.raw_key_bytes += internal_key.size();
  properties_.raw_value_bytes += value.size();
  data_block_.Add(internal_key, value);
  if (data_block_.bytes() >= options_.block_bytes) FinishDataBlock();
}

void TableBuilder::Count(uint64_t trailer, std::string_view value) {
  const Kind kind = TrailerKind(trailer);
  BANDB_ASSERT(kind != Kind::kRangeDelete);
  ++properties_.entries;
  if (kind == Kind::kDelete) ++properties_.deletes;
  if (HasExpiry(kind)) {
    BANDB_ASSERT(value.size() >= sizeof(uint64_t));
    const auto expiry_ms = base::LoadFixed<uint64_t>(value.data());
    properties_.earliest_expiry_ms = std::min(properties_.earliest_expiry_ms, expiry_ms);
    expiries_.Add(expiry_ms);
  }
  CountSequence(TrailerSequence(trailer));
}

void TableBuilder::CountSequence(Sequence sequence) {
  properties_.smallest_sequence = has_sequence_ ? std::min(properties_.smallest_sequence, sequence) : sequence;
  properties_.largest_sequence = std::max(properties_.largest_sequence, sequence);
  has_sequence_ = true;
}

void TableBuilder::AddRangeTombstone(std::string_view begin_spaced, std::string_view limit_spaced, Sequence sequence) {
  BANDB_ASSERT(!finished_);
  BANDB_ASSERT(begin_spaced.size() >= kSpaceBytes);
  if (begin_spaced >= limit_spaced) return;
  tombstones_.push_back({std::string(begin_spaced), std::string(limit_spaced), sequence});
  tombstone_bytes_ += begin_spaced.size() + limit_spaced.size() + kTrailerBytes;
}

uint64_t TableBuilder::FileBytes() const {
  return offset_ + (data_block_.empty() ? 0 : data_block_.bytes()) + index_block_.bytes() + partitions_block_.bytes() +
         tombstone_bytes_ + (filter_ ? filter_->filter_bytes() : 0) + kFooterBytes;
}

uint64_t TableBuilder::memory_bytes() const {
  return data_block_.memory_bytes() + index_block_.memory_bytes() + partitions_block_.memory_bytes() +
         (filter_ ? filter_->memory_bytes() : 0) + tombstone_bytes_ + tombstones_.capacity() * sizeof(RangeTombstone) +
         stored_.capacity() + compressed_.capacity();
}

void TableBuilder::FinishDataBlock() {
  BANDB_ASSERT(!data_block_.empty());
  BANDB_ASSERT(!unindexed_block_);
  last_key_ = data_block_.last_key();
  unindexed_block_ = WriteBlock(data_block_.Finish(), options_.compression);
  ++properties_.data_blocks;
  properties_.data_bytes += unindexed_block_->end() - unindexed_block_->offset;
  data_block_.Reset();
}

void TableBuilder::AddIndexEntry(std::string_view next_key) {
  BANDB_ASSERT(unindexed_block_.has_value());
  BANDB_ASSERT(next_key.empty() || CompareInternalKeys(last_key_, next_key) < 0);
  std::string handle;
  AppendHandle(&handle, *unindexed_block_);
  index_block_.Add(next_key.empty() ? last_key_ : MakeSeparator(last_key_, next_key), handle);
  unindexed_block_.reset();
  if (!cuts_partitions_ || next_key.empty() || index_block_.bytes() < options_.partition_index_bytes) return;
  if (properties_.data_blocks - partitioned_blocks_ >= options_.partition_blocks_min) FinishPartition();
}

void TableBuilder::FinishPartition() {
  BANDB_ASSERT(!unindexed_block_);
  BANDB_ASSERT(!index_block_.empty());
  PartitionExtent extent;
  extent.data_blocks = properties_.data_blocks - partitioned_blocks_;
  BANDB_ASSERT(extent.data_blocks > 0);
  partitioned_blocks_ = properties_.data_blocks;
  const std::string separator(index_block_.last_key());
  extent.index = WriteBlock(index_block_.Finish(), Compression::kNone);
  index_block_.Reset();
  if (filter_) {
    extent.filter = WriteBlock(filter_->Finish(), Compression::kNone);
    filter_.emplace(options_.bloom_bits_per_key);
  }
  // Where nothing is written any more, the blocks lie nowhere.
  if (!status_.ok()) return;
  std::string value;
  AppendExtent(&value, extent);
  partitions_block_.Add(separator, value);
}

void TableBuilder::FinishIndex() {
  if (partitions_block_.empty()) {
    if (filter_ && !filter_->empty()) WriteMetaBlock(kFilterName, filter_->Finish());
    WriteMetaBlock(kIndexName, index_block_.Finish());
    return;
  }
  // The last one: its last block came after the cut before it.
  FinishPartition();
  WriteMetaBlock(kPartitionsName, partitions_block_.Finish());
}

BlockHandle TableBuilder::WriteBlock(std::string_view payload, Compression compression) {
  BANDB_ASSERT(offset_ >= kFileHeaderBytes);
  const bool shrunk = Compress(compression, payload, &compressed_);
  const std::string_view kept = shrunk ? std::string_view(compressed_) : payload;
  const BlockHandle handle{.offset = offset_, .payload_bytes = kept.size()};
  stored_.assign(kept);
  base::PutFixed8(&stored_, static_cast<uint8_t>(shrunk ? compression : Compression::kNone));
  base::PutFixed64(&stored_, base::BlockChecksum(checksum_seed_, handle.offset, stored_));
  Append(stored_);
  return handle;
}

void TableBuilder::Append(std::string_view bytes) {
  if (!status_.ok()) return;
  status_ = file_->Append(bytes);
  offset_ += bytes.size();
}

void TableBuilder::WriteMetaBlock(std::string_view name, std::string_view payload) {
  std::string handle;
  AppendHandle(&handle, WriteBlock(payload, Compression::kNone));
  meta_index_.emplace_back(name, handle);
}

void TableBuilder::WriteRangeTombstones() {
  std::sort(tombstones_.begin(), tombstones_.end(), [](const RangeTombstone& a, const RangeTombstone& b) {
    return std::tie(a.begin, b.sequence, a.limit) < std::tie(b.begin, a.sequence, b.limit);
  });
  BlockBuilder block;
  for (const RangeTombstone& tombstone : tombstones_) {
    block.Add(MakeInternalKey(tombstone.begin, MakeTrailer(tombstone.sequence, Kind::kRangeDelete)), tombstone.limit);
    CountSequence(tombstone.sequence);
    ExtendBounds(tombstone);
  }
  properties_.range_tombstones = tombstones_.size();
  WriteMetaBlock(kRangeTombstonesName, block.Finish());
}

void TableBuilder::ExtendBounds(const RangeTombstone& tombstone) {
  const std::string first = MakeInternalKey(tombstone.begin, MakeTrailer(tombstone.sequence, Kind::kRangeDelete));
  const std::string last = MakeInternalKey(tombstone.limit, kTombstoneLimitTrailer);
  if (smallest_.empty() || CompareInternalKeys(first, smallest_) < 0) smallest_ = first;
  if (largest_.empty() || CompareInternalKeys(largest_, last) < 0) largest_ = last;
}

absl::StatusOr<TableSummary> TableBuilder::Finish() {
  BANDB_ASSERT(!finished_);
  if (!data_block_.empty()) FinishDataBlock();
  if (unindexed_block_) AddIndexEntry({});
  largest_ = last_key_;
  // In the order of their names, which is that of the meta index.
  FinishIndex();
  const size_t properties_at = meta_index_.size();
  if (!tombstones_.empty()) WriteRangeTombstones();
  // The properties count the range tombstones, so they are written after them, but named before.
  WriteMetaBlock(kPropertiesName, EncodeProperties(properties_));
  std::rotate(meta_index_.begin() + static_cast<ptrdiff_t>(properties_at), meta_index_.end() - 1, meta_index_.end());
  const BlockHandle meta_index = WriteBlock(EncodeNamedValues(meta_index_), Compression::kNone);
  Append(EncodeFooter(meta_index, checksum_seed_, offset_));
  finished_ = true;
  BANDB_RETURN_IF_ERROR(status_);
  BANDB_ASSERT(file_->Size() == offset_);
  return TableSummary{properties_.figures(),
                      offset_,
                      smallest_,
                      largest_,
                      {.hidden = hidden_, .expired_at_ms = expiries_.QuarterExpiredAt(properties_.entries)}};
}

}  // namespace bandb::storage
