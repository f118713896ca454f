// Linearizable reads: how they come in, join a round, and are answered. read_queue.h says why.
#include <utility>

#include "base/assert.h"
#include "raft/core_state.h"

namespace bandb::raft {

using absl::StatusCode;

bool CoreState::LeaseValid(Nanos now) const {
  if (!options_.lease_reads || role_ != Role::kLeader || failed_) return false;
  if (lease_void_) return false;
  // The promise of the followers that counts is the one given in a proved round; leadership alone
  // promises nothing.
  if (rounds_.proved() == 0 || !CommittedInOwnTerm()) return false;
  return now < rounds_.proved_at() + LeaseDurationNanos(options_);
}

StepResult CoreState::On(Read event) {
  if (leader_ == kNoNode) return {StatusCode::kUnavailable, "no leader is known"};
  if (reads_.pending() >= options_.pending_reads_max) return {StatusCode::kResourceExhausted, "too many reads wait"};
  if (role_ == Role::kLeader && LeaseValid(now_)) {
    reads_.Ready(event.id, log_.commit(), true);
  } else {
    reads_.Wait({kNoNode, event.id});
  }
  return {};
}

StepResult CoreState::HandleReadIndex(const Message& m) {
  const bool full = reads_.pending() >= options_.pending_reads_max;
  if (role_ == Role::kLeader && !full) {
    reads_.Wait({m.from, m.round});
    return {};
  }
  Message answer = MakeMessage(MessageKind::kReadIndexReply, m.from);
  answer.round = m.round;
  answer.reject = true;
  Send(std::move(answer));
  return Refused(full ? "too many reads wait" : "not the leader");
}

StepResult CoreState::HandleReadIndexReply(const Message& m) {
  if (role_ != Role::kFollower || m.from != leader_) return Refused("not from the leader");
  if (!reads_.Asked(m.round)) return Refused("of an earlier question");
  if (m.reject) {
    FailReads();
  } else {
    reads_.Answered(m.round, m.index);
  }
  return {};
}

void CoreState::StartReadRound() {
  // One round at a time: reads that come while it is under way share the next one.
  if (!reads_.waiting() || reads_.round_under_way()) return;
  if (!CommittedInOwnTerm()) return;
  BeginRound();
}

void CoreState::AskForReadIndex() {
  if (leader_ == kNoNode) return;
  if (reads_.asking() ? now_ < reads_.asked_at() + ReadRepeatNanos() : !reads_.waiting()) return;
  BANDB_ASSERT(role_ == Role::kFollower);
  ++read_number_;
  reads_.Ask(read_number_, now_);
  Message question = MakeMessage(MessageKind::kReadIndex, leader_);
  question.round = read_number_;
  Send(std::move(question));
}

void CoreState::FailReads() {
  std::vector<ReadQueue::Request> refused;
  reads_.Fail(&out_.reads, &refused);
  for (const ReadQueue::Request& request : refused) {
    Message answer = MakeMessage(MessageKind::kReadIndexReply, request.from);
    answer.round = request.id;
    answer.reject = true;
    Send(std::move(answer));
  }
}

}  // namespace bandb::raft
