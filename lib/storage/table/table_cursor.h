// Walks the entries of a table, block by block, in both directions.
//
// A walk that has gone on for long reads ahead, and then works on the blocks where they lie in its
// buffer: it neither copies them nor puts them in the cache, where they would push out what gets
// need. Only the first blocks of a walk are cached, and those that it finds in the cache it takes
// from there.
#ifndef BANDB_STORAGE_TABLE_TABLE_CURSOR_H_
#define BANDB_STORAGE_TABLE_TABLE_CURSOR_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "storage/key/cursor.h"
#include "storage/table/block_cache.h"
#include "storage/table/block_cursor.h"
#include "storage/table/table_file.h"
#include "storage/table/table_partition.h"
#include "storage/table/table_reader.h"

namespace bandb::storage {

// How a cursor over a whole table reads.
struct TableCursorOptions {
  // Keep the blocks that are read in the cache.
  bool fill_cache = true;
  // Read this many bytes of the file at a time, from the first block on: for compactions, which
  // read all there is. 0: block by block, with readahead once three blocks in a row were not in the
  // cache.
  uint32_t readahead_bytes = 0;
};

// Errors, in status(): as TableFile. Final, so that a walk which knows it has a table
// before it makes no virtual calls.
class TableCursor final : public Cursor {
 public:
  TableCursor(const TableReader& table, const TableCursorOptions& options) : table_(table), options_(options) {}
  TableCursor(const TableCursor&) = delete;
  TableCursor& operator=(const TableCursor&) = delete;

  void SeekToFirst() override;
  void SeekToLast() override;
  void Seek(std::string_view internal_key) override;
  void SeekForPrev(std::string_view internal_key) override;
  void Next() override {
    entries_.Next();
    StandForward();
  }
  void Prev() override {
    entries_.Prev();
    StandBackward();
  }
  std::string_view value() const override { return entries_.value(); }
  absl::Status status() const override { return status_; }

 private:
  static constexpr size_t kNoBlock = SIZE_MAX;

  // Makes partition k the current one. False: status_ says why not.
  bool EnterPartition(size_t k);
  const TableIndex& index() const { return TableReader::At(entered_).index(); }
  // Makes data block i of the current partition the current one, not positioned. False: status_
  // says why not.
  bool Load(size_t i);
  bool ReadBlock(size_t i);
  // Makes block i the current one where it lies in the readahead buffer, if it does. False: status_
  // says why not.
  bool EnterInPlace(size_t i, bool* entered);
  // Fills the readahead buffer with what lies before or after a block, if it is time to.
  void MaybeReadAhead(size_t block);
  // The position of the current block's cursor, or, if it is past its end, at the nearest entry in
  // that direction.
  void StandForward() {
    if (!entries_.Valid()) [[unlikely]] {
      return SkipForward();
    }
    StandAt(entries_.key());
  }
  void StandBackward() {
    if (!entries_.Valid()) [[unlikely]] {
      return SkipBackward();
    }
    StandAt(entries_.key());
  }
  // From past the end of the current block to the first entry of the next one that has any, and the
  // other way.
  void SkipForward();
  void SkipBackward();
  void Unload();
  // Ends the walk; always false.
  bool Fail(absl::Status status);

  const TableReader& table_;
  const TableCursorOptions options_;
  absl::Status status_;
  // The partition with the current block; kept, once the walk has ended, for the next seek.
  PartitionRef entered_;
  size_t partition_ = kNoBlock;
  size_t block_number_ = kNoBlock;
  // Empty if the current block lies in readahead_.
  BlockRef block_;
  BlockCursor entries_;

  // The last block that was not in the cache, counted through all partitions, and how many before
  // it were its neighbours and were not either.
  size_t missed_block_ = kNoBlock;
  uint32_t missed_in_a_row_ = 0;
  uint32_t readahead_bytes_ = 0;
  ReadaheadBuffer readahead_;
  // Its memory, as far as it was counted.
  uint64_t charged_bytes_ = 0;
  BlockCache::PinnedCharge charge_;
};

// Over the entries of a table, without its range tombstones. Lifetime: borrows the reader.
std::unique_ptr<TableCursor> NewTableCursor(const TableReader& table, const TableCursorOptions& options = {});

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_TABLE_CURSOR_H_
