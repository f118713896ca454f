// Elections. A node first asks whether it would be elected (pre-vote) and only then raises its
// term, so that one that was cut off does not come back with a term that deposes a working leader.
// A node that heard a leader less than an election timeout ago supports no other one: together with
// the leader's own check of its quorum, this makes leadership stable under partial partitions, and
// it is what a lease rests on.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "raft/core_state.h"

namespace bandb::raft {

using absl::StatusCode;

void CoreState::ResetElectionTimer() {
  const Nanos base = options_.election_timeout_nanos;
  const Nanos handicap = base / 2 * static_cast<Nanos>(kPriorityMax - options_.priority);
  election_deadline_ = now_ + base + handicap + random_.Between(0, base - 1);
}

bool CoreState::InLease() const {
  const Nanos promise = options_.election_timeout_nanos;
  if (now_ < quiet_until_) return true;
  if (role_ == Role::kLeader) return now_ < rounds_.proved_at() + promise;
  // Not asked of leader_: a message of a higher term makes a node forget its leader, but not what
  // it promised.
  return heard_leader_.has_value() && now_ < *heard_leader_ + promise;
}

// A candidate whose own vote does not reach the disk takes the votes of others in ever new terms,
// puts off their elections, and can never lead.
bool CoreState::VoteStuck() const {
  return !hard_writes_.empty() && now_ - hard_writes_.front().since >= options_.election_timeout_nanos;
}

const char* CoreState::UnfitToCampaign() const {
  if (!MayLead()) return "not a voter";
  if (install_.has_value()) return "a snapshot is being installed";
  if (DiskStalled()) return "the disk is stalled";
  if (VoteStuck()) return "an earlier vote is not written yet";
  if (InLease()) return "a leader may be alive";
  if (now_ < aside_until_) return "a part of its log cannot be read";
  if (term_ >= kNumberMax) return "out of terms";
  return nullptr;
}

void CoreState::StartPreVote() {
  BANDB_ASSERT(role_ != Role::kLeader);
  BANDB_ASSERT(MayLead());
  FailReads();
  role_ = Role::kPreCandidate;
  leader_ = kNoNode;
  ++campaign_;
  votes_.assign(1, {options_.self, true});
  for (const Member& member : configuration().members) {
    if (!member.votes() || member.id == options_.self) continue;
    Message request = MakeMessage(MessageKind::kPreVote, member.id);
    request.term = term_ + 1;
    request.index = log_.last();
    request.log_term = log_.last_term();
    request.round = campaign_;
    Send(std::move(request));
  }
  CountVotes();
}

void CoreState::StartElection(bool force) {
  BANDB_ASSERT(role_ != Role::kLeader);
  BANDB_ASSERT(MayLead());
  FailReads();
  ++term_;
  vote_ = options_.self;
  hard_state_dirty_ = true;
  role_ = Role::kCandidate;
  leader_ = kNoNode;
  ++campaign_;
  ResetElectionTimer();
  votes_.assign(1, {options_.self, true});
  // The requests need not wait for the node's own vote to be durable, because leadership does: a
  // node that crashes now and comes back without its vote has not led this term, and is free to
  // stand in it again.
  for (const Member& member : configuration().members) {
    if (!member.votes() || member.id == options_.self) continue;
    Message request = MakeMessage(MessageKind::kVote, member.id);
    request.index = log_.last();
    request.log_term = log_.last_term();
    request.round = campaign_;
    request.force = force;
    Send(std::move(request));
  }
}

void CoreState::RecordVote(NodeId from, bool granted) {
  if (!configuration().Votes(from)) return;
  for (const auto& [node, vote] : votes_) {
    if (node == from) return;
  }
  votes_.emplace_back(from, granted);
}

void CoreState::CountVotes() {
  const bool durable = durable_term_ == term_ && durable_vote_ == options_.self;
  const VoteResult result = QuorumVote(configuration(), [&](NodeId id) -> std::optional<bool> {
    // The own vote counts once it cannot be forgotten.
    if (id == options_.self && role_ == Role::kCandidate && !durable) return std::nullopt;
    for (const auto& [node, granted] : votes_) {
      if (node == id) return granted;
    }
    return std::nullopt;
  });
  if (result == VoteResult::kPending) return;
  if (result == VoteResult::kLost) {
    BecomeFollower(term_, kNoNode);
  } else if (role_ == Role::kPreCandidate) {
    StartElection(false);
  } else if (durable) {
    BecomeLeader();
  }
}

void CoreState::BecomeFollower(Term term, NodeId leader) {
  BANDB_ASSERT(term >= term_);
  if (role_ == Role::kLeader || term > term_ || leader_ != leader) FailReads();
  AwaitSuccessor();
  if (term > term_) {
    term_ = term;
    vote_ = kNoNode;
    hard_state_dirty_ = true;
  }
  role_ = Role::kFollower;
  leader_ = leader;
  votes_.clear();
  peers_.clear();
  ResetElectionTimer();
  if (leader != kNoNode) EndHandover(StatusCode::kOk);
}

void CoreState::BecomeLeader() {
  BANDB_ASSERT(role_ == Role::kCandidate);
  BANDB_ASSERT(durable_term_ == term_);
  BANDB_ASSERT(durable_vote_ == options_.self);
  role_ = Role::kLeader;
  leader_ = options_.self;
  votes_.clear();
  EndHandover(StatusCode::kUnavailable);
  full_deadline_ = now_ + options_.heartbeat_interval_nanos;
  rounds_.Reset(now_);
  commit_deadline_ = kNever;
  lease_void_ = false;
  next_session_ = 1;
  unreadable_ = 0;
  SyncPeers();
  // What the predecessors left can only be committed under an entry of this term.
  AppendOwn(EntryKind::kNoop, Payload());
  heartbeat_deadline_ = now_ + options_.heartbeat_interval_nanos;
  BeginRound();
}

// Nobody replicates to a node that was removed, so it learns of it from those that it asks. It then
// rests: a later configuration that it belongs to again is one that it is sent, and until it has
// that one there is somebody whose log is longer. A node that has that one says nothing: it may be
// committed only with the asker, as after a lost quorum.
Message CoreState::MakeVoteReply(const Message& request) const {
  const bool pre = request.kind == MessageKind::kPreVote;
  Message answer = MakeMessage(pre ? MessageKind::kPreVoteReply : MessageKind::kVoteReply, request.from);
  answer.round = request.round;
  const Configuration& committed = committed_configuration();
  const bool left = committed.Find(request.from) == nullptr && configuration().Find(request.from) == nullptr;
  if (pre && committed.has_voters() && left) answer.hint = committed.index;
  return answer;
}

void CoreState::NoteRemoval(Index index) {
  removed_at_ = std::max(removed_at_, index);
  if (Removed() && (role_ == Role::kPreCandidate || role_ == Role::kCandidate)) BecomeFollower(term_, kNoNode);
}

StepResult CoreState::HandleVoteRequest(const Message& m) {
  const bool pre = m.kind == MessageKind::kPreVote;
  // Whether this node votes at all is for the candidate's configuration to say: this one may not
  // know yet that it does.
  const bool free =
      pre ? m.term > term_ : (vote_ == kNoNode || vote_ == m.from) && (leader_ == kNoNode || leader_ == m.from);
  const bool bound = InLease() && (pre || !m.force);
  const bool grant = free && !bound && log_.UpToDate(m.index, m.log_term);
  if (grant && !pre) {
    if (role_ == Role::kPreCandidate) BecomeFollower(term_, kNoNode);
    if (vote_ != m.from) {
      vote_ = m.from;
      hard_state_dirty_ = true;
    }
    ResetElectionTimer();
  }
  Message answer = MakeVoteReply(m);
  answer.term = pre && grant ? m.term : term_;
  answer.reject = !grant;
  if (grant) answer.hint = 0;
  Answer(std::move(answer));
  return {};
}

StepResult CoreState::HandleVoteReply(const Message& m) {
  const bool pre = m.kind == MessageKind::kPreVoteReply;
  if (role_ != (pre ? Role::kPreCandidate : Role::kCandidate)) return Refused("no such campaign");
  if (m.round != campaign_) return Refused("an earlier campaign");
  if (m.term != (pre && !m.reject ? term_ + 1 : term_)) return Refused("another term");
  RecordVote(m.from, !m.reject);
  CountVotes();
  return {};
}

StepResult CoreState::HandleTimeoutNow(const Message& m) {
  if (role_ == Role::kLeader || (leader_ != kNoNode && leader_ != m.from)) return Refused("not from the leader");
  const bool ready = MayLead() && !install_.has_value() && !DiskStalled() && !VoteStuck() && term_ < kNumberMax &&
                     !log_full_ && role_ == Role::kFollower && log_.Matches(m.index, m.log_term);
  if (ready) {
    StartElection(true);
    return {};
  }
  Message answer = MakeMessage(MessageKind::kTimeoutNowReply, m.from);
  answer.reject = true;
  answer.index = log_.last();
  Answer(std::move(answer));
  return Refused("not ready to lead");
}

}  // namespace bandb::raft
