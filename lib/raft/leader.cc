// A leader's time, its commit index, and the rounds that prove that it still leads.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "raft/replica.h"

namespace bandb::raft {

void Replica::LeaderTick() {
  if (now_ >= heartbeat_deadline_) {
    heartbeat_deadline_ = now_ + options_.heartbeat_interval_nanos;
    BeginRound();
  }
  if (DiskStalled()) {
    // Heartbeats need no disk, so nobody else would ever notice.
    Report(FaultKind::kDiskStalled, options_.self, log_.durable());
    if (Progress* peer = FindPeer(BestSuccessor()); peer != nullptr) SendTimeoutNow(*peer);
    BecomeFollower(term_, kNoNode);
    return;
  }
  if (now_ >= rounds_.proved_at() + options_.election_timeout_nanos) {
    BecomeFollower(term_, kNoNode);
    return;
  }
  if (transfer_.has_value() && now_ >= transfer_->deadline) {
    EndTransfer(absl::StatusCode::kDeadlineExceeded);
  }
  for (Progress& peer : peers_) {
    if (peer.state == PeerState::kSnapshot && now_ >= peer.snapshot_deadline) peer.Probe(peer.match + 1);
  }
}

void Replica::LeaderTurn() {
  FinishChange();
  if (role_ != Role::kLeader) return;
  StartReadRound();
  for (Progress& peer : peers_) Replicate(&peer);
  ContinueTransfer();
}

bool Replica::CommittedInOwnTerm() const { return log_.Matches(log_.commit(), term_); }

Index Replica::AppendOwn(EntryKind kind, Payload payload) {
  BANDB_ASSERT(role_ == Role::kLeader);
  Entry entry{.term = term_, .index = log_.last() + 1, .group = options_.group, .kind = kind, .payload = {}};
  entry.payload = std::move(payload);
  log_bytes_since_snapshot_ += CostBytes(entry);
  const Index index = entry.index;
  log_.Append(std::move(entry));
  return index;
}

void Replica::MaybeCommit() {
  BANDB_ASSERT(role_ == Role::kLeader);
  const Index reached = QuorumValue(configuration(), [this](NodeId id) -> Index {
    // The leader's own disk is one of many, and counts for what it holds.
    if (id == options_.self) return log_.durable();
    const Progress* peer = FindPeer(id);
    return peer == nullptr ? 0 : peer->match;
  });
  if (reached <= log_.commit() || reached > log_.last()) return;
  // An entry of an earlier term is committed only by one of this term that follows it: until then another node may
  // still be elected without it (Raft paper, figure 8).
  if (!log_.Matches(reached, term_)) return;
  CommitTo(reached);
}

void Replica::BeginRound() {
  const uint64_t round = rounds_.Begin(now_);
  if (CommittedInOwnTerm()) reads_.JoinRound(round, log_.commit());
  // A lone voter has proved it already.
  ProveRounds();
}

void Replica::ProveRounds() {
  const uint64_t proved = QuorumValue(configuration(), [this](NodeId id) -> uint64_t {
    if (id == options_.self) return rounds_.current();
    const Progress* peer = FindPeer(id);
    return peer == nullptr ? 0 : peer->acknowledged_round;
  });
  rounds_.Prove(std::min(proved, rounds_.current()));
  Reads::Batch batch;
  while (reads_.TakeProved(rounds_.proved(), &batch)) {
    for (const Reads::Request& request : batch.requests) {
      if (request.from == kNoNode) {
        reads_.Ready(request.id, batch.index, false);
        continue;
      }
      Message answer = MakeMessage(MessageKind::kReadIndexReply, request.from);
      answer.round = request.id;
      answer.index = batch.index;
      Send(std::move(answer));
    }
  }
}

Progress* Replica::FindPeer(NodeId id) {
  for (Progress& peer : peers_) {
    if (peer.id == id) return &peer;
  }
  return nullptr;
}

void Replica::SyncPeers() {
  std::vector<Progress> before = std::move(peers_);
  peers_.clear();
  for (const Member& member : configuration().members) {
    if (member.id == options_.self) continue;
    auto known = std::find_if(before.begin(), before.end(), [&](const Progress& p) { return p.id == member.id; });
    if (known != before.end()) {
      peers_.push_back(std::move(*known));
      continue;
    }
    Progress& peer = peers_.emplace_back();
    peer.id = member.id;
    peer.session = next_session_++;
    peer.next = log_.last() + 1;
  }
}

}  // namespace bandb::raft
