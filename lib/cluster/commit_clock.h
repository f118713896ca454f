// CommitClock: the commit times that a leader gives its entries. They never go back in the log,
// whichever node leads, and whatever becomes of its clock.
//
// A leader knows what the log before its term ends with once the entry that began its term is
// applied here: the time of the state then is the largest of all before it. All after it is its
// own. Until then it gives no times.
#ifndef BANDB_CLUSTER_COMMIT_CLOCK_H_
#define BANDB_CLUSTER_COMMIT_CLOCK_H_

#include <algorithm>
#include <cstdint>

#include "cluster/entry_payload.h"
#include "raft/types/ids.h"

namespace bandb::cluster {

// How often time is told where nothing is written.
inline constexpr int64_t kTimeMarkNanos = 1'000'000'000;
// A reader that asks for what may have just expired is told the time, unless it was so lately.
inline constexpr uint64_t kFreshMs = 10;

// Thread safety: one thread at a time.
class CommitClock {
 public:
  // The term whose times it can give; 0: none yet.
  raft::Term term() const { return term_; }
  // The first entry of the term is applied here, which this node leads, and the time of the state
  // is `applied_ms`, which is ahead of clocks by `ahead_ms` as they were accepted (log_clock.h).
  void Begin(raft::Term term, uint64_t applied_ms, uint64_t ahead_ms = 0) {
    term_ = term;
    last_ms_ = applied_ms;
    ahead_ms_ = ahead_ms;
  }
  // An entry that is applied here has accepted them.
  void Accepted(uint64_t ahead_ms) { ahead_ms_ = ahead_ms; }
  // For the next entry: the larger of the last one's and the clock's.
  EntryTime Next(int64_t wall_ms) const {
    const uint64_t commit_ms = std::max(last_ms_, InLog(wall_ms));
    return {.commit_ms = commit_ms, .ahead_ms = ahead_ms_, .accepted_ahead_ms = commit_ms - NotNegative(wall_ms)};
  }
  // An entry of that time is in the log. One that was refused has told nobody the time.
  void Given(uint64_t time_ms) { last_ms_ = std::max(last_ms_, time_ms); }
  // The clock is ahead of the log by so much that an entry that only tells the time is worth it,
  // once a second, or where a reader `asks`.
  bool MarkDue(int64_t wall_ms, bool asks) const { return InLog(wall_ms) >= last_ms_ + (asks ? kFreshMs : kMarkMs); }
  // How far the log is ahead of the clock.
  uint64_t AheadMs(int64_t wall_ms) const { return last_ms_ - std::min(last_ms_, InLog(wall_ms)); }

 private:
  // Half the time between marks, so that none is left out for a timer that was early.
  static constexpr uint64_t kMarkMs = kTimeMarkNanos / 1'000'000 / 2;

  static uint64_t NotNegative(int64_t wall_ms) { return static_cast<uint64_t>(std::max<int64_t>(wall_ms, 0)); }

  uint64_t InLog(int64_t wall_ms) const { return NotNegative(wall_ms) + ahead_ms_; }

  raft::Term term_ = 0;
  uint64_t last_ms_ = 0;
  uint64_t ahead_ms_ = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_COMMIT_CLOCK_H_
