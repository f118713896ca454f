#include "raft/term_trail.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace bandb::raft {

TermTrail::TermTrail(Index floor, Term floor_term, std::vector<TermRun> runs, Index last)
    : floor_(floor), floor_term_(floor_term), last_(runs.empty() ? floor : last), runs_(std::move(runs)) {
  BANDB_ASSERT(last_ >= floor_);
  BANDB_ASSERT(runs_.empty() || runs_.front().first == floor_ + 1);
}

std::optional<Term> TermTrail::At(Index index) const {
  if (index < floor_ || index > last_) return std::nullopt;
  if (index == floor_) return floor_term_;
  auto after =
      std::upper_bound(runs_.begin(), runs_.end(), index, [](Index i, const TermRun& r) { return i < r.first; });
  BANDB_ASSERT(after != runs_.begin());
  return std::prev(after)->term;
}

Index TermTrail::HighestAtMost(Index upper, Term term) const {
  upper = std::min(upper, last_);
  if (upper < floor_) return upper;
  for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
    if (run->first > upper) continue;
    if (run->term <= term) return upper;
    upper = run->first - 1;
  }
  if (floor_term_ <= term || floor_ == 0) return floor_;
  return floor_ - 1;
}

void TermTrail::Append(Term term) {
  BANDB_ASSERT(term >= last_term());
  ++last_;
  if (runs_.empty() || runs_.back().term != term) runs_.push_back({last_, term});
}

void TermTrail::TruncateFrom(Index first) {
  BANDB_ASSERT(first > floor_);
  BANDB_ASSERT(first <= last_ + 1);
  while (!runs_.empty() && runs_.back().first >= first) runs_.pop_back();
  last_ = first - 1;
}

void TermTrail::CompactTo(Index index) {
  BANDB_ASSERT(index >= floor_);
  BANDB_ASSERT(index <= last_);
  floor_term_ = *At(index);
  floor_ = index;
  size_t gone = 0;
  while (gone < runs_.size() && (gone + 1 < runs_.size() ? runs_[gone + 1].first : last_ + 1) <= floor_ + 1) ++gone;
  runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(gone));
  if (!runs_.empty()) runs_.front().first = std::max(runs_.front().first, floor_ + 1);
}

void TermTrail::Reset(Index index, Term term) {
  floor_ = last_ = index;
  floor_term_ = term;
  runs_.clear();
}

}  // namespace bandb::raft
