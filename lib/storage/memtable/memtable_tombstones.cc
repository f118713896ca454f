#include "storage/memtable/memtable_tombstones.h"

#include <algorithm>
#include <utility>

namespace bandb::storage {

void MemtableTombstones::Keep(std::unique_ptr<const FragmentedTombstones> run, Runs* runs) {
  memory_bytes_.store(memory_bytes() + run->memory_bytes(), std::memory_order_relaxed);
  runs->push_back(run.get());
  kept_runs_.push_back(std::move(run));
}

void MemtableTombstones::Publish() {
  if (added_.empty()) return;
  published_count_ += added_.size();
  std::vector<RangeTombstone> merged = std::exchange(added_, {});
  const Runs* before = runs_.load(std::memory_order_relaxed);
  auto next = std::make_unique<Runs>(before == nullptr ? Runs() : *before);
  // Sizes at least halve from run to run.
  while (!next->empty() && next->back()->tombstones().size() < 2 * merged.size()) {
    const std::vector<RangeTombstone>& more = next->back()->tombstones();
    merged.insert(merged.end(), more.begin(), more.end());
    next->pop_back();
  }
  Keep(std::make_unique<const FragmentedTombstones>(std::move(merged)), next.get());
  runs_.store(next.get(), std::memory_order_release);
  kept_lists_.push_back(std::move(next));
}

Sequence MemtableTombstones::CoveringSequenceIn(const Runs& runs, std::string_view spaced_key, Sequence snapshot) {
  Sequence newest = 0;
  for (const FragmentedTombstones* run : runs) newest = std::max(newest, run->CoveringSequence(spaced_key, snapshot));
  return newest;
}

void MemtableTombstones::Collect(Sequence snapshot, std::vector<RangeTombstone>* to) const {
  const Runs* runs = runs_.load(std::memory_order_acquire);
  if (runs == nullptr) return;
  for (const FragmentedTombstones* run : *runs) {
    for (const RangeTombstone& tombstone : run->tombstones()) {
      if (tombstone.sequence <= snapshot) to->push_back(tombstone);
    }
  }
}

void MemtableTombstones::CollectRuns(std::vector<const FragmentedTombstones*>* to) const {
  const Runs* runs = runs_.load(std::memory_order_acquire);
  if (runs != nullptr) to->insert(to->end(), runs->begin(), runs->end());
}

}  // namespace bandb::storage
