// Changes of membership and of leadership, step by step.
//
// A leader has one change at a time in its log, and begins one only after it has committed an entry
// of its own term: a configuration of a predecessor that was never committed may otherwise be
// overtaken by one that does not overlap with it. The steps after the first (leaving a joint
// configuration, promoting a learner, leaving office) follow from the state alone, so a new leader
// goes on where the old one stopped.
#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"
#include "raft/core_state.h"
#include "raft/membership.h"
#include "raft/types/configuration_codec.h"

namespace bandb::raft {

using absl::StatusCode;

StepResult CoreState::On(ChangeMembership event) {
  if (role_ != Role::kLeader) return Refused("not the leader");
  if (transfer_.has_value()) return {StatusCode::kUnavailable, "leadership is being transferred"};
  const Configuration& now = configuration();
  if (event.expected_version.has_value() && *event.expected_version != now.version) {
    return {StatusCode::kAborted, "the configuration has another version"};
  }
  if (now.index > log_.commit() || now.joint()) return Refused("another change is under way");
  if (!CommittedInOwnTerm()) return Refused("no entry of this term is committed yet");
  if (log_.last() >= kNumberMax) return {StatusCode::kResourceExhausted, "out of indexes"};
  ChangePlan plan = PlanChange(now, event.changes);
  if (!plan.ok()) return {plan.code, plan.reason};
  for (const Change& change : event.changes) {
    if (change.kind == ChangeKind::kPromote && !CaughtUp(change.node)) return Refused("the learner has not caught up");
  }
  AppendConfiguration(std::move(plan.next));
  return {StatusCode::kOk, "", term_, log_.last()};
}

bool CoreState::CaughtUp(NodeId id) const {
  for (const Progress& peer : peers_) {
    if (peer.id != id) continue;
    return peer.HeardSince(now_, options_.election_timeout_nanos) && peer.state == PeerState::kReplicate &&
           peer.match > 0 && log_.last() - peer.match <= options_.promotion_lag_entries;
  }
  return false;
}

void CoreState::AppendConfiguration(Configuration next) {
  BANDB_ASSERT(role_ == Role::kLeader);
  BANDB_ASSERT(IsValid(next));
  next.version = configuration().version + 1;
  next.index = log_.last() + 1;
  std::string bytes;
  EncodeConfiguration(next, &bytes);
  AppendOwn(EntryKind::kConfiguration, Payload(bytes));
  configurations_.Append(std::move(next));
  // Tell departing members, as far as one message allows, so that they do not stand for
  // election.
  for (Progress& peer : peers_) {
    if (configuration().Find(peer.id) == nullptr && peer.next <= log_.last() && peer.MaySend(options_)) {
      SendEntries(&peer);
    }
  }
  SyncPeers();
  MaybeCommit();
}

void CoreState::FinishChange() {
  const Configuration& now = configuration();
  if (now.index > log_.commit()) return;
  if (now.joint()) {
    AppendConfiguration(LeaveJoint(now));
    return;
  }
  const Member* self = now.Find(options_.self);
  if (self == nullptr || !self->voter) {
    LeaveOffice();
    return;
  }
  if (CommittedInOwnTerm() && !transfer_.has_value()) PromoteLearners();
}

void CoreState::PromoteLearners() {
  std::vector<NodeId> ready;
  for (const Member& member : configuration().members) {
    if (member.promote && CaughtUp(member.id)) ready.push_back(member.id);
  }
  if (!ready.empty()) AppendConfiguration(PlanPromotion(configuration(), ready));
}

// The configuration without this node is committed, so it leads nobody. The others learn of the
// commit at once, and the best of them need not wait for a timeout.
void CoreState::LeaveOffice() {
  commit_deadline_ = now_;
  ReplicateToAll();
  if (Progress* peer = FindPeer(BestSuccessor()); peer != nullptr) SendTimeoutNow(*peer);
  BecomeFollower(term_, kNoNode);
}

}  // namespace bandb::raft
