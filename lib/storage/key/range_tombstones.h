// Range deletions of one table or memtable, arranged for asking which of them cover a key.
//
// The begins and limits of all tombstones cut the key space into fragments, in each of which the
// set of covering tombstones is the same. Listing that set for every fragment would take quadratic
// memory where many tombstones overlap, so the sets are kept in a segment tree over the fragments:
// each tombstone is at O(log n) nodes, and those that cover a fragment are at the nodes on its
// way to the root. Besides, each fragment knows the newest one that covers it, which answers nearly
// every question.
#ifndef BANDB_STORAGE_KEY_RANGE_TOMBSTONES_H_
#define BANDB_STORAGE_KEY_RANGE_TOMBSTONES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/key/internal_key.h"

namespace bandb::storage {

// Deletes all entries of spaced keys [begin, limit) whose sequence is less than its own.
struct RangeTombstone {
  std::string begin;
  std::string limit;
  Sequence sequence = 0;
  friend bool operator==(const RangeTombstone&, const RangeTombstone&) = default;
};

// Immutable. Thread safety: any thread, any number of calls at once.
class FragmentedTombstones {
 public:
  // No tombstones.
  FragmentedTombstones() = default;
  // In any order. Those with begin >= limit cover nothing and are left out.
  explicit FragmentedTombstones(std::vector<RangeTombstone> tombstones);
  // Moving keeps the vectors' memory, into which bounds_ points; copying would not.
  FragmentedTombstones(FragmentedTombstones&&) = default;
  FragmentedTombstones& operator=(FragmentedTombstones&&) = default;

  bool empty() const { return tombstones_.empty(); }
  // What it was built from, by begin, then newest first.
  const std::vector<RangeTombstone>& tombstones() const { return tombstones_; }

  // The largest sequence <= snapshot of a tombstone that covers the key; 0 if none does.
  Sequence CoveringSequence(std::string_view spaced_key, Sequence snapshot) const {
    if (tombstones_.empty()) return 0;
    return SequenceAt(Find(spaced_key), snapshot);
  }

  // The fragments, numbered in the order of their keys. They do not overlap; some are covered by
  // nothing.
  size_t fragment_count() const { return bounds_.empty() ? 0 : bounds_.size() - 1; }
  std::string_view begin(size_t fragment) const { return bounds_[fragment]; }
  std::string_view limit(size_t fragment) const { return bounds_[fragment + 1]; }
  // The fragment that holds the key; fragment_count() if none does.
  size_t Find(std::string_view spaced_key) const;
  // The first fragment of which something is at or after the key; fragment_count() if none.
  size_t FirstFrom(std::string_view spaced_key) const;
  // The largest sequence <= snapshot of a tombstone that covers the fragment; 0 if none does, or if
  // it is fragment_count().
  Sequence SequenceAt(size_t fragment, Sequence snapshot) const {
    if (fragment >= newest_.size()) return 0;
    if (newest_[fragment] <= snapshot) return newest_[fragment];
    return OlderSequenceAt(fragment, snapshot);
  }

  // Roughly, in bytes.
  size_t memory_bytes() const;

 private:
  // Walks the tree: only for reads at a snapshot that is older than the newest tombstone of the
  // fragment.
  Sequence OlderSequenceAt(size_t fragment, Sequence snapshot) const;
  size_t BoundAt(std::string_view spaced_key) const;

  std::vector<RangeTombstone> tombstones_;
  std::vector<std::string_view> bounds_;  // into tombstones_; strictly increasing
  std::vector<Sequence> newest_;          // for each fragment
  // An implicit tree: node i has the children 2i and 2i + 1, fragment f is the leaf leaves_ + f,
  // the root is 1. Node i holds sequences_[node_starts_[i], node_starts_[i + 1]), descending.
  size_t leaves_ = 0;
  std::vector<uint32_t> node_starts_;
  std::vector<Sequence> sequences_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_KEY_RANGE_TOMBSTONES_H_
