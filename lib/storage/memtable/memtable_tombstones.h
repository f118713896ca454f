// The range deletes of a memtable, arranged for asking which of them cover a key while more are
// added.
//
// They are kept in runs, each fragmented (range_tombstones.h) and never changed. What a group of
// writes adds becomes a run, and runs of about the same size are merged, like the digits of a
// number that is counted up (the logarithmic method; Bentley and Saxe, 1980): of n range deletes
// there are O(log n) runs, each asked in O(log n). Readers take the present list of runs with one
// load. Lists and runs that were replaced stay until the memtable goes, since readers may still use
// them; that is O(n log n) of memory, and the memtable counts it.
#ifndef BANDB_STORAGE_MEMTABLE_MEMTABLE_TOMBSTONES_H_
#define BANDB_STORAGE_MEMTABLE_MEMTABLE_TOMBSTONES_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "storage/key/range_tombstones.h"

namespace bandb::storage {

// Thread safety: one writer at a time; readers at any time, without locks.
class MemtableTombstones {
 public:
  // The writer's. What was added is seen by readers from Publish on.
  void Add(RangeTombstone tombstone) { added_.push_back(std::move(tombstone)); }
  void Publish();
  // Added, whether published or not.
  size_t count() const { return published_count_ + added_.size(); }
  // Of all that is kept, roughly.
  size_t memory_bytes() const { return memory_bytes_.load(std::memory_order_relaxed); }

  // Readers'.
  bool empty() const { return runs_.load(std::memory_order_acquire) == nullptr; }
  // The largest sequence <= snapshot of a tombstone that covers the key; 0 if none does.
  Sequence CoveringSequence(std::string_view spaced_key, Sequence snapshot) const {
    const Runs* runs = runs_.load(std::memory_order_acquire);
    return runs == nullptr ? 0 : CoveringSequenceIn(*runs, spaced_key, snapshot);
  }
  // Those with sequences <= snapshot.
  void Collect(Sequence snapshot, std::vector<RangeTombstone>* to) const;
  // The present runs. Lifetime: of the memtable.
  void CollectRuns(std::vector<const FragmentedTombstones*>* to) const;

 private:
  using Runs = std::vector<const FragmentedTombstones*>;

  static Sequence CoveringSequenceIn(const Runs& runs, std::string_view spaced_key, Sequence snapshot);
  void Keep(std::unique_ptr<const FragmentedTombstones> run, Runs* runs);

  // Null while there are none; largest run first.
  std::atomic<const Runs*> runs_{nullptr};
  std::atomic<size_t> memory_bytes_{0};
  // The writer's: all that readers have ever been given.
  std::vector<std::unique_ptr<const FragmentedTombstones>> kept_runs_;
  std::vector<std::unique_ptr<const Runs>> kept_lists_;
  std::vector<RangeTombstone> added_;
  size_t published_count_ = 0;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_MEMTABLE_MEMTABLE_TOMBSTONES_H_
