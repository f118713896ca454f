#include "storage/key/range_tombstones.h"

#include <algorithm>
#include <functional>
#include <tuple>

#include "base/assert.h"

namespace bandb::storage {

namespace {

// Calls visit(node) for the O(log n) nodes of an implicit tree that together span the leaves
// [first, limit).
template <typename Visit>
void ForCoveringNodes(size_t leaves, size_t first, size_t limit, const Visit& visit) {
  for (first += leaves, limit += leaves; first < limit; first /= 2, limit /= 2) {
    if (first % 2 == 1) visit(first++);
    if (limit % 2 == 1) visit(--limit);
  }
}

}  // namespace

FragmentedTombstones::FragmentedTombstones(std::vector<RangeTombstone> tombstones)
    : tombstones_(std::move(tombstones)) {
  std::erase_if(tombstones_, [](const RangeTombstone& tombstone) { return tombstone.begin >= tombstone.limit; });
  if (tombstones_.empty()) return;
  std::sort(tombstones_.begin(), tombstones_.end(), [](const RangeTombstone& a, const RangeTombstone& b) {
    return std::tie(a.begin, b.sequence, a.limit) < std::tie(b.begin, a.sequence, b.limit);
  });
  for (const RangeTombstone& tombstone : tombstones_) {
    bounds_.push_back(tombstone.begin);
    bounds_.push_back(tombstone.limit);
  }
  std::sort(bounds_.begin(), bounds_.end());
  bounds_.erase(std::unique(bounds_.begin(), bounds_.end()), bounds_.end());
  leaves_ = fragment_count();
  BANDB_ASSERT(leaves_ > 0);

  // Two passes over the tombstones, newest first: how many there are at each node, then which.
  std::vector<const RangeTombstone*> newest_first;
  for (const RangeTombstone& tombstone : tombstones_) newest_first.push_back(&tombstone);
  std::stable_sort(newest_first.begin(), newest_first.end(),
                   [](const RangeTombstone* a, const RangeTombstone* b) { return a->sequence > b->sequence; });
  node_starts_.assign(2 * leaves_ + 1, 0);
  const auto for_nodes = [this](const RangeTombstone& tombstone, const auto& visit) {
    ForCoveringNodes(leaves_, BoundAt(tombstone.begin), BoundAt(tombstone.limit), visit);
  };
  for (const RangeTombstone* tombstone : newest_first) {
    for_nodes(*tombstone, [this](size_t node) { ++node_starts_[node + 1]; });
  }
  for (size_t node = 1; node < node_starts_.size(); ++node) node_starts_[node] += node_starts_[node - 1];
  sequences_.resize(node_starts_.back());
  // Each covers a fragment or more, so it is at one node at least.
  BANDB_ASSERT(sequences_.size() >= tombstones_.size());
  std::vector<uint32_t> next(node_starts_.begin(), node_starts_.end() - 1);
  for (const RangeTombstone* tombstone : newest_first) {
    for_nodes(*tombstone, [&](size_t node) { sequences_[next[node]++] = tombstone->sequence; });
  }
  for (size_t fragment = 0; fragment < leaves_; ++fragment) {
    newest_.push_back(OlderSequenceAt(fragment, UINT64_MAX));
  }
  BANDB_ASSERT(newest_.size() == fragment_count());
}

size_t FragmentedTombstones::BoundAt(std::string_view spaced_key) const {
  return static_cast<size_t>(std::lower_bound(bounds_.begin(), bounds_.end(), spaced_key) - bounds_.begin());
}

size_t FragmentedTombstones::Find(std::string_view spaced_key) const {
  if (bounds_.empty() || spaced_key < bounds_.front()) return fragment_count();
  const auto after = std::upper_bound(bounds_.begin(), bounds_.end(), spaced_key);
  return static_cast<size_t>(after - bounds_.begin()) - 1;
}

size_t FragmentedTombstones::FirstFrom(std::string_view spaced_key) const {
  return bounds_.empty() || spaced_key < bounds_.front() ? 0 : Find(spaced_key);
}

Sequence FragmentedTombstones::OlderSequenceAt(size_t fragment, Sequence snapshot) const {
  Sequence newest = 0;
  for (size_t node = leaves_ + fragment; node >= 1; node /= 2) {
    const auto first = sequences_.begin() + node_starts_[node];
    const auto limit = sequences_.begin() + node_starts_[node + 1];
    const auto found = std::lower_bound(first, limit, snapshot, std::greater<Sequence>());
    if (found != limit) newest = std::max(newest, *found);
  }
  return newest;
}

size_t FragmentedTombstones::memory_bytes() const {
  size_t bytes = tombstones_.capacity() * sizeof(RangeTombstone) + bounds_.capacity() * sizeof(std::string_view) +
                 (newest_.capacity() + sequences_.capacity()) * sizeof(Sequence) +
                 node_starts_.capacity() * sizeof(uint32_t);
  for (const RangeTombstone& tombstone : tombstones_) bytes += tombstone.begin.size() + tombstone.limit.size();
  return bytes;
}

}  // namespace bandb::storage
