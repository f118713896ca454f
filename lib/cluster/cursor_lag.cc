#include "cluster/cursor_lag.h"

#include <algorithm>
#include <vector>

#include "base/status.h"

namespace bandb::cluster {

namespace {

// Counts entries for all places at once: what comes after each is the sum at the end without that
// at its own place.
class Counter {
 public:
  explicit Counter(absl::Span<CursorLag> lags) {
    for (CursorLag& lag : lags) waiting_.push_back(&lag);
    std::sort(waiting_.begin(), waiting_.end(),
              [](const CursorLag* a, const CursorLag* b) { return a->after < b->after; });
  }

  void Take(const ChangeEntry& entry, bool is_commit) {
    for (; next_ < waiting_.size() && waiting_[next_]->after < entry.end.sequence; ++next_) {
      waiting_[next_]->commits = commits_;
      waiting_[next_]->bytes = bytes_;
    }
    commits_ += is_commit ? 1 : 0;
    bytes_ += entry.place.record_bytes;
    for (; is_commit && timed_ < next_; ++timed_) waiting_[timed_]->oldest_ms = entry.end.time_ms;
  }

  void Finish() {
    for (size_t i = 0; i < next_; ++i) {
      CursorLag& lag = *waiting_[i];
      lag.commits = commits_ - lag.commits;
      // What the cluster wrote for itself keeps nobody waiting.
      lag.bytes = lag.commits == 0 ? 0 : bytes_ - lag.bytes;
    }
  }

  uint64_t lowest() const { return waiting_.front()->after; }

 private:
  std::vector<CursorLag*> waiting_;
  size_t next_ = 0;   // those before it are behind
  size_t timed_ = 0;  // those before it have seen the time of what they miss
  uint64_t commits_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace

absl::Status MeasureLags(const ChangeIndex& index, absl::Span<CursorLag> lags) {
  if (lags.empty()) return absl::OkStatus();
  const ChangeBound end = index.applied();
  BANDB_ASSIGN_OR_RETURN(const ChangeBound oldest, index.Oldest());
  Counter counter(lags);
  ChangeIndex::Spot spot;
  ChangeBound at;
  at.sequence = std::max(counter.lowest(), oldest.sequence);
  bool begun = false;
  while (at.sequence < end.sequence) {
    BANDB_ASSIGN_OR_RETURN(const ChangeStretch next,
                           begun ? index.AfterIndex(at.index, &spot) : index.AfterSequence(at.sequence, &spot));
    if (!begun) at = next.before;
    begun = true;
    for (const ChangeEntry& entry : next.entries) {
      counter.Take(entry, entry.end.user_sequence > at.user_sequence);
      at = entry.end;
    }
  }
  counter.Finish();
  return absl::OkStatus();
}

}  // namespace bandb::cluster
