// TermTrail: the term of every entry of the log, without the entries.
//
// Terms only grow along a log, so it is enough to know where each begins: a handful of runs,
// however long the log. With it the core answers every question about log matching without reading
// the disk.
//
// Invariants: the runs are in strictly ascending order of index and term; the first begins at floor
// + 1; there are none exactly if the log is empty.
#ifndef BANDB_RAFT_TERM_TRAIL_H_
#define BANDB_RAFT_TERM_TRAIL_H_

#include <optional>
#include <vector>

#include "raft/restart.h"
#include "raft/types/ids.h"

namespace bandb::raft {

class TermTrail {
 public:
  TermTrail(Index floor, Term floor_term, std::vector<TermRun> runs, Index last);

  Index floor() const { return floor_; }
  Term floor_term() const { return floor_term_; }
  Index last() const { return last_; }
  Term last_term() const { return runs_.empty() ? floor_term_ : runs_.back().term; }

  // The term at `index`, which is known from the floor to the end of the log.
  std::optional<Term> At(Index index) const;

  // The highest index up to `upper` whose term is at most `term`: above it, two logs that meet
  // these two numbers cannot agree. One less than the floor if that is not in the log; never above
  // the end.
  Index HighestAtMost(Index upper, Term term) const;

  // Adds the entry last() + 1, whose term is not below last_term().
  void Append(Term term);
  // Forgets everything from `first` on, which lies after the floor.
  void TruncateFrom(Index first);
  // Moves the floor up to `index`, which is in the log.
  void CompactTo(Index index);
  // An empty log after (index, term).
  void Reset(Index index, Term term);

 private:
  Index floor_;
  Term floor_term_;
  Index last_;
  std::vector<TermRun> runs_;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_TERM_TRAIL_H_
