// Which time a node's entries have, and how it goes on where nothing is written.
#include <cstdint>
#include <optional>
#include <utility>

#include "base/status.h"
#include "cluster/entry_payload.h"
#include "cluster/node.h"

namespace bandb::cluster {

namespace {

constexpr uint64_t kAheadMsToTell = 60'000;

}  // namespace

bool Node::KnowsTime() {
  if (commit_clock_.term() == role_.term) return true;
  if (driver_->core().TermAt(applier_->applied()) != role_.term) return false;
  // Where a job has applied more than it has told, this is a later time of committed entries.
  commit_clock_.Begin(role_.term, replica_->commit_time_ms());
  told_ms_ = 0;
  if (const uint64_t ahead_ms = commit_clock_.AheadMs(parts_.env.clock->WallMillis()); ahead_ms > kAheadMsToTell) {
    parts_.env.logger->Log(base::LogLevel::kWarning,
                           "the clock of this node, which leads now, is {} ms behind the time of the log; nothing "
                           "expires until it gets there",
                           ahead_ms);
  }
  return true;
}

void Node::ArmTimeMark() {
  if (!leads() || time_mark_ != base::kNoTimer) return;
  time_mark_ = parts_.loop->After(kTimeMarkNanos, [this] {
    time_mark_ = base::kNoTimer;
    time_mark_due_ = true;
    Wake();
  });
}

void Node::ProposeTimeMark() {
  const bool is_due = std::exchange(time_mark_due_, false);
  const bool asks = reads_.HasQuestion() && replica_->MayExpireSoon();
  if (!leads() || !(is_due || asks) || !MayPropose() || !KnowsTime()) return;
  const int64_t wall_ms = parts_.env.clock->WallMillis();
  const bool tells = is_due && commit_clock_.MarkDue(wall_ms, false) && replica_->MayExpire();
  if (!tells && !(asks && commit_clock_.MarkDue(wall_ms, true))) return;
  const uint64_t time_ms = commit_clock_.Next(wall_ms);
  const std::string payload = EntryBuilder(time_ms).Build();
  if (driver_->Step(Now(), raft::Propose{raft::Payload(payload)}).ok()) told_ms_ = time_ms;
}

bool Node::AwaitsTime() const {
  return leads() && commit_clock_.term() == role_.term && replica_->commit_time_ms() < told_ms_;
}

int64_t Node::FreshUntilMs() const {
  if (!replica_->MayExpireSoon()) return INT64_MAX;
  return static_cast<int64_t>(replica_->commit_time_ms() + kFreshMs);
}

}  // namespace bandb::cluster
