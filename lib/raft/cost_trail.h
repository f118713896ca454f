// CostTrail: what the entries of the log cost in bytes, without the entries.
//
// Bounds in bytes (how much of the log is kept for others, how much a restart has to replay) need
// the cost of a part of the log, long after its entries have left the memory. Sums at some places
// are enough for that. A short log has one at each entry, so that answers are exact; a long one has
// them further apart, so that the memory is bounded, and answers err by less than a hundredth of
// the whole, to the safe side.
//
// Invariants: marks ascend by index and total; the first is at the floor; at most kMarksMax.
#ifndef BANDB_RAFT_COST_TRAIL_H_
#define BANDB_RAFT_COST_TRAIL_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "raft/types/ids.h"

namespace bandb::raft {

class CostTrail {
 public:
  static constexpr size_t kMarksMax = 1024;

  // Of an empty log after `floor`.
  explicit CostTrail(Index floor = 0) { Reset(floor); }

  // The next entry is `index` and costs `cost`.
  void Append(Index index, uint64_t cost);
  // The entries from `first` on, which cost `cost` together, are gone.
  void TruncateFrom(Index first, uint64_t cost);
  // The entries up to `floor` are gone.
  void CompactTo(Index floor);
  void Reset(Index floor);

  // What the entries after `index` cost; rather more than less.
  uint64_t After(Index index) const;
  // The lowest index after which the entries up to `upper` cost `bytes` at most; rather higher than
  // lower, at most `upper`.
  Index Within(Index upper, uint64_t bytes) const;
  size_t marks() const { return marks_.size(); }

 private:
  struct Mark {
    Index index = 0;
    // Of all entries up to `index`, since the trail was begun.
    uint64_t total = 0;
  };

  void Thin();
  // With which a log of this cost has half as many marks as it may.
  uint64_t StepOfNow() const;

  std::vector<Mark> marks_;
  uint64_t total_ = 0;
  // How far apart marks are, at least.
  uint64_t step_ = 1;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_COST_TRAIL_H_
