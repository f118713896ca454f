#include "raft/core_state.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "raft/types/configuration_codec.h"

namespace bandb::raft {
namespace {

using absl::StatusCode;

// Term and vote rarely change; a disk that is this far behind is hung, and its node must not pile
// up more.
constexpr size_t kHardStateWritesMax = 64;

}  // namespace

CoreState::CoreState(const Options& options, const Restart& restart, Nanos now)
    : options_(options),
      random_(options.seed),
      now_(now),
      term_(std::max(restart.hard_state.term, restart.last_term())),
      vote_(restart.hard_state.term == term_ ? restart.hard_state.vote : kNoNode),
      log_(restart),
      configurations_(restart),
      hard_state_dirty_(restart.hard_state.term != term_),
      durable_term_(restart.hard_state.term),
      durable_vote_(restart.hard_state.vote),
      quiet_until_(now),
      campaign_(random_.Next() >> 1),
      read_number_(random_.Next() >> 1) {
  snapshot_ = SnapshotAt(log_.applied()).value_or(restart.floor);
  snapshot_.id = restart.floor.id;
  // A voter that ran before may have promised a leader its silence just before it stopped. The only
  // voter of a committed configuration can have promised it to nobody but itself, whatever nodes
  // learn beside it: without its own disk none of them becomes a voter.
  const Configuration& latest = configuration();
  const auto votes = [](const Member& m) { return m.votes(); };
  const bool alone = std::count_if(latest.members.begin(), latest.members.end(), votes) == 1 && IsVoter() &&
                     latest.index <= log_.commit();
  if (term_ > 0 && !alone) quiet_until_ = now + options_.election_timeout_nanos;
  ResetElectionTimer();
  // Nobody else could stand for election, so there is nothing to wait for.
  if (alone) election_deadline_ = now;
  // What the state machine held durably before the restart, nobody will report a second time.
  CompactLog();
}

StepResult CoreState::Step(Nanos now, Event event) {
  now_ = std::max(now_, now);
  if (failed_) return Refused("out of service after a failed write");
  return std::visit([this](auto& e) { return On(std::move(e)); }, event);
}

StepResult CoreState::On(Tick) {
  if (role_ == Role::kLeader) {
    LeaderTick();
    return {};
  }
  if (handover_.has_value() && now_ >= handover_->deadline) EndHandover(StatusCode::kDeadlineExceeded);
  reads_.Expire(now_ - options_.election_timeout_nanos, &out_.reads);
  if (now_ < election_deadline_) return {};
  ResetElectionTimer();
  if (UnfitToCampaign() == nullptr) StartPreVote();
  return {};
}

StepResult CoreState::On(Campaign) {
  if (role_ == Role::kLeader) return Refused("leads already");
  if (const char* reason = UnfitToCampaign(); reason != nullptr) return Refused(reason);
  ResetElectionTimer();
  StartPreVote();
  return {};
}

StepResult CoreState::On(Propose event) {
  if (role_ != Role::kLeader) return Refused("not the leader");
  if (transfer_.has_value()) return {StatusCode::kUnavailable, "leadership is being transferred"};
  if (log_full_) return {StatusCode::kResourceExhausted, "the log is nearly full"};
  const uint64_t cost = event.payload.size() + kEntryOverheadBytes;
  // An entry larger than the whole allowance is taken when nothing else is under way, else it never
  // could be.
  const uint64_t under_way = log_.uncommitted_bytes();
  if (under_way > 0 && under_way + cost > options_.uncommitted_bytes_max) {
    return {StatusCode::kResourceExhausted, "too much is uncommitted"};
  }
  if (log_.last() >= kNumberMax) return {StatusCode::kResourceExhausted, "out of indexes"};
  const Index index = AppendOwn(EntryKind::kData, std::move(event.payload));
  return {StatusCode::kOk, "", term_, index};
}

StepResult CoreState::On(LogPersisted event) {
  if (!log_.Persisted(event.write, event.term, event.index)) return Refused("no such write under way");
  if (role_ == Role::kLeader) MaybeCommit();
  return {};
}

StepResult CoreState::On(HardStatePersisted event) {
  bool known = false;
  for (size_t i = 0; i < hard_writes_.size(); ++i) known = known || hard_writes_[i].id == event.write;
  if (!known) return Refused("no such write under way");
  while (!hard_writes_.empty() && hard_writes_.front().id <= event.write) {
    durable_term_ = hard_writes_.front().term;
    durable_vote_ = hard_writes_.front().vote;
    hard_writes_.pop_front();
  }
  if (role_ == Role::kCandidate) CountVotes();
  return {};
}

StepResult CoreState::On(PersistFailed) {
  const bool led = role_ == Role::kLeader;
  const NodeId successor = led ? BestSuccessor() : kNoNode;
  if (Progress* peer = FindPeer(successor); peer != nullptr) SendTimeoutNow(*peer);
  Report(FaultKind::kPersistFailed, options_.self, log_.durable());
  BecomeFollower(term_, kNoNode);
  EndHandover(StatusCode::kUnavailable);
  FailReads();
  failed_ = true;
  return {};
}

StepResult CoreState::On(Applied event) {
  if (event.index <= log_.applied() || event.index > log_.handed_out()) return Refused("not handed out, or old");
  log_.SetApplied(event.index);
  while (!applying_.empty() && applying_.front().first <= event.index) {
    applying_bytes_ -= applying_.front().second;
    applying_.pop_front();
  }
  return {};
}

StepResult CoreState::On(LogCapacity event) {
  if (!log_full_) full_deadline_ = now_ + options_.heartbeat_interval_nanos;
  log_full_ = event.nearly_full;
  lacks_space_ = event.nearly_full && event.lacks_space;
  if (lacks_space_) {
    snapshot_asked_ = 0;
    CompactLog();
  }
  return {};
}

StepResult CoreState::On(PeerUnreachable event) {
  Progress* peer = FindPeer(event.peer);
  if (peer == nullptr || peer->state != PeerState::kReplicate) return Refused("not replicating to it");
  peer->Probe(peer->match + 1);
  // Nothing more is sent until the next heartbeat is answered.
  peer->probe_sent = true;
  return {};
}

Message CoreState::MakeMessage(MessageKind kind, NodeId to) const {
  Message message;
  message.kind = kind;
  message.group = options_.group;
  message.cluster = options_.cluster;
  message.from = options_.self;
  message.to = to;
  message.term = term_;
  return message;
}

void CoreState::Report(FaultKind kind, NodeId peer, Index index) {
  // One turn's faults are bounded like everything else; the first ones tell the most.
  if (out_.faults.size() < 16) out_.faults.push_back({kind, peer, term_, index});
}

std::optional<Nanos> CoreState::OldestWriteSince() const {
  const std::optional<Nanos> log = log_.OldestWriteSince();
  if (hard_writes_.empty()) return log;
  const Nanos hard = hard_writes_.front().since;
  return log.has_value() ? std::min(*log, hard) : hard;
}

bool CoreState::DiskStalled() const {
  const std::optional<Nanos> since = OldestWriteSince();
  return since.has_value() && now_ - *since >= options_.disk_stall_timeout_nanos;
}

const char* CoreState::Refusal(const Message& m) const {
  if (m.cluster != options_.cluster) return "of another cluster";
  if (m.group != options_.group) return "of another group";
  if (m.version != kProtocolVersion) return "of another version";
  if (m.to != options_.self || m.from == options_.self || m.from == kNoNode) return "not for this node";
  if (static_cast<uint8_t>(m.kind) == 0 || static_cast<uint8_t>(m.kind) > kMessageKindMax) return "of no known kind";
  for (uint64_t number : {m.term, m.index, m.log_term, m.commit, m.hint, m.hint_term}) {
    if (number > kNumberMax) return "a number out of range";
  }
  if (m.term == 0) return "without a term";
  if (!m.entries.empty() && m.kind != MessageKind::kAppend) return "entries where none belong";
  if (m.kind == MessageKind::kAppend && !EntriesWellFormed(m)) return "malformed entries";
  if (m.kind == MessageKind::kSnapshot) {
    const SnapshotMeta* s = m.snapshot.get();
    if (s == nullptr || s->index == 0 || s->index > kNumberMax || s->term == 0 || s->term > m.term)
      return "no snapshot";
    if (!IsValid(s->configuration) || s->configuration.index > s->index) return "a snapshot without its configuration";
  }
  return nullptr;
}

bool CoreState::EntriesWellFormed(const Message& m) const {
  Index index = m.index;
  Term term = m.log_term;
  if ((index == 0) != (term == 0) || term > m.term) return false;
  if (m.entries.size() > kNumberMax - index) return false;
  for (const Entry& entry : m.entries) {
    if (entry.index != ++index || entry.term < term || entry.term > m.term || entry.term == 0) return false;
    if (entry.group != options_.group || entry.version != kProtocolVersion) return false;
    term = entry.term;
    switch (entry.kind) {
      case EntryKind::kNoop:
      case EntryKind::kData:
        break;
      case EntryKind::kConfiguration: {
        Configuration configuration;
        if (!DecodeConfiguration(entry.payload.bytes(), &configuration)) return false;
        if (configuration.index != entry.index) return false;
        break;
      }
      default:
        return false;
    }
  }
  return true;
}

StepResult CoreState::On(Receive event) {
  Message& message = event.message;
  if (const char* refusal = Refusal(message); refusal != nullptr) {
    // A stranger's message is no fault of this group; one of ours that cannot be is.
    if (message.cluster == options_.cluster && message.group == options_.group && message.to == options_.self) {
      Report(FaultKind::kMalformedMessage, message.from, message.index);
    }
    return {StatusCode::kInvalidArgument, refusal};
  }
  // True in whatever term it was said: what is committed stays so.
  if (message.kind == MessageKind::kPreVoteReply && message.reject) NoteRemoval(message.hint);
  if (hard_writes_.size() >= kHardStateWritesMax) return {StatusCode::kResourceExhausted, "the disk does not follow"};
  if (!ReconcileTerm(message)) return Refused("of another term, or against a lease");
  return Dispatch(std::move(message));
}

bool CoreState::ReconcileTerm(const Message& m) {
  if (m.term > term_) {
    // A pre-vote asks about a term that nobody is in, and its grant answers in that term.
    if (m.kind == MessageKind::kPreVote) return true;
    if (m.kind == MessageKind::kPreVoteReply && !m.reject) return true;
    // While a leader is known to be alive, a candidate is not even heard: else a node that was cut
    // off and comes back would depose it by its higher term alone.
    if (m.kind == MessageKind::kVote && !m.force && InLease()) return false;
    const bool leads = m.kind == MessageKind::kAppend || m.kind == MessageKind::kSnapshot;
    BecomeFollower(m.term, leads ? m.from : kNoNode);
    return true;
  }
  if (m.term == term_) return true;
  // The sender's term is stale. A sender that might stay there, doing harm or waiting forever, is
  // told the term.
  Message answer;
  switch (m.kind) {
    case MessageKind::kAppend:
    case MessageKind::kSnapshot:
      // Without its session: that belongs to another term, whose numbers begin at 1 again.
      answer = MakeAppendReply(m.from, 0, 0);
      break;
    case MessageKind::kPreVote:
    case MessageKind::kVote:
      answer = MakeVoteReply(m);
      break;
    default:
      return false;
  }
  answer.reject = true;
  Answer(std::move(answer));
  return false;
}

StepResult CoreState::Dispatch(Message message) {
  switch (message.kind) {
    case MessageKind::kPreVote:
    case MessageKind::kVote:
      return HandleVoteRequest(message);
    case MessageKind::kPreVoteReply:
    case MessageKind::kVoteReply:
      return HandleVoteReply(message);
    case MessageKind::kAppend:
      return HandleAppend(std::move(message));
    case MessageKind::kAppendReply:
      return HandleAppendReply(message);
    case MessageKind::kSnapshot:
      return HandleSnapshot(message);
    case MessageKind::kReadIndex:
      return HandleReadIndex(message);
    case MessageKind::kReadIndexReply:
      return HandleReadIndexReply(message);
    case MessageKind::kTimeoutNow:
      return HandleTimeoutNow(message);
    case MessageKind::kTimeoutNowReply:
      return HandleTimeoutNowReply(message);
  }
  BANDB_UNREACHABLE();
}

}  // namespace bandb::raft
