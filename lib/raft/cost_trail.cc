#include "raft/cost_trail.h"

#include <algorithm>

#include "base/assert.h"

namespace bandb::raft {

void CostTrail::Append(Index index, uint64_t cost) {
  BANDB_ASSERT(index > marks_.back().index);
  total_ += cost;
  if (total_ - marks_.back().total < step_) return;
  marks_.push_back({index, total_});
  if (marks_.size() > kMarksMax) Thin();
}

void CostTrail::TruncateFrom(Index first, uint64_t cost) {
  BANDB_ASSERT(first > marks_.front().index);
  while (marks_.back().index >= first) marks_.pop_back();
  total_ -= cost;
  BANDB_ASSERT(total_ >= marks_.back().total);
}

void CostTrail::CompactTo(Index floor) {
  auto above = std::upper_bound(marks_.begin(), marks_.end(), floor,
                                [](Index index, const Mark& mark) { return index < mark.index; });
  if (above == marks_.begin()) return;
  marks_.erase(marks_.begin(), above - 1);
  step_ = std::min(step_, StepOfNow());
}

void CostTrail::Reset(Index floor) {
  marks_.assign(1, {floor, 0});
  total_ = 0;
  step_ = 1;
}

uint64_t CostTrail::After(Index index) const {
  auto above =
      std::upper_bound(marks_.begin(), marks_.end(), index, [](Index i, const Mark& mark) { return i < mark.index; });
  return total_ - (above == marks_.begin() ? marks_.front() : *(above - 1)).total;
}

Index CostTrail::Within(Index upper, uint64_t bytes) const {
  auto end = std::lower_bound(marks_.begin(), marks_.end(), upper,
                              [](const Mark& mark, Index index) { return mark.index < index; });
  const uint64_t total = end == marks_.end() ? total_ : end->total;
  const uint64_t least = total > bytes ? total - bytes : 0;
  auto found = std::lower_bound(marks_.begin(), marks_.end(), least,
                                [](const Mark& mark, uint64_t wanted) { return mark.total < wanted; });
  return found == marks_.end() ? upper : std::min(found->index, upper);
}

// Every other mark goes. The first stays, since it says where the log begins.
void CostTrail::Thin() {
  size_t kept = 0;
  for (size_t i = 0; i < marks_.size(); i += 2) marks_[kept++] = marks_[i];
  marks_.resize(kept);
  step_ = std::max(step_, StepOfNow());
}

uint64_t CostTrail::StepOfNow() const {
  return std::max<uint64_t>(1, (total_ - marks_.front().total) / (kMarksMax / 2));
}

}  // namespace bandb::raft
