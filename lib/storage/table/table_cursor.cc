#include "storage/table/table_cursor.h"

#include <algorithm>
#include <utility>

namespace bandb::storage {

namespace {

// Readahead begins with the third block in a row that the cache does not hold, and doubles from
// there: a walk that ends soon has read little for nothing.
constexpr uint32_t kMissesBeforeReadahead = 2;
constexpr uint32_t kReadaheadBytesFirst = 16 << 10;
constexpr uint32_t kReadaheadBytesMax = 256 << 10;

}  // namespace

void TableCursor::Unload() {
  entries_.Reset(Block());
  block_.Reset();
  block_number_ = kNoBlock;
  StandNowhere();
}

bool TableCursor::Fail(absl::Status status) {
  Unload();
  // What was read may be what is bad: the next walk reads it again.
  readahead_.bytes.clear();
  status_ = std::move(status);
  return false;
}

bool TableCursor::EnterPartition(size_t k) {
  if (k == partition_) return true;
  // What is in the present block goes with it.
  Unload();
  partition_ = kNoBlock;
  entered_.Reset();
  absl::StatusOr<PartitionRef> entered = table_.Enter(k, options_.fill_cache);
  if (!entered.ok()) return Fail(std::move(entered).status());
  entered_ = *std::move(entered);
  partition_ = k;
  return true;
}

void TableCursor::MaybeReadAhead(size_t block) {
  const BlockHandle handle = index().block(block);
  const size_t i = table_.meta().first_block(partition_) + block;
  if (handle.offset >= readahead_.offset && handle.end() <= readahead_.offset + readahead_.bytes.size()) {
    // Not in the cache either: the block after the buffer continues this walk.
    missed_block_ = i;
    return;
  }
  const bool backward = missed_block_ != kNoBlock && i + 1 == missed_block_;
  const bool neighbour = backward || (missed_block_ != kNoBlock && i == missed_block_ + 1);
  missed_block_ = i;
  uint64_t bytes = options_.readahead_bytes;
  if (bytes == 0) {
    missed_in_a_row_ = neighbour ? missed_in_a_row_ + 1 : 0;
    if (missed_in_a_row_ < kMissesBeforeReadahead) {
      readahead_bytes_ = 0;
      return;
    }
    readahead_bytes_ = std::clamp(readahead_bytes_ * 2, kReadaheadBytesFirst, kReadaheadBytesMax);
    bytes = readahead_bytes_;
  }
  const uint64_t block_bytes = handle.end() - handle.offset;
  if (bytes <= block_bytes) return;
  const uint64_t first =
      backward ? std::max<uint64_t>(kFileHeaderBytes, handle.end() - std::min(bytes, handle.end())) : handle.offset;
  // A failure shows when the block itself is read; what lies around it is none of this walk's
  // business yet.
  const absl::Status status = table_.file().ReadAhead(first, backward ? handle.end() - first : bytes, &readahead_);
  if (const uint64_t memory_bytes = readahead_.bytes.capacity(); memory_bytes > charged_bytes_) {
    charge_ = table_.ChargePinned(memory_bytes);
    charged_bytes_ = memory_bytes;
  }
  if (status.ok() && !backward) table_.file().file().Prefetch(first + bytes, bytes);
}

bool TableCursor::EnterInPlace(size_t i, bool* entered) {
  absl::StatusOr<std::string_view> payload = table_.DataBlockInPlace(TableReader::At(entered_), i, readahead_);
  if (!payload.ok()) return Fail(std::move(payload).status());
  *entered = !payload->empty();
  if (!*entered) return true;
  block_.Reset();
  entries_.Reset(Block::FromParsed(*payload));
  return true;
}

bool TableCursor::ReadBlock(size_t i) {
  absl::StatusOr<BlockRef> block = table_.ReadDataBlock(TableReader::At(entered_), i, options_.fill_cache, &readahead_);
  if (!block.ok()) return Fail(std::move(block).status());
  block_ = *std::move(block);
  return true;
}

bool TableCursor::Load(size_t i) {
  if (i == block_number_) return true;
  BlockRef cached = TableReader::At(entered_).blocks().Lookup(i);
  bool entered = false;
  if (cached) {
    block_ = std::move(cached);
  } else {
    MaybeReadAhead(i);
    const bool in_place = !options_.fill_cache || readahead_bytes_ == kReadaheadBytesMax;
    if (in_place && !EnterInPlace(i, &entered)) return false;
    if (!entered && !ReadBlock(i)) return false;
    if (options_.readahead_bytes == 0) table_.CountRead(index().block(i));
  }
  block_number_ = i;
  if (!entered) entries_.Reset(Block::FromParsed(block_.payload()));
  return true;
}

void TableCursor::SeekToFirst() {
  status_ = absl::OkStatus();
  if (!EnterPartition(0)) return;
  if (index().size() == 0) return Unload();
  if (!Load(0)) return;
  entries_.SeekToFirst();
  StandForward();
}

void TableCursor::SeekToLast() {
  status_ = absl::OkStatus();
  if (!EnterPartition(table_.meta().partitions() - 1)) return;
  if (index().size() == 0) return Unload();
  if (!Load(index().size() - 1)) return;
  entries_.SeekToLast();
  StandBackward();
}

void TableCursor::Seek(std::string_view internal_key) {
  status_ = absl::OkStatus();
  const size_t k = table_.meta().FindPartition(internal_key);
  if (k == table_.meta().partitions()) return Unload();
  if (!EnterPartition(k)) return;
  const size_t i = index().Find(internal_key);
  if (i == index().size()) return Unload();
  if (!Load(i)) return;
  entries_.Seek(internal_key);
  StandForward();
}

void TableCursor::SeekForPrev(std::string_view internal_key) {
  status_ = absl::OkStatus();
  const size_t k = table_.meta().FindPartition(internal_key);
  if (k == table_.meta().partitions()) return SeekToLast();
  if (!EnterPartition(k)) return;
  const size_t i = index().Find(internal_key);
  if (i == index().size()) return SeekToLast();
  if (!Load(i)) return;
  entries_.SeekForPrev(internal_key);
  StandBackward();
}

void TableCursor::SkipForward() {
  do {
    if (block_number_ + 1 < index().size()) {
      if (!Load(block_number_ + 1)) return;
    } else {
      if (partition_ + 1 == table_.meta().partitions()) return Unload();
      if (!EnterPartition(partition_ + 1) || !Load(0)) return;
    }
    entries_.SeekToFirst();
  } while (!entries_.Valid());
  StandAt(entries_.key());
}

void TableCursor::SkipBackward() {
  do {
    if (block_number_ > 0) {
      if (!Load(block_number_ - 1)) return;
    } else {
      if (partition_ == 0) return Unload();
      if (!EnterPartition(partition_ - 1) || !Load(index().size() - 1)) return;
    }
    entries_.SeekToLast();
  } while (!entries_.Valid());
  StandAt(entries_.key());
}

std::unique_ptr<TableCursor> NewTableCursor(const TableReader& table, const TableCursorOptions& options) {
  return std::make_unique<TableCursor>(table, options);
}

}  // namespace bandb::storage
