// A turn: everything that the events since the last one have brought about becomes one Output.
#include <algorithm>
#include <limits>
#include <utility>

#include "base/assert.h"
#include "raft/core_state.h"

namespace bandb::raft {
namespace {

// Entries that are not in memory any more are handed out as a range to be read from the log, this
// many at a time.
constexpr Index kUncachedHandedOutMax = 1024;

}  // namespace

void CoreState::TakeOutput(Output* output) {
  if (!failed_) {
    if (role_ == Role::kLeader) {
      LeaderTurn();
    } else if (role_ == Role::kFollower) {
      AskForReadIndex();
    }
    HandOutCommitted();
    if (WantsSnapshot()) {
      out_.take_snapshot = true;
      snapshot_asked_at_ = log_.last();
      snapshot_asked_ = log_.applied();
    }
  }
  reads_.Serve(log_.applied(), &out_.reads);
  if (!failed_) TakeWrites();
  EmitMessages();
  ReportChanges();
  EvictEntries();
  out_.next_deadline = NextDeadline();
  std::swap(*output, out_);
  out_.Clear();
}

void CoreState::HandOutCommitted() {
  if (install_.has_value() || applying_bytes_ >= options_.applying_bytes_max) return;
  // Not beyond this node's own disk: a state machine that runs ahead of its log could not be
  // rebuilt from it.
  const Index limit = std::min(log_.commit(), log_.durable());
  const Index first = log_.handed_out() + 1;
  if (first > limit) return;
  Index last = first;
  uint64_t bytes = 0;
  if (log_.Cached(first)) {
    bytes = CostBytes(log_.At(first));
    while (last < limit && applying_bytes_ + bytes + CostBytes(log_.At(last + 1)) <= options_.applying_bytes_max) {
      bytes += CostBytes(log_.At(++last));
    }
    out_.committed.entries.reserve(static_cast<size_t>(last - first + 1));
    for (Index i = first; i <= last; ++i) out_.committed.entries.push_back(log_.At(i));
  } else {
    last = std::min({limit, log_.first_cached() - 1, first + kUncachedHandedOutMax - 1});
    // Their size is not known, so they count for all that may be under way at a time.
    bytes = options_.applying_bytes_max;
  }
  BANDB_ASSERT(last >= first);
  BANDB_ASSERT(last <= limit);
  out_.committed.first = first;
  out_.committed.last = last;
  log_.HandOutTo(last);
  applying_.push_back({last, bytes});
  applying_bytes_ += bytes;
}

void CoreState::TakeWrites() {
  if (hard_state_dirty_) {
    BANDB_ASSERT(hard_writes_.empty() || hard_writes_.back().id < next_write_);
    BANDB_ASSERT(!out_.hard_state.has_value());
    hard_state_dirty_ = false;
    out_.hard_state = HardStateWrite{next_write_, {term_, vote_, log_.DurableCommit()}};
    hard_writes_.push_back({next_write_++, term_, vote_, now_});
  }
  if (install_.has_value()) return;
  LogWrite write;
  if (log_.TakeWrite(next_write_, now_, &write)) {
    ++next_write_;
    out_.log = std::move(write);
  }
}

void CoreState::EmitMessages() {
  const uint64_t hard_write = hard_writes_.empty() ? 0 : hard_writes_.back().id;
  for (PendingMessage& pending : pending_) {
    uint64_t log_write = 0;
    if (pending.after_hard_state && failed_) continue;
    if (pending.after_index != 0) {
      // What it acknowledges may have been truncated, or be about to be replaced by a snapshot, in
      // this same turn.
      if (pending.message.term != term_ || pending.after_index > log_.last() || install_.has_value()) continue;
      log_write = log_.WriteCovering(pending.after_index);
    }
    out_.messages.push_back({std::move(pending.message), log_write, pending.after_hard_state ? hard_write : 0});
  }
  pending_.clear();
}

void CoreState::ReportChanges() {
  if (reported_role_.role != role_ || reported_role_.term != term_ || reported_role_.leader != leader_) {
    reported_role_ = {role_, term_, leader_};
    out_.role = reported_role_;
  }
  const Configuration& latest = configuration();
  const bool committed = latest.index <= log_.commit();
  if (reported_any_ && reported_version_ == latest.version && reported_configuration_ == latest.index &&
      reported_committed_ == committed) {
    return;
  }
  reported_any_ = true;
  reported_version_ = latest.version;
  reported_configuration_ = latest.index;
  reported_committed_ = committed;
  out_.configuration = ConfigurationChange{latest, committed};
}

void CoreState::EvictEntries() {
  Index needed_from = std::numeric_limits<Index>::max();
  for (const Progress& peer : peers_) {
    if (peer.state == PeerState::kReplicate) needed_from = std::min(needed_from, peer.match + 1);
  }
  log_.Evict(needed_from, options_.cached_bytes_max, options_.cached_bytes_max + options_.uncommitted_bytes_max);
}

Nanos CoreState::NextDeadline() const {
  Nanos deadline = std::numeric_limits<Nanos>::max();
  if (failed_) return deadline;
  if (role_ != Role::kLeader) {
    if (MayLead()) deadline = election_deadline_;
    if (handover_.has_value()) deadline = std::min(deadline, handover_->deadline);
    if (reads_.asking()) {
      deadline = std::min(
          {deadline, reads_.asked_at() + ReadRepeatNanos(), reads_.asking_since() + options_.election_timeout_nanos});
    }
    return deadline;
  }
  deadline = std::min({heartbeat_deadline_, commit_deadline_, rounds_.proved_at() + options_.election_timeout_nanos});
  if (transfer_.has_value()) deadline = std::min(deadline, transfer_->deadline);
  for (const Progress& peer : peers_) {
    if (peer.state == PeerState::kSnapshot) deadline = std::min(deadline, peer.snapshot_deadline);
  }
  return deadline;
}

}  // namespace bandb::raft
