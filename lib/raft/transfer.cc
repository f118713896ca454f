// Transfer of leadership: the leader waits until the successor has all of its log, and then asks it
// to stand for election at once. A transfer has succeeded when another node is known to lead, and
// no sooner: a leader may cease to lead for reasons of its own, and leave nobody in its place.
//
// A leader whose log is nearly full begins one by itself, if there is a voter with room: it refuses
// all writes, and the other would take them.
#include <utility>

#include "base/assert.h"
#include "raft/core_state.h"

namespace bandb::raft {

using absl::StatusCode;

const char* CoreState::UnfitToSucceed(const Progress& peer) const {
  const Nanos timeout = options_.election_timeout_nanos;
  if (peer.log_full) return "its log is nearly full";
  if (peer.state == PeerState::kSnapshot) return "it is being given a snapshot";
  if (!peer.HeardSince(now_, timeout) && now_ - peer.since >= timeout) return "it has not answered for too long";
  return nullptr;
}

NodeId CoreState::BestSuccessor() const {
  const Progress* best = nullptr;
  for (const Progress& peer : peers_) {
    const Member* member = configuration().Find(peer.id);
    const bool alive = peer.HeardSince(now_, options_.election_timeout_nanos);
    if (member == nullptr || !member->voter || !alive || !log_.TermAt(peer.match)) continue;
    if (UnfitToSucceed(peer) != nullptr) continue;
    if (best == nullptr || peer.match > best->match) best = &peer;
  }
  return best == nullptr ? kNoNode : best->id;
}

StepResult CoreState::On(TransferLeadership event) {
  if (role_ != Role::kLeader) return Refused("not the leader");
  if (transfer_.has_value() || out_.transfer.has_value()) return Refused("another transfer is under way");
  const NodeId to = event.to == kNoNode ? BestSuccessor() : event.to;
  if (to == kNoNode) return Refused("no voter fits");
  if (to == options_.self) return Refused("leads already");
  const Member* member = configuration().Find(to);
  if (member == nullptr || !member->voter) return {StatusCode::kNotFound, "no such voter"};
  if (const Progress* peer = FindPeer(to); peer != nullptr) {
    if (const char* reason = UnfitToSucceed(*peer); reason != nullptr) return Refused(reason);
  }
  StartTransfer(to);
  return {};
}

void CoreState::StartTransfer(NodeId to) {
  BANDB_ASSERT(role_ == Role::kLeader);
  BANDB_ASSERT(to != kNoNode);
  BANDB_ASSERT(to != options_.self);
  transfer_ = Transfer{to, now_ + options_.election_timeout_nanos, false};
}

// The peers say with their answers whether they have room, so they are given one heartbeat to do
// so.
void CoreState::HandOverIfFull() {
  if (!log_full_ || transfer_.has_value() || now_ < full_deadline_) return;
  full_deadline_ = now_ + options_.election_timeout_nanos;
  if (const NodeId to = BestSuccessor(); to != kNoNode) StartTransfer(to);
}

void CoreState::ContinueTransfer() {
  if (!transfer_.has_value() || transfer_->asked) return;
  const Progress* peer = FindPeer(transfer_->to);
  if (peer == nullptr || peer->log_full || peer->state == PeerState::kSnapshot) {
    EndTransfer(StatusCode::kUnavailable);
    return;
  }
  if (peer->match != log_.last()) return;
  transfer_->asked = true;
  SendTimeoutNow(*peer);
}

void CoreState::SendTimeoutNow(const Progress& to) {
  BANDB_ASSERT(role_ == Role::kLeader);
  // From here on an election may be won against every promise made to this leader, and the request
  // for it may arrive at any later time. No lease is trusted again in this term, even if this node
  // goes on leading.
  lease_void_ = true;
  Message message = MakeMessage(MessageKind::kTimeoutNow, to.id);
  message.index = to.match;
  message.log_term = log_.TermAt(to.match).value_or(0);
  Send(std::move(message));
}

StepResult CoreState::HandleTimeoutNowReply(const Message& m) {
  if (!transfer_.has_value() || transfer_->to != m.from || !m.reject) return Refused("no such transfer");
  EndTransfer(StatusCode::kUnavailable);
  return {};
}

void CoreState::EndTransfer(StatusCode code) {
  BANDB_ASSERT(transfer_.has_value());
  out_.transfer = TransferResult{transfer_->to, code};
  transfer_.reset();
}

// This node ceases to lead. If leadership was being transferred, its successor will be heard soon,
// or there is none.
void CoreState::AwaitSuccessor() {
  if (!transfer_.has_value()) return;
  handover_ = Handover{transfer_->to, now_ + options_.election_timeout_nanos};
  transfer_.reset();
}

void CoreState::EndHandover(StatusCode code) {
  if (!handover_.has_value()) return;
  out_.transfer = TransferResult{handover_->to, code};
  handover_.reset();
}

}  // namespace bandb::raft
