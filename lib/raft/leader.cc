// A leader: its time, its commit index, the rounds that prove that it still leads, what it sends to
// its peers, and what it learns from their answers.
//
// Entries are collected when an output is taken, so all proposals of a turn travel together. There
// is no timer for lost messages: the next heartbeat names the last entry that was sent, a peer that
// does not have it refuses, and the leader begins again at the place that the refusal names.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "raft/core_state.h"

namespace bandb::raft {

void CoreState::LeaderTick() {
  if (now_ >= heartbeat_deadline_) {
    heartbeat_deadline_ = now_ + options_.heartbeat_interval_nanos;
    BeginRound();
  }
  if (const bool unreadable = LogStuck(); unreadable || DiskStalled()) {
    // Heartbeats need no disk, so nobody else would ever notice.
    Report(unreadable ? FaultKind::kLogUnreadable : FaultKind::kDiskStalled, options_.self,
           unreadable ? unreadable_ : log_.durable());
    // The others may agree without it. Should they need this node, it tries again, now and then.
    if (unreadable) aside_until_ = now_ + 10 * options_.election_timeout_nanos;
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
  HandOverIfFull();
  for (Progress& peer : peers_) {
    if (peer.state == PeerState::kSnapshot && now_ >= peer.snapshot_deadline) peer.Probe(peer.match + 1);
  }
}

// Those who have what follows the commit index may be too few for long, and the others need it from
// this log. No snapshot has it either.
bool CoreState::LogStuck() const {
  return unreadable_ > log_.commit() && now_ >= unreadable_since_ + options_.election_timeout_nanos;
}

void CoreState::ForgetUnreadable() {
  unreadable_ = 0;
  aside_until_ = std::numeric_limits<Nanos>::min();
}

void CoreState::LeaderTurn() {
  FinishChange();
  if (role_ != Role::kLeader) return;
  StartReadRound();
  ReplicateToAll();
  ContinueTransfer();
}

bool CoreState::CommittedInOwnTerm() const { return log_.Matches(log_.commit(), term_); }

Index CoreState::AppendOwn(EntryKind kind, Payload payload) {
  BANDB_ASSERT(role_ == Role::kLeader);
  Entry entry{.term = term_, .index = log_.last() + 1, .group = options_.group, .kind = kind, .payload = {}};
  entry.payload = std::move(payload);
  const Index index = entry.index;
  log_.Append(std::move(entry));
  return index;
}

void CoreState::MaybeCommit() {
  BANDB_ASSERT(role_ == Role::kLeader);
  const Index reached = QuorumValue(configuration(), [this](NodeId id) -> Index {
    // The leader's own disk is one of many, and counts for what it holds.
    if (id == options_.self) return log_.durable();
    const Progress* peer = FindPeer(id);
    return peer == nullptr ? 0 : peer->match;
  });
  if (reached <= log_.commit() || reached > log_.last()) return;
  // An entry of an earlier term is committed only by one of this term that follows it: until then
  // another node may still be elected without it (Raft paper, figure 8).
  if (!log_.Matches(reached, term_)) return;
  CommitTo(reached);
}

void CoreState::BeginRound() {
  const uint64_t round = rounds_.Begin(now_);
  if (CommittedInOwnTerm()) reads_.JoinRound(round, log_.commit());
  // A lone voter has proved it already.
  ProveRounds();
}

void CoreState::ProveRounds() {
  const uint64_t proved = QuorumValue(configuration(), [this](NodeId id) -> uint64_t {
    if (id == options_.self) return rounds_.current();
    const Progress* peer = FindPeer(id);
    return peer == nullptr ? 0 : peer->acknowledged_round;
  });
  rounds_.Prove(std::min(proved, rounds_.current()));
  ReadQueue::Batch batch;
  while (reads_.TakeProved(rounds_.proved(), &batch)) {
    for (const ReadQueue::Request& request : batch.requests) {
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

Progress* CoreState::FindPeer(NodeId id) {
  for (Progress& peer : peers_) {
    if (peer.id == id) return &peer;
  }
  return nullptr;
}

void CoreState::SyncPeers() {
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
    peer.since = now_;
    peer.next = log_.last() + 1;
  }
}

void CoreState::ReplicateToAll() {
  for (Progress& peer : peers_) Replicate(&peer);
  const bool owes = std::any_of(peers_.begin(), peers_.end(), [this](const Progress& p) { return OwesCommit(p); });
  if (!owes) commit_deadline_ = kNever;
}

void CoreState::Replicate(Progress* peer) {
  // What comes next for the peer was given up, so a snapshot is needed whatever becomes of what is
  // in flight. And if that was lost, no heartbeat would find it out: it can no longer name the last
  // entry that was sent.
  if (peer->state == PeerState::kReplicate && peer->next <= log_.floor()) peer->Probe(peer->match + 1);
  if (peer->round_sent < rounds_.current()) SendEmptyAppend(peer, rounds_.current());
  while (peer->next <= log_.last() && peer->MaySend(options_)) {
    if (!SendEntries(peer)) break;
  }
  if (!OwesCommit(*peer)) return;
  if (commit_deadline_ == kNever) commit_deadline_ = now_ + options_.commit_delay_nanos;
  if (now_ >= commit_deadline_) SendEmptyAppend(peer, 0);
}

bool CoreState::OwesCommit(const Progress& peer) const {
  return peer.state == PeerState::kReplicate && peer.commit_sent < log_.commit();
}

Message CoreState::MakeAppend(const Progress& peer, Index previous) const {
  Message message = MakeMessage(MessageKind::kAppend, peer.id);
  message.session = peer.session;
  message.commit = log_.commit();
  // Where nothing is known any more of what precedes, index 0 takes its place: it matches
  // everywhere and acknowledges nothing.
  const std::optional<Term> term = log_.TermAt(previous);
  if (term.has_value()) {
    message.index = previous;
    message.log_term = *term;
  }
  return message;
}

void CoreState::SendEmptyAppend(Progress* peer, uint64_t round) {
  const Index previous = peer->state == PeerState::kSnapshot ? 0 : peer->next - 1;
  Message message = MakeAppend(*peer, previous);
  message.round = round;
  if (round != 0) peer->round_sent = round;
  peer->commit_sent = log_.commit();
  Send(std::move(message));
}

bool CoreState::SendEntries(Progress* peer) {
  BANDB_ASSERT(peer->next <= log_.last());
  if (peer->next <= log_.floor()) {
    StartSnapshot(peer);
    return false;
  }
  if (!log_.Cached(peer->next)) {
    peer->next <= unreadable_ ? StartSnapshot(peer) : StartFetch(peer);
    return false;
  }
  Message message = MakeAppend(*peer, peer->next - 1);
  BANDB_ASSERT(message.index == peer->next - 1);
  uint64_t bytes = 0;
  Index end = peer->next;
  for (; end <= log_.last(); ++end) {
    const Entry& entry = log_.At(end);
    const uint64_t cost = CostBytes(entry);
    if (bytes > 0 && bytes + cost > options_.message_bytes_max) break;
    // A peer without room still takes what elections and changes of membership need.
    if (peer->log_full && entry.kind == EntryKind::kData) break;
    bytes += cost;
  }
  if (end == peer->next) return false;
  message.entries.reserve(static_cast<size_t>(end - peer->next));
  for (Index i = peer->next; i < end; ++i) message.entries.push_back(log_.At(i));
  peer->Sent(end - 1, bytes);
  peer->commit_sent = log_.commit();
  Send(std::move(message));
  return true;
}

void CoreState::StartFetch(Progress* peer) {
  BANDB_ASSERT(peer->fetch == 0);
  if (peer->log_full || out_.fetches.size() >= kMembersMax) return;
  peer->fetch = next_fetch_++;
  peer->fetch_first = peer->next;
  out_.fetches.push_back({peer->fetch, peer->next, log_.durable(), options_.message_bytes_max});
}

StepResult CoreState::On(EntriesFetched event) {
  auto waits = std::find_if(peers_.begin(), peers_.end(),
                            [&](const Progress& p) { return p.fetch != 0 && p.fetch == event.fetch; });
  if (waits == peers_.end()) return Refused("nobody waits for it");
  waits->fetch = 0;
  // Until the next heartbeat is answered: a disk that cannot read now is not asked again at once.
  if (!event.ok) {
    if (event.lost && waits->fetch_first > unreadable_) {
      unreadable_ = waits->fetch_first;
      unreadable_since_ = now_;
    }
    waits->Probe(waits->match + 1);
    waits->probe_sent = true;
    return {};
  }
  // A read error that passes for the end of the log, or entries of another time, would become a
  // malformed message.
  Index index = event.entries.empty() ? 0 : event.entries.front().index;
  if (index != 0 && index <= log_.floor()) return Refused("meanwhile given up");
  bool right = index != 0;
  for (const Entry& entry : event.entries) {
    right = right && entry.index == index && entry.group == options_.group && log_.Matches(index, entry.term);
    ++index;
  }
  if (!right) {
    Report(FaultKind::kMalformedEntries, options_.self, waits->next);
    return Refused("not the entries that were asked for");
  }
  // Meanwhile the peer may have acknowledged some of them, which had been sent before.
  if (event.entries.front().index != waits->next || !waits->MaySend(options_)) return Refused("no longer needed");
  uint64_t bytes = 0;
  for (const Entry& entry : event.entries) bytes += CostBytes(entry);
  Message message = MakeAppend(*waits, waits->next - 1);
  BANDB_ASSERT(message.index == waits->next - 1);
  message.entries = std::move(event.entries);
  waits->Sent(index - 1, bytes);
  waits->commit_sent = log_.commit();
  Send(std::move(message));
  return {};
}

StepResult CoreState::HandleAppendReply(const Message& m) {
  if (role_ != Role::kLeader) return Refused("not the leader");
  Progress* peer = FindPeer(m.from);
  if (peer == nullptr) return Refused("not a peer");
  if (m.session != peer->session) return Refused("of an earlier session");
  const bool impossible =
      m.round > rounds_.current() || (!m.reject && m.index > log_.last()) || (m.reject && m.index == 0);
  if (impossible) {
    Report(FaultKind::kMalformedMessage, m.from, m.index);
    return Refused("answers what was not said");
  }
  peer->heard = now_;
  peer->log_full = m.log_full;
  if (m.round > peer->acknowledged_round) {
    peer->acknowledged_round = m.round;
    ProveRounds();
  }
  if (m.reject) {
    HandleAppendRefused(peer, m);
  } else {
    HandleAppendAccepted(peer, m);
  }
  return {};
}

void CoreState::HandleAppendRefused(Progress* peer, const Message& m) {
  // Answers to what was sent before the last change of mind say nothing about now. That the
  // snapshot could not be installed does; what kept the peer from it is given some time to pass.
  if (peer->state == PeerState::kSnapshot) {
    if (m.index != peer->snapshot_index) return;
    peer->snapshot_deadline = std::min(peer->snapshot_deadline, now_ + options_.election_timeout_nanos);
    return;
  }
  if (m.index <= peer->match) return;
  if (peer->state == PeerState::kProbe && m.index != peer->next - 1) return;
  const Index agreed = std::min(log_.HighestAtMost(m.hint, m.hint_term), m.index - 1);
  peer->Probe(std::max(peer->match, agreed) + 1);
}

void CoreState::HandleAppendAccepted(Progress* peer, const Message& m) {
  const bool news = peer->Acknowledge(m.index);
  switch (peer->state) {
    case PeerState::kProbe:
      peer->EnterReplicate();
      break;
    case PeerState::kSnapshot:
      // Any place from which the log can go on will do; it need not be the snapshot's.
      if (peer->match >= peer->snapshot_index || (news && peer->match >= log_.floor())) {
        peer->Probe(peer->match + 1);
        peer->EnterReplicate();
      }
      break;
    case PeerState::kReplicate:
      break;
  }
  if (news) MaybeCommit();
}

}  // namespace bandb::raft
