// Which time a node's entries have, how it goes on where nothing is written, and until when one
// may read by it.
#include <cstdint>
#include <optional>
#include <utility>

#include "base/status.h"
#include "cluster/entry_payload.h"
#include "cluster/node.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

constexpr uint64_t kAheadMsToTell = 60'000;

}  // namespace

bool PublishedState::MayReadNow(Consistency consistency, base::Clock* clock) const {
  if (consistency == Consistency::kLocal) return true;
  const int64_t fresh_ms = fresh_until_ms.load(std::memory_order_acquire);
  if (fresh_ms != INT64_MAX && clock->WallMillis() > fresh_ms) return false;
  if (alone.load(std::memory_order_acquire) != 0) return true;
  if (consistency != Consistency::kLease) return false;
  // Before the index: a lease that is published later may be one of which that does not hold.
  const int64_t until = lease_until.load(std::memory_order_acquire);
  // Whatever another node has acknowledged is at or below this index.
  const uint64_t committed = commit.load(std::memory_order_acquire);
  return applied.load(std::memory_order_acquire) >= committed && clock->MonotonicNanos() < until;
}

bool Node::KnowsTime() {
  if (commit_clock_.term() == role_.term) return true;
  if (driver_->core().TermAt(applier_->applied()) != role_.term) return false;
  // Where a job has applied more than it has told, this is a later time of committed entries.
  commit_clock_.Begin(role_.term, replica_->commit_time_ms(), log_clock_->ahead_ms());
  told_index_ = 0;
  if (const uint64_t ahead_ms = commit_clock_.AheadMs(parts_.env.clock->WallMillis()); ahead_ms > kAheadMsToTell) {
    parts_.env.logger->Log(base::LogLevel::kWarning,
                           "the clock of this node, which leads now, is {} ms behind the time of the log; nothing "
                           "expires until it gets there, or it is accepted",
                           ahead_ms);
  }
  return true;
}

absl::Status Node::CheckUnderstood(CommandKind kind) const {
  if (kind != CommandKind::kAcceptClock || peers_ == nullptr) return absl::OkStatus();
  for (const raft::Member& member : driver_->core().configuration().members) {
    if (member.id == id()) continue;
    const uint8_t version = peers_->EntryVersionOf(member.id);
    if (version >= kAheadVersion) continue;
    MemberAddress address;
    if (!DecodeMemberAddress(member.address, &address)) address = {};
    return base::Error(StatusCode::kUnimplemented,
                       "member {} ({}) does not say that it knows accepted clocks: it is of an older release, or has "
                       "not been reached since the leader started",
                       member.id, address.name);
  }
  return absl::OkStatus();
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
  const EntryTime time = commit_clock_.Next(wall_ms);
  const std::string payload = EntryBuilder(time).Build();
  const raft::StepResult result = driver_->Step(Now(), raft::Propose{raft::Payload(payload)});
  if (result.ok()) NoteTold(result.index, time.commit_ms);
}

void Node::NoteTold(raft::Index index, uint64_t time_ms) {
  commit_clock_.Given(time_ms);
  told_index_ = index;
}

raft::Index Node::AwaitedTime() const {
  const bool tells = leads() && commit_clock_.term() == role_.term;
  return tells && parts_.env.clock->WallMillis() > FreshUntilMs() ? told_index_ : 0;
}

int64_t Node::FreshUntilMs() const {
  // With a full disk no time is told, and reads go on.
  if (IsStalled() || !replica_->MayExpireSoon()) return INT64_MAX;
  return static_cast<int64_t>(replica_->commit_time_ms() + kFreshMs - log_clock_->ahead_ms());
}

void Node::AskReads() {
  // What has expired by the time at which they asked is gone for them.
  const std::optional<uint64_t> id = reads_.Ask(AwaitedTime());
  if (!id.has_value()) return;
  const raft::StepResult result = driver_->Step(Now(), raft::Read{*id});
  if (!result.ok()) reads_.Refused(*id);
}

void Node::OnRead(const raft::ReadResult& result) {
  raft::ReadResult checked = result;
  // The core judged by the time at which the turn began; who asked may have done so later.
  if (result.lease && !driver_->core().LeaseValid(parts_.env.clock->MonotonicNanos())) {
    checked.code = StatusCode::kUnavailable;
  }
  reads_.Answered(checked, applier_->applied());
  Wake();
}

}  // namespace bandb::cluster
