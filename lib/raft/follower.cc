// A follower's side of replication: what is taken from a leader, and what is said about it.
//
// An acknowledgement speaks of the disk. If a message brought something new, the answer waits until
// that is durable; if it did not (a heartbeat, or entries that came before), it is sent at once and
// claims no more than what is durable now.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "raft/core_state.h"
#include "raft/types/configuration_codec.h"

namespace bandb::raft {
Message CoreState::MakeAppendReply(NodeId leader, uint64_t session, uint64_t round) const {
  Message answer = MakeMessage(MessageKind::kAppendReply, leader);
  answer.session = session;
  answer.round = round;
  answer.log_full = log_full_;
  return answer;
}

bool CoreState::AcceptLeader(const Message& m) {
  BANDB_ASSERT(m.term == term_);
  if (role_ == Role::kLeader || (leader_ != kNoNode && leader_ != m.from)) {
    Report(FaultKind::kTwoLeaders, m.from, m.index);
    return false;
  }
  if (role_ != Role::kFollower) BecomeFollower(term_, m.from);
  leader_ = m.from;
  EndHandover(absl::StatusCode::kOk);
  heard_leader_ = now_;
  ResetElectionTimer();
  return true;
}

// What is not durable yet stays in memory, so there is a limit to it; the margin is for entries
// larger than any limit. Of what is durable but not committed there may be more than this node
// itself would admit: a predecessor of the leader committed most of it without anybody hearing of
// it, and refusing any of it now would refuse it forever.
bool CoreState::RefusesEntries(const Message& m) const {
  if (m.entries.empty()) return false;
  const uint64_t expected = options_.uncommitted_bytes_max + options_.message_bytes_max;
  if (log_.cached_bytes() / 4 > expected + options_.cached_bytes_max + options_.inflight_bytes_max) return true;
  return log_full_ && std::any_of(m.entries.begin(), m.entries.end(),
                                  [](const Entry& entry) { return entry.kind == EntryKind::kData; });
}

StepResult CoreState::HandleAppend(Message m) {
  if (!AcceptLeader(m)) return Refused("two leaders in one term");
  Message answer = MakeAppendReply(m.from, m.session, m.round);
  if (install_.has_value()) {
    // The log is about to be replaced. The leader is acknowledged, nothing else.
    Answer(std::move(answer));
    return Refused("a snapshot is being installed");
  }
  // Below the floor everything is committed, so it matches, whatever is still known of it.
  const bool below = m.index < log_.floor();
  const bool matches = below || log_.Matches(m.index, m.log_term);
  if (!matches) {
    RejectAppend(m);
    return {};
  }
  // Of a commit index alone, without entries and without a round, the leader learns nothing.
  const bool silent = m.entries.empty() && m.round == 0;
  if (RefusesEntries(m)) m.entries.clear();
  const Index last = log_.last();
  const Term last_term = log_.last_term();
  const std::optional<Index> matched = TakeEntries(&m);
  if (!matched.has_value()) return Refused("contradicts what is committed");
  CommitTo(std::min(m.commit, *matched));
  const bool grew = log_.last() != last || log_.last_term() != last_term;
  if (silent) return {};
  if (grew) {
    answer.index = *matched;
    Answer(std::move(answer), *matched);
  } else {
    answer.index = std::min(*matched, log_.durable());
    Answer(std::move(answer));
  }
  return {};
}

std::optional<Index> CoreState::TakeEntries(Message* m) {
  Index matched = m->index;
  for (Entry& entry : m->entries) {
    const Index index = entry.index;
    // A message that arrives late must not undo what came after it: only a real contradiction
    // removes entries.
    const std::optional<Term> present = log_.TermAt(index);
    const bool compacted = index <= log_.floor();
    if (!compacted && present != std::optional<Term>(entry.term)) {
      if (index <= log_.commit()) {
        Report(FaultKind::kCommittedConflict, m->from, index);
        return std::nullopt;
      }
      if (present.has_value()) {
        log_.TruncateFrom(index);
        configurations_.TruncateFrom(index);
        if (index <= unreadable_) ForgetUnreadable();
      }
      // Where the message begins below the floor, its first entries were not compared with
      // anything.
      if (entry.term < log_.last_term()) {
        Report(FaultKind::kCommittedConflict, m->from, index);
        return std::nullopt;
      }
      TakeEntry(std::move(entry));
    }
    matched = index;
  }
  return matched;
}

void CoreState::TakeEntry(Entry entry) {
  if (entry.kind == EntryKind::kConfiguration) {
    Configuration configuration;
    // Checked when the message came in.
    const bool decoded = DecodeConfiguration(entry.payload.bytes(), &configuration);
    BANDB_ASSERT(decoded);
    configurations_.Append(std::move(configuration));
  }
  log_.Append(std::move(entry));
}

void CoreState::RejectAppend(const Message& m) {
  BANDB_ASSERT(m.index > 0);
  if (m.index <= log_.commit() && m.index > log_.floor()) Report(FaultKind::kCommittedConflict, m.from, m.index);
  Message answer = MakeAppendReply(m.from, m.session, m.round);
  answer.reject = true;
  answer.index = m.index;
  // Skips whole terms at a time. The leader holds all that is committed, so it need never look
  // below that.
  answer.hint = std::max(log_.commit(), log_.HighestAtMost(m.index - 1, m.log_term));
  answer.hint_term = log_.TermAt(answer.hint).value_or(0);
  Answer(std::move(answer));
}

void CoreState::CommitTo(Index index) {
  index = std::min(index, log_.last());
  if (index > log_.commit()) log_.CommitTo(index);
}

}  // namespace bandb::raft
