// The memtable: what was written and is not in a table yet, sorted, in memory of a fixed size.
#ifndef BANDB_STORAGE_MEMTABLE_H_
#define BANDB_STORAGE_MEMTABLE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kv/batch_format.h"
#include "storage/cursor.h"
#include "storage/internal_key.h"
#include "storage/range_tombstones.h"
#include "storage/skip_list.h"

namespace bandb::storage {

// What a Get found at one place. `value` lies in the memtable or in a pinned block.
struct MemtableHit {
  bool found = false;
  Kind kind = Kind::kPut;
  Sequence sequence = 0;
  std::string_view value;
};

// Thread safety: one writer at a time; readers at any time, without locks. A reader sees every operation whose sequence
// was published to it before it began.
class Memtable {
 public:
  // Range deletes beyond this many freeze the memtable: a Get looks through them one by one.
  static constexpr size_t kRangeTombstonesMax = 256;

  // `log_number` is the log that holds what this memtable will hold.
  Memtable(size_t capacity_bytes, uint64_t log_number);
  ~Memtable();

  // Whether the operations fit. `payload_bytes` is what they are encoded in, keys and values included.
  bool HasRoomFor(size_t operations, size_t payload_bytes) const;
  // The memory that a memtable must have to hold these and nothing else.
  static size_t CapacityFor(size_t operations, size_t payload_bytes);

  // The writer's. Range deletes need no room of the region.
  void Add(Sequence sequence, Space space, const kv::Operation& operation);

  MemtableHit Get(std::string_view lookup_key) const;
  // The newest range delete that covers the key and that a reader at `sequence` sees; 0 if there is none.
  Sequence CoveringTombstone(std::string_view spaced_key, Sequence sequence) const;
  bool HasRangeTombstones() const { return tombstone_count_.load(std::memory_order_acquire) != 0; }
  // Those that a reader at `sequence` sees.
  void CollectRangeTombstones(Sequence sequence, std::vector<RangeTombstone>* to) const;
  std::unique_ptr<Cursor> NewCursor() const;

  bool Empty() const { return operations() == 0; }
  uint64_t log_number() const { return log_number_; }
  uint64_t operations() const { return operations_.load(std::memory_order_relaxed); }
  size_t MemoryBytes() const { return list_.UsedBytes(); }
  // Of the operations added; for a memtable that nobody writes to any more.
  Sequence largest_sequence() const { return largest_sequence_; }
  uint64_t last_commit_time_ms() const { return last_commit_time_ms_; }
  void set_last_commit_time_ms(uint64_t ms) { last_commit_time_ms_ = ms; }

 private:
  class MemtableCursor;
  struct TombstoneNode;

  SkipList list_;
  const uint64_t log_number_;
  std::atomic<uint64_t> operations_{0};
  std::atomic<size_t> tombstone_count_{0};
  // Newest first. Nodes are owned by the list and live as long as the memtable.
  std::atomic<TombstoneNode*> tombstones_{nullptr};
  // The writer's.
  Sequence largest_sequence_ = 0;
  uint64_t last_commit_time_ms_ = 0;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_MEMTABLE_H_
