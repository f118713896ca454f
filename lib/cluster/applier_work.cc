#include "cluster/applier_work.h"

#include "base/assert.h"

namespace bandb::cluster {

namespace {

// A few milliseconds of work.
constexpr uint64_t kStepBytes = 1 << 20;

}  // namespace

ApplyStretch ApplyFrom(ApplyWork* work, uint64_t bytes_max, bool may_block) {
  using End = ApplyStretch::End;
  using Result = EntryApplier::Result;
  ApplyStretch stretch;
  uint64_t bytes = 0;
  const auto end = [&](End why) {
    stretch.end = why;
    stretch.froze = work->applier.TakeFroze();
    return std::move(stretch);
  };
  while (!work->queue.empty()) {
    if (work->give_back.load(std::memory_order_acquire)) return end(End::kEnough);
    const raft::Entry& entry = work->queue.front();
    const uint64_t cost = raft::CostBytes(entry);
    if (!may_block && cost > kTurnBytes) return end(End::kNeedsDisk);
    if (bytes + cost > bytes_max && (bytes != 0 || !may_block)) return end(End::kEnough);
    AppliedRecord record;
    const absl::StatusOr<Result> applied = work->applier.Apply(entry, {.only_cached = !may_block}, &record);
    if (!applied.ok()) {
      stretch.status = applied.status();
      return end(End::kFailed);
    }
    if (*applied == Result::kNoRoom) return end(End::kNoRoom);
    if (*applied == Result::kNeedsDisk) return end(End::kNeedsDisk);
    bytes += cost;
    stretch.records.push_back(std::move(record));
    work->queue.pop_front();
  }
  return end(End::kDrained);
}

base::Job::Next ApplyJob::Step() {
  ApplyStretch stretch = ApplyFrom(work_.get(), kStepBytes, /*may_block=*/true);
  BANDB_ASSERT(stretch.end != ApplyStretch::End::kNeedsDisk);
  const bool is_last = stretch.end != ApplyStretch::End::kEnough || work_->give_back.load(std::memory_order_acquire);
  report_(std::move(stretch), is_last);
  return is_last ? Next::kDone : Next::kAgain;
}

}  // namespace bandb::cluster
