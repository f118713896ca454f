// Walks the entries of a block, in both directions.
//
// Forward, a step appends one delta to the key. Backward, that does not work: what a key has beyond
// the bytes it shares with its successor is in an entry further ahead. So the cursor expands
// a whole restart interval, at most kRestartInterval keys, and serves the steps from there: going
// back costs about as much as going forth.
#ifndef BANDB_STORAGE_TABLE_BLOCK_CURSOR_H_
#define BANDB_STORAGE_TABLE_BLOCK_CURSOR_H_

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "storage/table/block.h"

namespace bandb::storage {

// The interface of Cursor (cursor.h), without the virtual calls. A Block is well-formed, so there
// is no status.
// Lifetime: of the block's payload. Thread safety: one thread at a time.
class BlockCursor {
 public:
  BlockCursor() = default;
  BlockCursor(const BlockCursor&) = delete;
  BlockCursor& operator=(const BlockCursor&) = delete;

  // Walks this block from now on; not Valid until positioned.
  void Reset(const Block& block) {
    block_ = block;
    Invalidate();
  }

  bool Valid() const { return valid_; }
  void SeekToFirst();
  void SeekToLast();
  void Seek(std::string_view internal_key);
  void SeekForPrev(std::string_view internal_key);
  inline void Next();
  void Prev();
  // Lifetime: the key until the cursor moves, the value as the block.
  std::string_view key() const { return std::string_view(key_, key_bytes_); }
  std::string_view value() const { return std::string_view(block_.data() + value_at_, value_bytes_); }

 private:
  // One entry of the restart interval that is expanded for going backward.
  struct Expanded {
    uint32_t entry_at;
    uint32_t next_at;
    uint32_t value_at;
    uint32_t value_bytes;
    uint32_t key_at;
    uint32_t key_bytes;
  };

  void Invalidate() {
    valid_ = false;
    expanded_ = 0;
  }
  // Makes `entry`, whose shared bytes are in the key buffer, the current one.
  inline void Take(const BlockEntry& entry, uint32_t entry_at, uint32_t value_at);
  inline void Step();
  void ReserveKey(size_t bytes, size_t keep);
  uint32_t RestartOf(uint32_t entry_at) const;
  // Expands the interval that begins with this restart.
  void Expand(uint32_t restart);
  void TakeExpanded(uint32_t number);
  void LeaveExpanded();

  Block block_;
  bool valid_ = false;
  uint32_t entry_at_ = 0;
  uint32_t next_at_ = 0;
  uint32_t value_at_ = 0;
  uint32_t value_bytes_ = 0;
  // Into buffer_, or into expanded_keys_ while an interval is expanded.
  const char* key_ = nullptr;
  uint32_t key_bytes_ = 0;

  // Copying eight bytes at a time may write up to seven too many.
  static constexpr size_t kSlackBytes = 7;
  char inline_buffer_[128 + kSlackBytes];
  char* buffer_ = inline_buffer_;
  size_t buffer_capacity_ = sizeof(inline_buffer_) - kSlackBytes;
  std::unique_ptr<char[]> heap_buffer_;

  uint32_t expanded_ = 0;  // entries in use; 0: going forward
  uint32_t expanded_number_ = 0;
  uint32_t expanded_restart_ = 0;
  Expanded expanded_entries_[kRestartInterval];
  std::string expanded_keys_;
};

inline void BlockCursor::Take(const BlockEntry& entry, uint32_t entry_at, uint32_t value_at) {
  const size_t rest_bytes = entry.unshared + kTrailerBytes;
  const size_t key_bytes = entry.shared + rest_bytes;
  if (key_bytes > buffer_capacity_) [[unlikely]] {
    ReserveKey(key_bytes, entry.shared);
  }
  // Reads up to seven bytes past the entry: values, or the slack after the block.
  char* to = buffer_ + entry.shared;
  const char* from = entry.delta;
  for (size_t copied = 0; copied < rest_bytes; copied += sizeof(uint64_t)) {
    std::memcpy(to + copied, from + copied, sizeof(uint64_t));
  }
  key_ = buffer_;
  key_bytes_ = static_cast<uint32_t>(key_bytes);
  entry_at_ = entry_at;
  next_at_ = static_cast<uint32_t>(from + rest_bytes - block_.data());
  value_at_ = value_at;
  value_bytes_ = entry.value_bytes;
  valid_ = true;
}

inline void BlockCursor::Step() {
  if (next_at_ == block_.entries_end()) {
    valid_ = false;
    return;
  }
  Take(block_.entry(next_at_), next_at_, value_at_ + value_bytes_);
}

inline void BlockCursor::Next() {
  BANDB_ASSERT(valid_);
  if (expanded_ != 0) [[unlikely]] {
    LeaveExpanded();
  }
  Step();
}

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_BLOCK_CURSOR_H_
