#include "storage/table/block_cursor.h"

#include <algorithm>

namespace bandb::storage {

void BlockCursor::ReserveKey(size_t bytes, size_t keep) {
  const size_t capacity = std::max(bytes, buffer_capacity_ * 2);
  std::unique_ptr<char[]> larger(new char[capacity + kSlackBytes]);
  if (keep > 0) std::memcpy(larger.get(), buffer_, keep);
  heap_buffer_ = std::move(larger);
  buffer_ = heap_buffer_.get();
  buffer_capacity_ = capacity;
}

void BlockCursor::SeekToFirst() {
  Invalidate();
  if (block_.empty()) return;
  Take(block_.entry(block_.entries_at()), block_.entries_at(), block_.entries_end());
}

void BlockCursor::SeekToLast() {
  Invalidate();
  if (block_.empty()) return;
  Expand(block_.restart_count() - 1);
  TakeExpanded(expanded_ - 1);
}

void BlockCursor::Seek(std::string_view internal_key) {
  Invalidate();
  const BlockMatch match = SeekInBlock(block_, internal_key);
  if (!match.found) return;
  if (match.entry.shared > buffer_capacity_) ReserveKey(match.entry.shared, 0);
  std::memcpy(buffer_, internal_key.data(), match.entry.shared);
  Take(match.entry, match.entry_at, match.value_at);
}

void BlockCursor::SeekForPrev(std::string_view internal_key) {
  Seek(internal_key);
  if (!valid_) {
    SeekToLast();
  } else if (CompareInternalKeys(key(), internal_key) != 0) {
    Prev();
  }
}

void BlockCursor::Prev() {
  BANDB_ASSERT(valid_);
  if (expanded_ == 0) {
    const uint32_t restart = RestartOf(entry_at_);
    const uint32_t entry_at = entry_at_;
    Expand(restart);
    while (expanded_entries_[expanded_number_].entry_at != entry_at) ++expanded_number_;
  }
  if (expanded_number_ > 0) {
    TakeExpanded(expanded_number_ - 1);
  } else if (expanded_restart_ > 0) {
    Expand(expanded_restart_ - 1);
    TakeExpanded(expanded_ - 1);
  } else {
    Invalidate();
  }
}

uint32_t BlockCursor::RestartOf(uint32_t entry_at) const {
  uint32_t low = 0;
  uint32_t high = block_.restart_count();
  while (high - low > 1) {
    const uint32_t middle = low + (high - low) / 2;
    if (block_.restart(middle).entry_at <= entry_at) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

void BlockCursor::Expand(uint32_t restart) {
  const Block::Restart start = block_.restart(restart);
  expanded_ = 0;
  expanded_number_ = 0;
  expanded_restart_ = restart;
  expanded_keys_.clear();
  uint32_t entry_at = start.entry_at;
  uint32_t value_at = start.value_at;
  uint32_t last_key_at = 0;
  while (expanded_ < kRestartInterval && entry_at < block_.entries_end()) {
    const BlockEntry entry = block_.entry(entry_at);
    const auto key_at = static_cast<uint32_t>(expanded_keys_.size());
    const uint32_t rest_bytes = entry.unshared + static_cast<uint32_t>(kTrailerBytes);
    expanded_keys_.resize(key_at + entry.shared + rest_bytes);
    char* key = expanded_keys_.data() + key_at;
    if (entry.shared > 0) std::memcpy(key, expanded_keys_.data() + last_key_at, entry.shared);
    std::memcpy(key + entry.shared, entry.delta, rest_bytes);
    const auto next_at = static_cast<uint32_t>(entry.end() - block_.data());
    expanded_entries_[expanded_++] = {entry_at,          next_at, value_at,
                                      entry.value_bytes, key_at,  entry.shared + rest_bytes};
    last_key_at = key_at;
    entry_at = next_at;
    value_at += entry.value_bytes;
  }
  BANDB_ASSERT(expanded_ > 0);
}

void BlockCursor::TakeExpanded(uint32_t number) {
  const Expanded& entry = expanded_entries_[number];
  expanded_number_ = number;
  entry_at_ = entry.entry_at;
  next_at_ = entry.next_at;
  value_at_ = entry.value_at;
  value_bytes_ = entry.value_bytes;
  key_ = expanded_keys_.data() + entry.key_at;
  key_bytes_ = entry.key_bytes;
  valid_ = true;
}

void BlockCursor::LeaveExpanded() {
  if (key_bytes_ > buffer_capacity_) ReserveKey(key_bytes_, 0);
  std::memcpy(buffer_, key_, key_bytes_);
  key_ = buffer_;
  expanded_ = 0;
}

}  // namespace bandb::storage
