// What an operator asks of a node: who belongs, who leads, how things are; and what is overdue.
#include <algorithm>
#include <charconv>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "cluster/node.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

constexpr int64_t kExpiryNanos = 20'000'000;

NodeRole RoleOf(raft::Role role) {
  switch (role) {
    case raft::Role::kFollower:
      return NodeRole::kFollower;
    case raft::Role::kPreCandidate:
    case raft::Role::kCandidate:
      return NodeRole::kCandidate;
    case raft::Role::kLeader:
      return NodeRole::kLeader;
  }
  return NodeRole::kFollower;
}

MemberAddress AddressOf(const raft::Member& member) {
  MemberAddress address;
  if (!DecodeMemberAddress(member.address, &address)) address = {};
  return address;
}

bool BringsNode(raft::ChangeKind kind) {
  return kind == raft::ChangeKind::kAddLearner || kind == raft::ChangeKind::kAddVoter ||
         kind == raft::ChangeKind::kReplace;
}

bool IsNamed(const raft::Member& member, std::string_view name) {
  const MemberAddress address = AddressOf(member);
  if (!name.empty() && (name == address.name || name == address.peer)) return true;
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  return error == std::errc() && end == name.data() + name.size() && id == member.id;
}

}  // namespace

absl::StatusOr<raft::NodeId> Node::FindMember(std::string_view name) const {
  if (driver_ == nullptr) return health_;
  raft::NodeId found = raft::kNoNode;
  for (const raft::Member& member : driver_->core().configuration().members) {
    if (!IsNamed(member, name)) continue;
    if (found != raft::kNoNode) {
      return base::Error(StatusCode::kInvalidArgument, "{}: more than one member is named so; use the id", name);
    }
    found = member.id;
  }
  if (found == raft::kNoNode) return base::Error(StatusCode::kNotFound, "{}: no such member", name);
  return found;
}

void Node::Change(raft::Change change, int64_t deadline_nanos, Done done) {
  AskLeader({.number = 0, .transfer = false, .change = std::move(change)}, deadline_nanos, std::move(done));
}

void Node::Transfer(raft::NodeId to, int64_t deadline_nanos, Done done) {
  const raft::Change change{.kind = {}, .node = to, .other = raft::kNoNode, .address = {}};
  AskLeader({.number = 0, .transfer = true, .change = change}, deadline_nanos, std::move(done));
}

void Node::TryChanges() {
  for (auto change = changes_.begin(); change != changes_.end();) {
    const bool waits = change->index != 0 || (leads() && TryChange(&*change));
    if (waits) {
      ++change;
      continue;
    }
    // Who has asked asks the next leader, and must not find it done by this one later.
    if (!leads()) change->refusal = base::Error(StatusCode::kUnavailable, "not the leader");
    std::move(change->done)(change->refusal);
    change = changes_.erase(change);
  }
}

// An id that was removed is never let in again. Who was removed by the log is known once that is
// applied; until then the core would not begin another change either.
absl::Status Node::CheckNewcomers(const std::vector<raft::Change>& changes) const {
  for (const raft::Change& change : changes) {
    if (!BringsNode(change.kind)) continue;
    if (applier_->applied() < driver_->core().configuration().index) {
      return base::Error(StatusCode::kUnavailable, "another change is under way");
    }
    if (applier_->removed_nodes().Contains(change.node)) {
      return base::Error(StatusCode::kPermissionDenied,
                         "node {} was removed from this cluster, for good: the machine may join with an empty "
                         "directory, as another node",
                         change.node);
    }
  }
  return absl::OkStatus();
}

bool Node::TryChange(PendingChange* change) {
  if (absl::Status refused = CheckNewcomers(change->changes); !refused.ok()) {
    change->refusal = std::move(refused);
    return change->refusal.code() == StatusCode::kUnavailable;
  }
  const raft::StepResult result = driver_->Step(Now(), raft::ChangeMembership{change->changes, std::nullopt});
  change->term = result.term;
  change->index = result.index;
  change->refusal = result.ok() ? absl::OkStatus() : base::Error(result.code, "{}", result.reason);
  // That another change is under way, say, passes; that there is no such member does not.
  return result.ok() || result.code == StatusCode::kFailedPrecondition || result.code == StatusCode::kUnavailable;
}

void Node::FinishChanges() {
  // Complete once nothing of it is still to be agreed on.
  const raft::Configuration& committed = driver_->core().committed_configuration();
  const bool settled = !committed.joint() && committed.version == driver_->core().configuration().version;
  for (auto change = changes_.begin(); change != changes_.end();) {
    if (!change->applied || !settled) {
      ++change;
      continue;
    }
    std::move(change->done)(absl::OkStatus());
    change = changes_.erase(change);
  }
}

void Node::EndChange(PendingChange* change, std::string_view why_unknown) {
  if (change->index == 0) return std::move(change->done)(change->refusal.ok() ? health_ : change->refusal);
  std::move(change->done)(
      base::Error(StatusCode::kUnknown, "the change was begun, and its fate is not known: {}", why_unknown));
}

void Node::StartTransfer(raft::NodeId to, Done done) {
  const raft::StepResult result = driver_->Step(Now(), raft::TransferLeadership{to});
  Wake();
  if (!result.ok()) return std::move(done)(base::Error(result.code, "{}", result.reason));
  if (transfer_ != nullptr) {
    return std::move(done)(base::Error(StatusCode::kFailedPrecondition, "another transfer is under way"));
  }
  transfer_ = std::move(done);
}

void Node::HandOver(Done done) {
  if (!health_.ok() || !leads() || driver_->core().configuration().members.size() < 2) {
    return std::move(done)(absl::OkStatus());
  }
  StartTransfer(raft::kNoNode, std::move(done));
}

void Node::EndTransfer(const raft::TransferResult& result) {
  if (transfer_ == nullptr) return;
  absl::Status status;
  if (result.code != StatusCode::kOk) {
    status = base::Error(result.code, "leadership was not handed over to {}", result.to);
  }
  std::move(transfer_)(status);
  transfer_ = nullptr;
}

void Node::Flush(Done done) {
  if (!health_.ok()) return std::move(done)(health_);
  if (!stalled().ok()) return std::move(done)(stalled());
  flushes_.push_back({.index = applier_->applied(), .done = std::move(done)});
  applier_->TakeSnapshot();
}

void Node::EndFlushes(const absl::StatusOr<raft::Index>& flushed) {
  // In the order of their indices.
  while (!flushes_.empty() && (!flushed.ok() || flushes_.front().index <= *flushed)) {
    Done done = std::move(flushes_.front().done);
    flushes_.pop_front();
    std::move(done)(flushed.status());
  }
}

// ---- Status. ----

MemberStatus Node::DescribeMember(const raft::Member& member) const {
  const MemberAddress address = AddressOf(member);
  MemberStatus status{.id = member.id,
                      .name = address.name,
                      .peer_address = address.peer,
                      .client_address = address.client,
                      .voter = member.votes(),
                      .promoted = member.promote,
                      .replaces = member.replaces,
                      .leader = member.id == role_.leader,
                      .self = member.id == id()};
  if (status.self && !damage_.empty()) status.trouble = "it can give nobody a copy of the database: " + damage_;
  if (status.self || peers_ == nullptr) return status;
  std::string failed_copy;
  for (const Peers::PeerStatus& peer : peers_->Status()) {
    if (peer.id != member.id) continue;
    status.connected = peer.up;
    if (peer.snapshot.active) {
      status.snapshot_bytes_sent = peer.snapshot.taken_bytes;
      status.snapshot_bytes = peer.snapshot.wanted_bytes;
    }
    if (!peer.up) status.trouble = peer.last_error.empty() ? "no connection" : "no connection: " + peer.last_error;
    failed_copy = peer.snapshot_error;
  }
  for (const raft::PeerView& peer : driver_->core().Peers()) {
    if (peer.id != member.id) continue;
    status.matched_index = peer.match;
    if (!status.trouble.empty()) continue;
    const raft::Index last = driver_->core().inspect().last;
    if (peer.log_full) {
      status.trouble = "its disk is full, or refuses reads";
    } else if (!failed_copy.empty() && peer.state != raft::PeerState::kReplicate) {
      // Where the log has brought it on after that, the copy is not missed.
      status.trouble = "a copy of the database failed: " + failed_copy;
    } else if (peer.state == raft::PeerState::kSnapshot) {
      status.trouble = "it is being given a copy of the database";
    } else if (last - peer.match > options_.core.promotion_lag_entries) {
      status.trouble = std::to_string(last - peer.match) + " entries behind";
    }
  }
  return status;
}

ClusterStatus Node::Status() const {
  if (driver_ == nullptr) return last_status_;
  const raft::Core& core = driver_->core();
  const raft::Inspect now = core.inspect();
  ClusterStatus status{.cluster_id = ClusterIdOf(directory_->identity()),
                       .node_id = id(),
                       .role = RoleOf(now.role),
                       .term = now.term,
                       .leader = now.leader,
                       .commit_index = now.commit,
                       .applied_index = applier_->applied(),
                       .last_index = now.last,
                       .durable_index = now.durable,
                       .flushed_index = replica_->durable().applied.index,
                       .members = {},
                       .members_version = core.configuration().version,
                       .members_changing = core.configuration().joint() ||
                                           core.committed_configuration().version != core.configuration().version,
                       .health = health_};
  for (const raft::Member& member : core.configuration().members) status.members.push_back(DescribeMember(member));
  if (!stalled().ok()) status.health = stalled();
  if (log_full_ && log_ != nullptr) {
    status.health = log_->lacks_space()
                        ? base::Error(StatusCode::kResourceExhausted, "the disk of the log is full")
                        : base::Error(StatusCode::kUnavailable, "there is no file for the log to go on in");
  }
  return status;
}

void Node::TellListener() {
  if (std::exchange(leader_changed_, false)) {
    parts_.listener->OnLeaderChanged(role_.term, role_.leader, role_.leader == id());
  }
  if (std::exchange(members_changed_, false) && driver_ != nullptr) {
    parts_.listener->OnMembersChanged(driver_->core().committed_configuration().version);
  }
}

// ---- What takes too long. ----

void Node::ArmExpiry() {
  const bool waits = !proposals_.empty() || !waiting_.empty() || !forwarding_.empty() || !asks_.empty() ||
                     reads_.may_expire() || !changes_.empty();
  if (!waits || expiry_ != base::kNoTimer) return;
  expiry_ = parts_.loop->After(kExpiryNanos, [this] {
    expiry_ = base::kNoTimer;
    Expire();
    Wake();
  });
}

void Node::Expire() {
  const int64_t now = Now();
  const std::string why = WhyNotNow();
  proposals_.Expire(now, why);
  waiting_.Expire(now);
  forwarding_.Expire(now);
  reads_.Expire(now, why);
  for (auto change = changes_.begin(); change != changes_.end();) {
    if (change->deadline_nanos > now) {
      ++change;
      continue;
    }
    if (change->refusal.ok() && change->index == 0) change->refusal = base::Error(StatusCode::kUnavailable, "{}", why);
    EndChange(&*change, "it takes longer than it was given");
    change = changes_.erase(change);
  }
  for (auto ask = asks_.begin(); ask != asks_.end();) {
    if (ask->second.deadline_nanos > now) {
      ++ask;
      continue;
    }
    PendingAsk late = std::move(ask->second);
    ask = asks_.erase(ask);
    EndAsk(&late, why);
  }
}

}  // namespace bandb::cluster
