// Node: one member of a cluster. It owns the core, through its driver, and everything around it:
// log, state machine, peers, and what waits for them.
//
// All of it runs on one thread, the loop's. What a turn of the loop brings (messages, writes of
// clients, ends of disk work) is collected; at its end all of that goes to the core, then the tick
// if one is due, and one output is done for all of it. Nothing here waits, and nothing but the
// loop, the executors and the file system is known of the world, so that a simulation runs the very
// same node.
#ifndef BANDB_CLUSTER_NODE_H_
#define BANDB_CLUSTER_NODE_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/cluster.h"
#include "base/env.h"
#include "base/event_loop.h"
#include "cluster/applier.h"
#include "cluster/change_index.h"
#include "cluster/client_write.h"
#include "cluster/commit_clock.h"
#include "cluster/cursor_desk.h"
#include "cluster/driver.h"
#include "cluster/forwarding.h"
#include "cluster/log_clock.h"
#include "cluster/member_address.h"
#include "cluster/node_directory.h"
#include "cluster/node_words.h"
#include "cluster/peers.h"
#include "cluster/proposals.h"
#include "cluster/read_waiters.h"
#include "cluster/single_log.h"
#include "cluster/waiting.h"
#include "net/link_host.h"
#include "net/resolver.h"
#include "raft/options.h"

namespace bandb::cluster {

// What other threads may know at any time, without asking the node's thread.
struct PublishedState {
  // Whether a read of what is applied, made now, is as consistent as that without asking anybody.
  // `clock`: of this node.
  bool MayReadNow(Consistency consistency, base::Clock* clock) const;

  // The term in which this node leads as the only member there is, and may serve reads alone; else
  // 0.
  std::atomic<uint64_t> alone{0};
  // Reads under a lease are served until then, of the monotonic clock, once `commit` is applied.
  std::atomic<int64_t> lease_until{0};
  // Reads alone and under a lease are served until then, of the wall clock: later ones might find
  // what has expired.
  std::atomic<int64_t> fresh_until_ms{INT64_MAX};
  std::atomic<uint64_t> commit{0};
  std::atomic<uint64_t> applied{0};
  // Set once: the node serves no more.
  std::atomic<bool> ended{false};
};

struct NodeOptions {
  // All but self, cluster and seed, which are the directory's and the node's.
  raft::Options core{};
  Options storage{};
  uint64_t segment_bytes = 64 << 20;
  // HOST:PORT to listen on for peers; empty: it has none, ever.
  std::string listen;
  // What the configuration is to say of this node. It is corrected if it says something else.
  MemberAddress address;
  PeersOptions peers{};
  // What is queued here at most.
  uint64_t queued_bytes_max = 64 << 20;
};

// Thread safety: made and, once the loop is stopped, destroyed by any thread; the rest on the
// loop's thread. The destructor leaves the engine to be closed by its owner: CloseReplica.
class Node final : private Driver::Host,
                   private LogDevice::Listener,
                   private Applier::Listener,
                   private Peers::Listener,
                   private base::TurnHandler {
 public:
  // Told on the node's thread, at the end of a turn; may call the node.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnLeaderChanged(raft::Term term, raft::NodeId leader, bool self) = 0;
    virtual void OnMembersChanged(uint64_t version) = 0;
    // In both of these the node has given up all that waited, and serves no more.
    virtual void OnRemoved() = 0;
    virtual void OnFailed(const absl::Status& status) = 0;
  };
  // Borrowed; they outlive the node, the executors what it leaves running.
  struct Parts {
    base::Env env;
    // Shared with work that outlives the node.
    std::shared_ptr<base::EventLoop> loop;
    std::shared_ptr<net::Resolver> resolver;
    // Runs syncs of the log, and nothing else.
    base::Executor* sync_executor = nullptr;
    Listener* listener = nullptr;
  };
  using Done = absl::AnyInvocable<void(absl::Status) &&>;

  // Opens what the directory holds. Waits for the disk; before the loop runs, or on its thread.
  // Errors: as NodeDirectory::OpenReplica and OpenLog.
  static absl::StatusOr<std::unique_ptr<Node>> Open(const Parts& parts, const NodeOptions& options,
                                                    std::unique_ptr<NodeDirectory> directory);
  ~Node() override;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Ends a write or read at once if the node serves no more.
  void Write(ClientWritePtr write);
  void Read(ClientRead read);
  // `done` is told once the change is agreed on and complete, or why not; see bandb::Cluster.
  void Change(raft::Change change, int64_t deadline_nanos, Done done);
  void Transfer(raft::NodeId to, int64_t deadline_nanos, Done done);
  // Leads, and another voter might: it is to lead. `done` is told at once if not.
  void HandOver(Done done);
  // `done` is told once what is applied now is in tables, or why not; see bandb::Cluster.
  void Flush(Done done);
  // A nonce for what opens a session of a client.
  uint64_t DrawNonce() { return DrawId(&random_); }
  ClusterStatus Status() const;
  // Members that are named so: by name, peer address or id. Errors: kNotFound, kInvalidArgument.
  absl::StatusOr<raft::NodeId> FindMember(std::string_view name) const;
  // Ends all that waits, and takes part in nothing more. Idempotent.
  void Stop();

  // Another node may be started on the directory: this one is stopped, and its engine closed.
  void LeaveDirectory() { directory_->Unlock(); }

  storage::EngineReplica& replica() { return *replica_; }
  // For readers of the change feed, on any thread.
  const std::shared_ptr<ChangeIndex>& changes() const { return change_index_; }
  const std::shared_ptr<KeptSegments>& kept() const { return kept_; }
  const std::shared_ptr<CursorDesk>& cursors() const { return cursors_; }
  // By which users are shown times of the log.
  const std::shared_ptr<SharedLogClock>& log_clock() const { return log_clock_; }
  const storage::Identity& identity() const { return directory_->identity(); }
  const PublishedState& published() const { return published_; }
  raft::NodeId id() const { return directory_->identity().node_id; }
  // OK while it serves.
  const absl::Status& health() const { return health_; }
  // Null once it has ended.
  const raft::Core* core() const { return driver_ == nullptr ? nullptr : &driver_->core(); }

 private:
  struct PendingChange {
    std::vector<raft::Change> changes;
    int64_t deadline_nanos = 0;
    Done done{};
    // Of its entry, once it was accepted.
    raft::Term term = 0;
    raft::Index index = 0;
    bool applied = false;
    absl::Status refusal{};
  };
  struct PendingAsk {
    NodeAsk ask;
    int64_t deadline_nanos = 0;
    Done done{};
    raft::NodeId asked = raft::kNoNode;  // who has it now
    raft::Term term = 0;                 // in which it was asked
    // Of a transfer: it is done, and who leads now is not known here yet.
    bool handed_over = false;
    // One that had it before has not said what it did.
    bool in_doubt = false;
    absl::Status refusal{};
  };
  struct PendingFlush {
    raft::Index index = 0;
    Done done{};
  };
  class NoPeers;

  Node(const Parts& parts, const NodeOptions& options, std::unique_ptr<NodeDirectory> directory);
  absl::Status Begin();
  absl::Status BeginChanges(const storage::ReplicaPosition& durable);
  void EndChanges(const absl::Status& status);
  // Cursors are known once all is applied that was agreed on when the node started.
  void AwaitCursors();
  // Has what was acknowledged here written to the log.
  void WriteCursors();
  // Lets go what is kept for too long, once it is known what cursors need.
  void TrimKept();
  void FinishTrim(raft::Index needed_after);
  // On a full disk, say, nothing is kept for readers.
  void LetKeptGo(std::string_view why);
  SingleLogOptions LogOptions() const;
  raft::Options CoreOptions() const;

  // Driver::Host
  void Post(raft::Event event) override;
  void OnOutput(const raft::Output& output) override;
  void OnRead(const raft::ReadResult& result) override;
  void OnDeadline(raft::Nanos deadline) override;
  // LogDevice::Listener
  void OnHardStateDurable(uint64_t write) override;
  void OnLogDurable(uint64_t write, raft::Term term, raft::Index index) override;
  void OnWriteFailed() override;
  void OnFetched(uint64_t fetch, bool ok, raft::Entries entries) override;
  void OnFetchLost(uint64_t fetch) override;
  void TakeFetched(uint64_t fetch, bool ok, raft::Entries entries, bool lost);
  void OnReset(raft::Index index, raft::Term term) override;
  void OnCapacity(bool nearly_full) override;
  // Applier::Listener
  void OnApplied(raft::Index index, raft::Term term, raft::EntryKind kind,
                 absl::Span<const CommandResult> results) override;
  void OnRecord(const AppliedRecord& record) override;
  void OnFroze() override { change_index_->MakeDurable(); }
  void OnInstalled(const storage::ReplicaPosition& position) override;
  void OnAppliedTo(raft::Index index) override;
  void OnDurable(const storage::ReplicaPosition& position) override;
  void OnApplyFailed(const absl::Status& status) override;
  // Peers::Listener
  void OnMessage(raft::Message message) override;
  void OnFrame(raft::NodeId from, uint32_t id, std::string_view payload) override;
  void OnSnapshotReceived(raft::Message message, std::unique_ptr<storage::IncomingState> state) override;
  void OnSnapshotSent(const raft::SnapshotSent& sent) override;
  void OnOwnDamage(const absl::Status& damage) override;
  void OnUnreachable(raft::NodeId peer) override;
  void OnJoinRequest(std::string_view request, std::function<void(std::string answer)> reply) override;
  void OnStranger(raft::NodeId stranger) override;
  void LetIn(const JoinRequest& request, const std::function<void(const absl::Status&)>& answer);
  // base::TurnHandler
  void OnTurnEnd() override;

  absl::Status BeginPeers();

  // Not when the turn of the loop began: what is promised in it lasts from when it is.
  raft::Nanos Now() const { return parts_.env.clock->MonotonicNanos(); }
  bool leads() const { return role_.role == raft::Role::kLeader; }
  // The end of the present turn has something to do.
  void Wake();
  void TurnOnce();
  void EndReceived(std::string_view why);
  void StopNeedlessSnapshots();
  void Publish();
  int64_t LeaseEnd() const;
  void ProposeWrites();
  // Log and tables share one.
  bool DiskIsFull() const { return (log_full_ && log_->lacks_space()) || absl::IsResourceExhausted(stalled()); }
  // OK, or why applying or flushing waits for an operator, the log aside.
  const absl::Status& stalled() const { return applier_->stalled().ok() ? changes_wait_ : applier_->stalled(); }
  // An operator is to help; another node is to lead meanwhile.
  bool IsStalled() const { return log_full_ || !stalled().ok(); }
  void TellCapacity();
  // Neither disk nor backlog forbids it.
  bool MayPropose() const;
  // Of a leader: whether it can tell the commit time of its next entry.
  bool KnowsTime();
  // Errors: kUnimplemented a member would end at such a command, or might.
  absl::Status CheckUnderstood(CommandKind kind) const;
  void ArmTimeMark();
  // What has a time to live expires by the time of the log, even if nobody writes.
  void ProposeTimeMark();
  // An entry of that time is in the log.
  void NoteTold(raft::Index index, uint64_t time_ms);
  // The last entry that tells the time, if those who ask to read now are to wait for it; else 0.
  raft::Index AwaitedTime() const;
  int64_t FreshUntilMs() const;
  // False if it is not taken now.
  bool Propose(Proposals::Batch batch, uint64_t commit_time_ms);
  void AskReads();
  // Why a write has to wait.
  std::string WhyNotNow() const;

  // What a node asks of the leader; see node_words.h.
  void ForwardWrites();
  void ForwardToLeader(const std::vector<Command>& commands, CommandKind kind);
  void HandleWrites(raft::NodeId from, std::string_view payload, CommandKind kind);
  void HandleRefused(const RefusedWrites& refused);
  void HandleAsk(raft::NodeId from, const NodeAsk& ask);
  void Serve(NodeAsk ask, Done done);
  void AskLeader(NodeAsk ask, int64_t deadline_nanos, Done done);
  void SendAsks();
  // True if the ask is over, since another term has a leader than that in which it was asked.
  bool EndedByElection(uint64_t number);
  void HandleAnswer(raft::NodeId from, const NodeAnswer& answer);
  void EndAsk(PendingAsk* ask, std::string_view why_unknown);
  void CorrectAddress();

  // Tells those who wait for what is in tables; an error: all of them.
  void EndFlushes(const absl::StatusOr<raft::Index>& flushed);

  void TryChanges();
  // OK, or why who is to come cannot: kPermissionDenied it was removed; kUnavailable not known yet.
  absl::Status CheckNewcomers(const std::vector<raft::Change>& changes) const;
  // False if it is not taken now.
  bool TryChange(PendingChange* change);
  void FinishChanges();
  void StartTransfer(raft::NodeId to, Done done);
  void EndChange(PendingChange* change, std::string_view why_unknown);
  void EndTransfer(const raft::TransferResult& result);
  MemberStatus DescribeMember(const raft::Member& member) const;
  void ArmExpiry();
  void Expire();
  void TellListener();

  void Fail(const absl::Status& status);
  // It was removed.
  void Rest();
  // Gives up all that waits: what was not begun ends with `status`.
  void End(const absl::Status& status, std::string_view why_unknown);

  const Parts parts_;
  const NodeOptions options_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<bool>(true);
  const std::unique_ptr<NodeDirectory> directory_;
  base::Random random_;
  std::unique_ptr<storage::EngineReplica> replica_;
  std::unique_ptr<SingleLog> log_;
  std::shared_ptr<ChangeIndex> change_index_;
  absl::Status changes_wait_;  // why the change index is not written, if that lasts
  std::shared_ptr<KeptSegments> kept_;
  std::shared_ptr<CursorDesk> cursors_;
  const std::shared_ptr<SharedLogClock> log_clock_ = std::make_shared<SharedLogClock>();
  bool trimming_ = false;
  bool trim_again_ = false;
  // Its turns end after the node's, so that what is said in one leaves with it.
  net::LinkHost host_;
  std::unique_ptr<Transport> transport_;
  Peers* peers_ = nullptr;  // transport_, if there are any
  std::unique_ptr<Applier> applier_;
  std::unique_ptr<Driver> driver_;

  std::vector<raft::Event> events_;
  bool woken_ = false;
  bool in_turn_ = false;
  raft::Nanos deadline_ = 0;
  base::TimerId timer_ = base::kNoTimer;
  raft::Nanos timer_due_ = 0;
  base::TimerId expiry_ = base::kNoTimer;
  base::TimerId time_mark_ = base::kNoTimer;

  raft::RoleChange role_;
  std::set<raft::NodeId> sending_;      // nodes that snapshots are on their way to
  std::string damage_;                  // of the tables, as it was logged
  int64_t gave_way_nanos_ = INT64_MIN;  // to another leader, for damage
  bool log_full_ = false;
  bool full_told_ = false;   // the core
  bool space_told_ = false;  // that this is why
  bool removed_ = false;
  std::set<raft::NodeId> strangers_;  // nodes of which it is being found out whether they were removed
  Proposals proposals_;
  Waiting waiting_;
  Forwarding forwarding_;
  ReadWaiters reads_;
  std::deque<PendingChange> changes_;
  Done transfer_;
  std::deque<PendingFlush> flushes_;
  std::map<uint64_t, PendingAsk> asks_;
  // Drawn at the start: an answer that an earlier process of this node was owed is nobody's.
  uint64_t last_ask_;
  bool correcting_address_ = false;
  bool configuration_changed_ = true;
  CommitClock commit_clock_;
  bool time_mark_due_ = false;
  // The last entry that has the time of commit_clock_; 0: none yet.
  raft::Index told_index_ = 0;

  bool leader_changed_ = false;
  bool members_changed_ = false;
  // What ends the node once the turn is over; OK if nothing does.
  absl::Status failure_;
  absl::Status health_;
  ClusterStatus last_status_;
  PublishedState published_;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_NODE_H_
