// Snapshots, and the compaction of the log that follows them.
#include <algorithm>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "raft/core_state.h"

namespace bandb::raft {
std::optional<SnapshotMeta> CoreState::SnapshotAt(Index index) const {
  const std::optional<Term> term = log_.TermAt(index);
  if (index == 0 || index > log_.applied() || !term.has_value()) return std::nullopt;
  // The configuration of that index: a later one may still be truncated.
  const Configuration& then = configurations_.At(index);
  if (!then.has_voters()) return std::nullopt;
  return SnapshotMeta{index, *term, then, 0};
}

StepResult CoreState::On(SnapshotTaken event) {
  if (event.index < snapshot_.index) return Refused("older than the last one");
  std::optional<SnapshotMeta> snapshot = SnapshotAt(event.index);
  if (!snapshot.has_value()) return Refused("not applied");
  snapshot_ = std::move(*snapshot);
  snapshot_.id = event.id;
  snapshot_asked_ = snapshot_asked_at_ = 0;
  CompactLog();
  return {};
}

// A snapshot makes room in the log. Where there is hardly any left it is wanted at every step that
// the state machine makes, not only when the log has grown: a full log takes no more entries, and
// would never grow again.
bool CoreState::WantsSnapshot() const {
  if (log_.applied() <= snapshot_.index) return false;
  if (lacks_space_ && log_.applied() > snapshot_asked_) return true;
  // By what is in the log, not by what came into it since the start: a node that is restarted again
  // and again must not have ever more to replay.
  return log_.CostAfter(std::max(snapshot_.index, snapshot_asked_at_)) >= options_.snapshot_log_bytes;
}

void CoreState::CompactLog() {
  BANDB_ASSERT(snapshot_.index <= log_.applied());
  const Index snapshot = snapshot_.index;
  // On a full disk nothing is kept for peers that are behind, not even for one that is given a
  // snapshot, which may take hours. If it then lacks what follows, it is given another.
  Index floor = lacks_space_ ? snapshot : log_.KeepingBytes(snapshot, options_.retained_log_bytes);
  if (role_ == Role::kLeader && !lacks_space_) {
    // What everybody has is kept for nobody.
    Index everywhere = snapshot;
    for (const Progress& peer : peers_) everywhere = std::min(everywhere, peer.match);
    floor = std::max(floor, everywhere);
    // Who is given a snapshot needs what follows it, else it is given the next one as soon as it
    // has this one.
    for (const Progress& peer : peers_) {
      if (peer.state == PeerState::kSnapshot) floor = std::min(floor, peer.snapshot_index);
    }
  }
  if (floor <= log_.floor() || !SnapshotAt(floor).has_value()) return;
  log_.CompactTo(floor);
  configurations_.CompactTo(floor);
  out_.compact_to = floor;
}

// What comes next for the peer is not in the log any more, or cannot be read back from it.
void CoreState::StartSnapshot(Progress* peer) {
  if (!peer->HeardSince(now_, options_.election_timeout_nanos)) return;
  // One that ends before what the leader cannot read would be followed by another.
  const Index needed = std::max(log_.floor(), peer->next <= unreadable_ ? unreadable_ : 0);
  if (snapshot_.index < needed || snapshot_.index <= peer->match) {
    // None has what is not applied: if it is not agreed on, see LogStuck.
    if (needed <= log_.applied()) out_.take_snapshot = true;
    return;
  }
  peer->StartSnapshot(snapshot_.index);
  Message message = MakeMessage(MessageKind::kSnapshot, peer->id);
  message.session = peer->session;
  message.commit = log_.commit();
  message.snapshot = std::make_shared<const SnapshotMeta>(snapshot_);
  out_.send_snapshots.push_back({std::move(message)});
}

StepResult CoreState::On(SnapshotSent event) {
  Progress* peer = FindPeer(event.to);
  if (peer == nullptr || peer->session != event.session || peer->state != PeerState::kSnapshot) {
    return Refused("no such snapshot under way");
  }
  if (event.ok) {
    // The peer answers when it has installed it. If it never does, it is asked again.
    peer->snapshot_deadline = now_ + 10 * options_.election_timeout_nanos;
  } else {
    peer->Probe(peer->match + 1);
    peer->probe_sent = true;
  }
  return {};
}

StepResult CoreState::HandleSnapshot(const Message& m) {
  if (!AcceptLeader(m)) return Refused("two leaders in one term");
  if (install_.has_value()) return Refused("another snapshot is being installed");
  const SnapshotMeta& snapshot = *m.snapshot;
  Message answer = MakeAppendReply(m.from, m.session, 0);
  const std::optional<Term> present = log_.TermAt(snapshot.index);
  if (snapshot.index <= log_.commit() && present.has_value() && *present != snapshot.term) {
    Report(FaultKind::kCommittedConflict, m.from, snapshot.index);
    return Refused("contradicts what is committed");
  }
  // A log that already holds what the snapshot covers is better than the snapshot: it may hold
  // more, and what it holds more may have been acknowledged.
  const bool covered = snapshot.index <= log_.commit() || log_.Matches(snapshot.index, snapshot.term);
  if (covered) {
    CommitTo(snapshot.index);
    answer.index = std::min(snapshot.index, log_.durable());
    Answer(std::move(answer));
    return {};
  }
  install_ = Install{snapshot, m.from, m.term, m.session};
  out_.install = snapshot;
  return {};
}

StepResult CoreState::On(SnapshotInstalled event) {
  if (!install_.has_value() || install_->snapshot.index != event.index || install_->snapshot.term != event.term) {
    return Refused("no such snapshot is being installed");
  }
  const Install install = std::move(*install_);
  install_.reset();
  if (!event.ok) {
    // The leader would wait for long, since an install may take long.
    if (term_ != install.term) return {};
    Message answer = MakeAppendReply(install.from, install.session, 0);
    answer.reject = true;
    answer.index = event.index;
    Answer(std::move(answer));
    return {};
  }
  log_.Reset(event.index, event.term);
  ForgetUnreadable();
  // Of an earlier event of this turn; the log it spoke of is gone.
  out_.compact_to.reset();
  configurations_.Reset(install.snapshot.configuration);
  snapshot_ = install.snapshot;
  applying_.clear();
  applying_bytes_ = 0;
  snapshot_asked_ = snapshot_asked_at_ = 0;
  if (term_ == install.term) {
    Message answer = MakeAppendReply(install.from, install.session, 0);
    answer.index = event.index;
    Answer(std::move(answer));
  }
  return {};
}

}  // namespace bandb::raft
