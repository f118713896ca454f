// Which time a node's entries have, and how it goes on where nothing is written.
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
  if (!std::exchange(time_mark_due_, false) || !leads() || !MayPropose() || !KnowsTime()) return;
  const int64_t wall_ms = parts_.env.clock->WallMillis();
  if (!commit_clock_.MarkDue(wall_ms) || !replica_->MayExpire()) return;
  const std::string payload = EntryBuilder(commit_clock_.Next(wall_ms)).Build();
  driver_->Step(Now(), raft::Propose{raft::Payload(payload)});
}

}  // namespace bandb::cluster
