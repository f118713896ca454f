// Transfer of leadership: the leader waits until the successor has all of its log, and then asks it
// to stand for election at once.
#include <utility>

#include "base/assert.h"
#include "raft/core_state.h"

namespace bandb::raft {

using absl::StatusCode;

NodeId CoreState::BestSuccessor() const {
  const Progress* best = nullptr;
  for (const Progress& peer : peers_) {
    const Member* member = configuration().Find(peer.id);
    const bool alive = peer.HeardSince(now_, options_.election_timeout_nanos);
    if (member == nullptr || !member->voter || !alive || peer.log_full || !log_.TermAt(peer.match)) continue;
    if (best == nullptr || peer.match > best->match) best = &peer;
  }
  return best == nullptr ? kNoNode : best->id;
}

StepResult CoreState::On(TransferLeadership event) {
  if (role_ != Role::kLeader) return Refused("not the leader");
  if (transfer_.has_value()) return Refused("another transfer is under way");
  const NodeId to = event.to == kNoNode ? BestSuccessor() : event.to;
  if (to == kNoNode) return Refused("no voter fits");
  if (to == options_.self) return Refused("leads already");
  const Member* member = configuration().Find(to);
  if (member == nullptr || !member->voter) return {StatusCode::kNotFound, "no such voter"};
  transfer_ = Transfer{to, now_ + options_.election_timeout_nanos, false};
  return {};
}

void CoreState::ContinueTransfer() {
  if (!transfer_.has_value() || transfer_->asked) return;
  const Progress* peer = FindPeer(transfer_->to);
  if (peer == nullptr) {
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

}  // namespace bandb::raft
