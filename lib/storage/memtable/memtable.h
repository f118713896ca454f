// The memtable: what was written and is not in a table yet, sorted, in memory of a fixed size.
#ifndef BANDB_STORAGE_MEMTABLE_MEMTABLE_H_
#define BANDB_STORAGE_MEMTABLE_MEMTABLE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/region.h"
#include "kv/batch_format.h"
#include "storage/key/cursor.h"
#include "storage/key/internal_key.h"
#include "storage/memtable/entry_tree.h"
#include "storage/memtable/memtable_filter.h"
#include "storage/memtable/memtable_tombstones.h"

namespace bandb::storage {

// What a Get found at one place. `value` lies in the memtable or in a pinned block.
struct MemtableHit {
  bool found = false;
  Kind kind = Kind::kPut;
  Sequence sequence = 0;
  std::string_view value;
};

// Thread safety: one writer at a time; readers at any time, without locks. A reader sees every
// operation whose sequence was published to it before it began.
class Memtable {
 public:
  // As many range deletes as one for so many bytes of it freeze the memtable, within these bounds:
  // they cost its readers, and its flush, more than those of a table do.
  static constexpr size_t kBytesOfRangeTombstone = 8 << 10;
  static constexpr size_t kRangeTombstonesLeast = 256;
  static constexpr size_t kRangeTombstonesMost = 4096;

  // `log_number` is the log that holds what this memtable will hold. Errors: kResourceExhausted the
  // operating system has no memory for it.
  static absl::StatusOr<std::shared_ptr<Memtable>> Make(base::RegionSource* regions, size_t capacity_bytes,
                                                        uint64_t log_number);
  // In a region of TakeRegion's.
  Memtable(std::unique_ptr<base::Region> region, uint64_t log_number);
  // Null if there is no memory. `regions` may be null: see Env.
  static std::unique_ptr<base::Region> TakeRegion(base::RegionSource* regions, size_t capacity_bytes);

  // Whether the operations fit. `payload_bytes` is what they are encoded in, keys and values
  // included.
  bool HasRoomFor(size_t operations, size_t payload_bytes) const;
  // The memory that a memtable must have to hold these and nothing else, whatever their keys.
  static size_t CapacityFor(size_t operations, size_t payload_bytes);

  // The writer's. Range deletes need no room of the region, but count as if they did, those as well
  // that hold no key: the log has them, and is only as bounded as this is. Readers see them from
  // EndGroup on.
  void Add(Sequence sequence, Space space, const kv::Operation& operation);

  // The writer's, of a memtable that nobody reads yet: as Add, but InsertStaged puts what was
  // staged in its place, in the order of the keys. That costs no searches and, if nothing was there
  // before, leaves all leaves full.
  void Stage(Sequence sequence, Space space, const kv::Operation& operation);
  void InsertStaged();

  // After the operations of one commit time, before their sequences are published.
  void EndGroup(uint64_t commit_time_ms) {
    last_commit_time_ms_ = commit_time_ms;
    tombstones_.Publish();
  }

  // `filter_hash` is the FilterHash of the lookup key's spaced key.
  MemtableHit Get(std::string_view lookup_key, uint64_t filter_hash) const;
  // Asks for the memory that Get reads first.
  void Prefetch(uint64_t filter_hash) const { filter_.Prefetch(filter_hash); }
  // The newest range delete that covers the key and that a reader at `sequence` sees; 0 if there is
  // none.
  Sequence CoveringTombstone(std::string_view spaced_key, Sequence sequence) const {
    return tombstones_.CoveringSequence(spaced_key, sequence);
  }
  const MemtableTombstones& tombstones() const { return tombstones_; }
  std::unique_ptr<Cursor> NewCursor() const;
  // Roughly which part of the entries is in [begin, limit), two internal keys in order.
  double PartBetween(std::string_view begin, std::string_view limit) const {
    return std::max(0.0, tree_.PartBefore(limit) - tree_.PartBefore(begin));
  }

  bool empty() const { return operations() == 0; }
  uint64_t log_number() const { return log_number_; }
  uint64_t operations() const { return operations_.load(std::memory_order_relaxed); }
  // Those of them that delete one key.
  uint64_t deletes() const { return deletes_.load(std::memory_order_relaxed); }
  size_t memory_bytes() const { return filter_bytes_ + tree_.UsedBytes() + tombstones_.memory_bytes(); }
  // Something that goes when the memtable does, for its owner's bookkeeping; set once.
  void SetCompanion(std::shared_ptr<const void> companion) const { companion_ = std::move(companion); }
  // Of the operations added; for a memtable that nobody writes to any more.
  Sequence largest_sequence() const { return largest_sequence_; }
  // Of those that are a user's; 0: none is.
  Sequence largest_user_sequence() const { return largest_user_sequence_; }
  uint64_t last_commit_time_ms() const { return last_commit_time_ms_; }
  // When the last of them expires; 0: none does. By any thread, of what was published to it.
  uint64_t latest_expiry_ms() const { return latest_expiry_ms_.load(std::memory_order_relaxed); }

 private:
  class MemtableCursor;

  // Null for a range delete, which is no entry of the tree.
  EntryTree::Entry* MakeEntry(Sequence sequence, Space space, const kv::Operation& operation);

  mutable std::shared_ptr<const void> companion_;
  const std::unique_ptr<base::Region> region_;
  const size_t filter_bytes_;
  MemtableFilter filter_;
  EntryTree tree_;
  std::vector<EntryTree::Entry*> staged_;
  const uint64_t log_number_;
  std::atomic<uint64_t> operations_{0};
  std::atomic<uint64_t> deletes_{0};
  MemtableTombstones tombstones_;
  // The writer's.
  Sequence largest_sequence_ = 0;
  Sequence largest_user_sequence_ = 0;
  uint64_t last_commit_time_ms_ = 0;
  // What operations would take that leave nothing here.
  size_t hollow_bytes_ = 0;
  std::atomic<uint64_t> latest_expiry_ms_{0};
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_MEMTABLE_MEMTABLE_H_
