// Replication: what a leader sends to a peer, and what it learns from the answers.
//
// Entries are collected when an output is taken, so all proposals of a turn travel together. There is no timer for lost
// messages: the next heartbeat names the last entry that was sent, a peer that does not have it refuses, and the leader
// begins anew at the place that the refusal names.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "raft/replica.h"

namespace bandb::raft {
namespace {

using absl::StatusCode;

StepResult Dropped(const char* reason) { return {StatusCode::kFailedPrecondition, reason}; }

}  // namespace

void Replica::Replicate(Progress* peer) {
  // What comes next for the peer was given up, so a snapshot is needed whatever becomes of what is in flight. And if
  // that was lost, no heartbeat would find it out: it can no longer name the last entry that was sent.
  if (peer->state == PeerState::kReplicate && peer->next <= log_.floor()) peer->Probe(peer->match + 1);
  if (peer->round_sent < rounds_.current()) SendEmptyAppend(peer, rounds_.current());
  while (peer->next <= log_.last() && peer->MaySend(options_)) {
    if (!SendEntries(peer)) break;
  }
  if (peer->state == PeerState::kReplicate && peer->commit_sent < log_.commit()) SendEmptyAppend(peer, 0);
}

Message Replica::MakeAppend(const Progress& peer, Index previous) const {
  Message message = MakeMessage(MessageKind::kAppend, peer.id);
  message.session = peer.session;
  message.commit = log_.commit();
  // Where nothing is known any more of what precedes, index 0 stands: it matches everywhere and acknowledges nothing.
  const std::optional<Term> term = log_.TermAt(previous);
  if (term.has_value()) {
    message.index = previous;
    message.log_term = *term;
  }
  return message;
}

void Replica::SendEmptyAppend(Progress* peer, uint64_t round) {
  const Index previous = peer->state == PeerState::kSnapshot ? 0 : peer->next - 1;
  Message message = MakeAppend(*peer, previous);
  message.round = round;
  if (round != 0) peer->round_sent = round;
  peer->commit_sent = log_.commit();
  Send(std::move(message));
}

bool Replica::SendEntries(Progress* peer) {
  BANDB_ASSERT(peer->next <= log_.last());
  if (peer->next <= log_.floor()) {
    StartSnapshot(peer);
    return false;
  }
  if (!log_.Cached(peer->next)) {
    StartFetch(peer);
    return false;
  }
  Message message = MakeAppend(*peer, peer->next - 1);
  BANDB_ASSERT(message.index == peer->next - 1);
  uint64_t bytes = 0;
  Index end = peer->next;
  for (; end <= log_.last(); ++end) {
    const Entry& entry = log_.At(end);
    const uint64_t cost = CostBytes(entry);
    if (bytes > 0 && bytes + cost > options_.max_message_bytes) break;
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

void Replica::StartFetch(Progress* peer) {
  BANDB_ASSERT(peer->fetch == 0);
  if (peer->log_full || out_.fetches.size() >= kMaxMembers) return;
  peer->fetch = next_fetch_++;
  out_.fetches.push_back({peer->fetch, peer->next, log_.durable(), options_.max_message_bytes});
}

StepResult Replica::On(EntriesFetched event) {
  auto waits = std::find_if(peers_.begin(), peers_.end(),
                            [&](const Progress& p) { return p.fetch != 0 && p.fetch == event.fetch; });
  if (waits == peers_.end()) return Dropped("nobody waits for it");
  waits->fetch = 0;
  // Until the next heartbeat is answered: a disk that cannot read now is not asked again at once.
  if (!event.ok) {
    waits->Probe(waits->match + 1);
    waits->probe_sent = true;
    return {};
  }
  // A read error that passes for the end of the log, or entries of another time, would become a malformed message.
  Index index = event.entries.empty() ? 0 : event.entries.front().index;
  if (index != 0 && index <= log_.floor()) return Dropped("meanwhile given up");
  bool right = index != 0;
  for (const Entry& entry : event.entries) {
    right = right && entry.index == index && entry.group == options_.group && log_.Matches(index, entry.term);
    ++index;
  }
  if (!right) {
    Report(FaultKind::kMalformedEntries, options_.self, waits->next);
    return Dropped("not the entries that were asked for");
  }
  // Meanwhile the peer may have acknowledged some of them, which had been sent before.
  if (event.entries.front().index != waits->next || !waits->MaySend(options_)) return Dropped("no longer needed");
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

StepResult Replica::HandleAppendReply(const Message& m) {
  if (role_ != Role::kLeader) return Dropped("not the leader");
  Progress* peer = FindPeer(m.from);
  if (peer == nullptr) return Dropped("not a peer");
  if (m.session != peer->session) return Dropped("of an earlier session");
  const bool impossible =
      m.round > rounds_.current() || (!m.reject && m.index > log_.last()) || (m.reject && m.index == 0);
  if (impossible) {
    Report(FaultKind::kMalformedMessage, m.from, m.index);
    return Dropped("answers what was not said");
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

void Replica::HandleAppendRefused(Progress* peer, const Message& m) {
  // Answers to what was sent before the last change of mind say nothing about now.
  if (peer->state == PeerState::kSnapshot) return;
  if (m.index <= peer->match) return;
  if (peer->state == PeerState::kProbe && m.index != peer->next - 1) return;
  const Index agreed = std::min(log_.HighestAtMost(m.hint, m.hint_term), m.index - 1);
  peer->Probe(std::max(peer->match, agreed) + 1);
}

void Replica::HandleAppendAccepted(Progress* peer, const Message& m) {
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
