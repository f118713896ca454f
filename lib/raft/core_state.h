// CoreState: the whole state of a Core and all rules of the algorithm. Declared in one place,
// defined by subject:
//
//   core_state.cc       construction, the events, what a message's term means
//   election.cc      timeouts, pre-votes, votes, becoming one role or another
//   follower.cc      taking entries from a leader
//   leader.cc        a leader's time, commit index and rounds; sending entries to peers, and what their answers mean
//   read_index.cc    linearizable reads
//   change.cc        membership, as the leader's turn brings it on
//   transfer.cc      transfer of leadership
//   snapshots.cc     snapshots and the compaction of the log
//   turn.cc          putting an Output together
//
// Time is what the last event said. Messages that answer somebody wait for the durability of what
// they rest on; what they wait for is settled when the output is put together, since only then the
// writes have their numbers.
#ifndef BANDB_RAFT_CORE_STATE_H_
#define BANDB_RAFT_CORE_STATE_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "base/random.h"
#include "raft/configuration_history.h"
#include "raft/event.h"
#include "raft/inspect.h"
#include "raft/log.h"
#include "raft/options.h"
#include "raft/output.h"
#include "raft/progress.h"
#include "raft/quorum.h"
#include "raft/read_queue.h"
#include "raft/restart.h"
#include "raft/rounds.h"
#include "raft/step_result.h"

namespace bandb::raft {

// Terms and indexes beyond this are refused: no cluster lives to see them, and sums with them must
// not overflow.
inline constexpr uint64_t kNumberMax = uint64_t{1} << 62;

inline constexpr Nanos kNever = std::numeric_limits<Nanos>::max();

class CoreState {
 public:
  CoreState(const Options& options, const Restart& restart, Nanos now);

  StepResult Step(Nanos now, Event event);
  void TakeOutput(Output* output);

  bool LeaseValid(Nanos now) const;
  std::optional<SnapshotMeta> SnapshotAt(Index index) const;
  Inspect View() const;
  const Configuration& configuration() const { return configurations_.Latest(); }
  const Configuration& committed_configuration() const { return configurations_.At(log_.commit()); }
  const Log& log() const { return log_; }
  const std::vector<Progress>& peers() const { return peers_; }
  absl::Status CheckInvariants() const;

 private:
  struct PendingMessage {
    Message message;
    // 0, or the entry that must be durable first.
    Index after_index = 0;
    bool after_hard_state = false;
  };
  struct Transfer {
    NodeId to = kNoNode;
    Nanos deadline = 0;
    bool asked = false;
  };
  // A transfer that went on when this node ceased to lead: it waits to hear who leads now.
  struct Handover {
    NodeId to = kNoNode;
    Nanos deadline = 0;
  };
  struct Install {
    SnapshotMeta snapshot;
    NodeId from = kNoNode;
    Term term = 0;
    uint64_t session = 0;
  };
  struct HardWrite {
    uint64_t id = 0;
    Term term = 0;
    NodeId vote = kNoNode;
    Nanos since = 0;
  };

  // ---- core_state.cc ----
  StepResult On(Tick);
  StepResult On(Receive event);
  StepResult On(LogPersisted event);
  StepResult On(HardStatePersisted event);
  StepResult On(PersistFailed);
  StepResult On(Applied event);
  StepResult On(Propose event);
  StepResult On(LogCapacity event);
  StepResult On(PeerUnreachable event);
  StepResult On(Campaign);
  // Whether a message makes sense in itself and is meant for this node.
  const char* Refusal(const Message& message) const;
  bool EntriesWellFormed(const Message& message) const;
  // Brings this node's term and the message's together; false if the message is thereby done with.
  bool ReconcileTerm(const Message& message);
  StepResult Dispatch(Message message);
  Message MakeMessage(MessageKind kind, NodeId to) const;
  void Send(Message message) { pending_.push_back({std::move(message), 0, false}); }
  // For answers: sent once term and vote, and the log up to `after_index`, are durable.
  void Answer(Message message, Index after_index = 0) { pending_.push_back({std::move(message), after_index, true}); }
  void Report(FaultKind kind, NodeId peer, Index index);
  // Since when the oldest write, of the log or of term and vote, is under way.
  std::optional<Nanos> OldestWriteSince() const;
  bool DiskStalled() const;

  // ---- election.cc ----
  bool IsVoter() const { return configuration().Votes(options_.self); }
  // A node that the latest configuration leaves out may still be the only one that can be elected:
  // as long as that configuration is not committed, the one before may need its vote, and it may
  // have the longer log (thesis, 4.2.2).
  bool MayLead() const { return !Removed() && (IsVoter() || configurations_.At(log_.commit()).Votes(options_.self)); }
  void ResetElectionTimer();
  // Whether this node has promised a leader not to elect another one yet.
  bool InLease() const;
  bool VoteStuck() const;
  const char* UnfitToCampaign() const;
  void StartPreVote();
  void StartElection(bool force);
  // A refusal that says, if it is so, that the asker belongs to the group no more.
  Message MakeVoteReply(const Message& request) const;
  // Whether this node was told that it was removed, and its log says nothing later.
  bool Removed() const { return removed_at_ != 0 && removed_at_ >= configuration().index; }
  // The configuration at `index` is committed and leaves this node out.
  void NoteRemoval(Index index);
  void RecordVote(NodeId from, bool granted);
  void CountVotes();
  void BecomeFollower(Term term, NodeId leader);
  void BecomeLeader();
  StepResult HandleVoteRequest(const Message& message);
  StepResult HandleVoteReply(const Message& message);
  StepResult HandleTimeoutNow(const Message& message);

  // ---- follower.cc ----
  // The sender leads the current term: take note. False if there is another leader already.
  bool AcceptLeader(const Message& message);
  // An answer to an append or a snapshot that acknowledges nothing yet.
  Message MakeAppendReply(NodeId leader, uint64_t session, uint64_t round) const;
  StepResult HandleAppend(Message message);
  // Takes what is new of the entries; empty if they contradict what is committed. Otherwise the
  // last index that matches.
  std::optional<Index> TakeEntries(Message* message);
  void TakeEntry(Entry entry);
  bool RefusesEntries(const Message& message) const;
  void RejectAppend(const Message& message);
  void CommitTo(Index index);

  // ---- leader.cc ----
  void LeaderTick();
  void LeaderTurn();
  // Whether nothing can be agreed on, since a part of the log cannot be read back.
  bool LogStuck() const;
  // It is not in the log any more.
  void ForgetUnreadable();
  bool CommittedInOwnTerm() const;
  Index AppendOwn(EntryKind kind, Payload payload);
  void MaybeCommit();
  void BeginRound();
  void ProveRounds();
  Progress* FindPeer(NodeId id);
  // Makes peers_ the members of the configuration in force, other than this node.
  void SyncPeers();
  void ReplicateToAll();
  void Replicate(Progress* peer);
  // Whether a commit index waits to be sent to it.
  bool OwesCommit(const Progress& peer) const;
  Message MakeAppend(const Progress& peer, Index previous) const;
  void SendEmptyAppend(Progress* peer, uint64_t round);
  bool SendEntries(Progress* peer);
  void StartFetch(Progress* peer);
  StepResult HandleAppendReply(const Message& message);
  void HandleAppendRefused(Progress* peer, const Message& message);
  void HandleAppendAccepted(Progress* peer, const Message& message);
  StepResult On(EntriesFetched event);

  // ---- read_index.cc ----
  StepResult On(Read event);
  StepResult HandleReadIndex(const Message& message);
  StepResult HandleReadIndexReply(const Message& message);
  void StartReadRound();
  void AskForReadIndex();
  // A question that was lost, or its answer, costs this much, rather than an election timeout.
  Nanos ReadRepeatNanos() const { return options_.election_timeout_nanos / 8; }
  void FailReads();

  // ---- change.cc ----
  StepResult On(ChangeMembership event);
  bool CaughtUp(NodeId id) const;
  void AppendConfiguration(Configuration next);
  // The next step of a change that is under way, if it is time for it.
  void FinishChange();
  void PromoteLearners();
  void LeaveOffice();

  // ---- transfer.cc ----
  StepResult On(TransferLeadership event);
  StepResult HandleTimeoutNowReply(const Message& message);
  // Why the voter `peer` cannot take over now, as far as is known; nullptr if it can.
  const char* UnfitToSucceed(const Progress& peer) const;
  NodeId BestSuccessor() const;
  void StartTransfer(NodeId to);
  void HandOverIfFull();
  void ContinueTransfer();
  void EndTransfer(absl::StatusCode code);
  void AwaitSuccessor();
  void EndHandover(absl::StatusCode code);
  void SendTimeoutNow(const Progress& to);

  // ---- snapshots.cc ----
  StepResult On(SnapshotTaken event);
  StepResult On(SnapshotSent event);
  StepResult On(SnapshotInstalled event);
  StepResult HandleSnapshot(const Message& message);
  void StartSnapshot(Progress* peer);
  bool WantsSnapshot() const;
  void CompactLog();

  // ---- turn.cc ----
  void HandOutCommitted();
  void TakeWrites();
  void EmitMessages();
  void ReportChanges();
  void EvictEntries();
  Nanos NextDeadline() const;

  const Options options_;
  base::Random random_;
  Nanos now_;

  Role role_ = Role::kFollower;
  Term term_;
  NodeId vote_;
  NodeId leader_ = kNoNode;
  Log log_;
  ConfigurationHistory configurations_;
  // The newest snapshot that can be sent to a peer; index 0 if there is none.
  SnapshotMeta snapshot_;
  bool failed_ = false;
  bool log_full_ = false;
  bool lacks_space_ = false;  // is why

  // Durability of term and vote, and the numbers of writes.
  bool hard_state_dirty_ = false;
  Term durable_term_;
  NodeId durable_vote_;
  Ring<HardWrite> hard_writes_;
  uint64_t next_write_ = 1;

  // Elections.
  Nanos election_deadline_ = 0;
  // When a leader was last heard. Kept through changes of term: a lease is a matter of time.
  std::optional<Nanos> heard_leader_;
  // Until then, what was promised before the restart may still be in force.
  Nanos quiet_until_;
  uint64_t campaign_;
  // The latest committed configuration of which it is known that this node does not belong to it; 0
  // if there is none.
  Index removed_at_ = 0;
  // Until then this node does not stand, having led with a log that it could not read.
  Nanos aside_until_ = std::numeric_limits<Nanos>::min();
  std::vector<std::pair<NodeId, bool>> votes_;

  std::optional<Handover> handover_;

  // Leaders only.
  std::vector<Progress> peers_;
  LeadershipRounds rounds_;
  Nanos heartbeat_deadline_ = 0;
  // When a commit index that waits for company is sent without; kNever if none waits.
  Nanos commit_deadline_ = kNever;
  uint64_t next_session_ = 1;
  std::optional<Transfer> transfer_;
  // While the log is nearly full: when leadership is handed over, if somebody has room.
  Nanos full_deadline_ = 0;
  // Somebody was asked to stand for election in this term, and no lease holds against that.
  bool lease_void_ = false;
  uint64_t next_fetch_ = 1;
  // Of what is not in memory any more, entries up to here cannot all be read back; 0 if none was
  // found to be so in this term.
  Index unreadable_ = 0;
  Nanos unreadable_since_ = 0;

  ReadQueue reads_;
  uint64_t read_number_;
  std::optional<Install> install_;
  // Committed entries handed out and not yet applied: where each range ends, and its cost.
  Ring<std::pair<Index, uint64_t>> applying_;
  uint64_t applying_bytes_ = 0;
  // The applied index when a snapshot was last asked for; 0 after one was taken, or the log has
  // become full. And where the log ended then; 0 after one was taken.
  Index snapshot_asked_ = 0;
  Index snapshot_asked_at_ = 0;

  std::vector<PendingMessage> pending_;
  Output out_;
  RoleChange reported_role_;
  uint64_t reported_version_ = 0;
  Index reported_configuration_ = 0;
  bool reported_committed_ = false;
  bool reported_any_ = false;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_CORE_STATE_H_
