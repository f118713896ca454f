#include "cluster/node.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "raft/describe.h"
#include "raft/types/configuration_codec.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

// Has `handler` told of turns before those that are added from now on.
base::EventLoop* TurnsBefore(base::EventLoop* loop, base::TurnHandler* handler) {
  loop->AddTurnHandler(handler);
  return loop;
}

// What comes up during a turn is done in it, as long as it does not go on forever.
constexpr int kRoundsMax = 8;
// More committed and not yet applied than this, and no more is proposed.
constexpr uint64_t kBacklogBytesMax = 8 << 20;

}  // namespace

// The transport of a node that has no peers.
class Node::NoPeers final : public Transport {
 public:
  explicit NoPeers(Node* node) : node_(node) {}
  void Send(const raft::Message&) override {}
  void SendSnapshot(const raft::SendSnapshot& send) override {
    node_->Post(raft::SnapshotSent{send.message.to, send.message.session, false});
  }

 private:
  Node* const node_;
};

Node::Node(const Parts& parts, const NodeOptions& options, std::unique_ptr<NodeDirectory> directory)
    : parts_(parts),
      options_(options),
      directory_(std::move(directory)),
      random_(parts.env.random->Next()),
      host_(TurnsBefore(parts.loop.get(), this)),
      forwarding_(random_.Fork()),
      last_ask_(random_.Next() >> 1) {
  BANDB_ASSERT(parts_.listener != nullptr);
}

Node::~Node() {
  Stop();
  parts_.loop->RemoveTurnHandler(this);
}

absl::StatusOr<std::unique_ptr<Node>> Node::Open(const Parts& parts, const NodeOptions& options,
                                                 std::unique_ptr<NodeDirectory> directory) {
  BANDB_ASSERT(directory->content() == NodeDirectory::Content::kNode);
  std::unique_ptr<Node> node(new Node(parts, options, std::move(directory)));
  const absl::Status begun = node->Begin();
  if (begun.ok()) return node;
  node->End(begun, "it has not begun");
  if (node->replica_ != nullptr) CloseReplica(node->replica_.get(), parts.env.executor).IgnoreError();
  return begun;
}

SingleLogOptions Node::LogOptions() const {
  SingleLogOptions options;
  options.executor = parts_.env.executor;
  options.sync_executor = parts_.sync_executor;
  options.clock = parts_.env.clock;
  options.random = parts_.env.random;
  options.logger = parts_.env.logger;
  options.post = [loop = parts_.loop.get()](base::Task task) { loop->Post(std::move(task)); };
  options.segment_bytes = options_.segment_bytes;
  return options;
}

raft::Options Node::CoreOptions() const {
  raft::Options options = options_.core;
  options.self = id();
  options.cluster = ClusterIdOf(directory_->identity());
  options.seed = parts_.env.random->Next();
  return options;
}

absl::Status Node::Begin() {
  BANDB_ASSIGN_OR_RETURN(replica_, directory_->OpenReplica(options_.storage));
  const storage::ReplicaPosition durable = replica_->durable();
  BANDB_ASSIGN_OR_RETURN(log_, directory_->OpenLog(LogOptions(), durable));
  log_->SetListener(this);
  if (log_->dropped_bytes() > 0) {
    parts_.env.logger->Log(base::LogLevel::kWarning, "the log ended in {} bytes that were not written whole; dropped",
                           log_->dropped_bytes());
  }
  BANDB_RETURN_IF_ERROR(BeginChanges(durable));
  const Applier::Parts applier{.replica = replica_.get(),
                               .executor = parts_.env.executor,
                               .post = LogOptions().post,
                               .logger = parts_.env.logger,
                               .listener = this};
  BANDB_ASSIGN_OR_RETURN(applier_, Applier::Open(applier));
  applier_->MayFlush(durable.applied.index);
  cursors_->Replace(applier_->found_cursors());
  log_clock_->Set(applier_->found_clock());
  BANDB_RETURN_IF_ERROR(BeginPeers());
  BANDB_ASSIGN_OR_RETURN(driver_, Driver::Create(CoreOptions(), log_->restart(), parts_.env.clock->MonotonicNanos(),
                                                 {this, log_.get(), applier_.get(), transport_.get()}));
  applier_->SetDriver(driver_.get());
  published_.applied.store(durable.applied.index);
  AwaitCursors();
  if (durable.applied.index > 0) Post(raft::SnapshotTaken{durable.applied.index, durable.applied.index});
  const raft::Configuration& configuration = driver_->core().configuration();
  if (peers_ == nullptr && configuration.members.size() != 1) {
    return base::Error(StatusCode::kInvalidArgument,
                       "this node is one of {} members: listen has to say where the others reach it",
                       configuration.members.size());
  }
  // The only voter need not wait for anybody.
  if (configuration.members.size() == 1 && configuration.Votes(id())) Post(raft::Campaign{});
  Post(raft::Tick{});
  parts_.loop->Post([] {});
  return absl::OkStatus();
}

absl::Status Node::BeginPeers() {
  if (options_.listen.empty()) {
    transport_ = std::make_unique<NoPeers>(this);
    return absl::OkStatus();
  }
  const PeerSelf self{.cluster = ClusterIdOf(directory_->identity()),
                      .node = id(),
                      .incarnation = DrawId(parts_.env.random),
                      .versions = {},
                      .entry_version = options_.peers.entry_version};
  const Peers::Parts parts{.loop = parts_.loop,
                           .resolver = parts_.resolver,
                           .host = &host_,
                           .executor = parts_.env.executor,
                           .logger = parts_.env.logger,
                           .listener = this,
                           .pin = [this] { return applier_->PinState(); },
                           .meta_at = [this](raft::Index index) { return driver_->core().SnapshotAt(index); },
                           .receive =
                               [this, replica = replica_.get(), loop = parts_.loop,
                                alive = std::weak_ptr<const bool>(alive_)](const storage::ReplicaState& state) {
                                 auto received = replica->Receive(state);
                                 // An engine that has stopped takes no copy, either,
                                 // and no entry may ever come to find that out.
                                 loop->Post([this, alive, status = received.status()] {
                                   if (alive.expired() || applier_ == nullptr) return;
                                   applier_->JudgeEngine(status);
                                   Wake();
                                 });
                                 return received;
                               }};
  auto peers = std::make_unique<Peers>(self, options_.peers, parts, parts_.env.random->Fork());
  BANDB_RETURN_IF_ERROR(peers->Listen(options_.listen));
  peers_ = peers.get();
  transport_ = std::move(peers);
  return absl::OkStatus();
}

// ---- What clients ask for. ----

void Node::Write(ClientWritePtr write) {
  if (!health_.ok()) return write->Complete(health_);
  if (proposals_.bytes() + write->bytes() > options_.queued_bytes_max && !proposals_.empty()) {
    return write->Complete(base::Error(StatusCode::kUnavailable, "overloaded: {} bytes of writes wait ({})",
                                       proposals_.bytes(), WhyNotNow()));
  }
  proposals_.Add(std::move(write));
  Wake();
}

void Node::Read(ClientRead read) {
  if (!health_.ok()) return std::move(read.done)(health_);
  reads_.Add(std::move(read));
  Wake();
}

void Node::Wake() {
  if (health_.ok() && driver_ != nullptr) woken_ = true;
}

std::string Node::WhyNotNow() const {
  if (role_.leader == raft::kNoNode) return "no leader is known";
  if (!leads()) return "the leader does not answer";
  if (!stalled().ok()) {
    return DiskIsFull() ? "the disk is full" : std::string(base::Message(stalled()));
  }
  if (applier_->backlog_bytes() >= kBacklogBytesMax) return "applying has fallen behind";
  return "not enough members answer";
}

// ---- A turn. ----

void Node::OnTurnEnd() {
  if (!woken_ || driver_ == nullptr) return;
  BANDB_ASSERT(!in_turn_);
  in_turn_ = true;
  woken_ = false;
  int rounds = 0;
  do {
    TurnOnce();
  } while (!events_.empty() && failure_.ok() && ++rounds < kRoundsMax);
  in_turn_ = false;
  if (!failure_.ok()) return Fail(failure_);
  if (removed_) return Rest();
  if (!events_.empty())
    parts_.loop->Post([this, alive = std::weak_ptr<const bool>(alive_)] {
      if (!alive.expired()) Wake();
    });
  if (!stalled().ok()) {
    if (DiskIsFull()) LetKeptGo("the disk is full");
    EndFlushes(stalled());
  }
  ArmExpiry();
  ArmTimeMark();
  TellListener();
}

void Node::TurnOnce() {
  TellCapacity();
  bool snapshot_came = false;
  for (raft::Event& event : std::exchange(events_, {})) {
    const auto* const received = std::get_if<raft::Receive>(&event);
    snapshot_came |= received != nullptr && received->message.kind == raft::MessageKind::kSnapshot;
    driver_->Step(Now(), std::move(event));
  }
  // What has arrived goes first: after a pause of this process a leader's heartbeat may be among
  // it. Of what has arrived since the turn began nothing is known, so its time decides what is due
  // and how late it is.
  if (parts_.loop->NowNanos() >= deadline_) driver_->Step(parts_.loop->NowNanos(), raft::Tick{});
  CorrectAddress();
  ForwardWrites();
  SendAsks();
  TryChanges();
  ProposeWrites();
  ProposeTimeMark();
  AskReads();
  driver_->Turn();
  if (snapshot_came && !driver_->core().inspect().installing) EndReceived("it was not wanted");
  StopNeedlessSnapshots();
  if (peers_ != nullptr && std::exchange(configuration_changed_, false)) {
    peers_->SetMembers(driver_->core().configuration());
  }
}

// The peer that has sent a snapshot is told, and another one may come.
void Node::EndReceived(std::string_view why) {
  applier_->DropReceived();
  if (peers_ != nullptr) peers_->SnapshotInstalled(base::Error(StatusCode::kAborted, "{}", why));
}

// Of peers that replicate again, and of a node that does not lead.
void Node::StopNeedlessSnapshots() {
  if (sending_.empty() || peers_ == nullptr) return;
  std::set<raft::NodeId> needed;
  for (const raft::PeerView& peer : driver_->core().Peers()) {
    if (peer.state == raft::PeerState::kSnapshot) needed.insert(peer.id);
  }
  for (const raft::NodeId to : sending_) {
    if (needed.count(to) == 0) peers_->StopSnapshot(to);
  }
}

void Node::Post(raft::Event event) {
  const auto* const installed = std::get_if<raft::SnapshotInstalled>(&event);
  if (installed != nullptr && !installed->ok) EndReceived("it could not be installed");
  events_.push_back(std::move(event));
  Wake();
}

void Node::OnDeadline(raft::Nanos deadline) {
  deadline_ = deadline;
  if (timer_ != base::kNoTimer && timer_due_ <= deadline) return;
  if (timer_ != base::kNoTimer) parts_.loop->Cancel(timer_);
  timer_due_ = deadline;
  timer_ = parts_.loop->After(std::max<int64_t>(deadline - Now(), 0), [this] {
    timer_ = base::kNoTimer;
    Wake();
  });
}

void Node::OnOutput(const raft::Output& output) {
  if (output.role.has_value()) {
    leader_changed_ |= output.role->leader != role_.leader || output.role->term != role_.term;
    if (leads()) reads_.ForgetEntries();
    role_ = *output.role;
    reads_.MayAsk();
    forwarding_.RepeatAll();
  }
  if (output.configuration.has_value()) {
    members_changed_ |= output.configuration->committed;
    configuration_changed_ = true;
    reads_.MayAsk();
  }
  for (const raft::SendSnapshot& send : output.send_snapshots) sending_.insert(send.message.to);
  if (output.transfer.has_value()) EndTransfer(*output.transfer);
  for (const raft::Fault& fault : output.faults) {
    parts_.env.logger->Log(base::LogLevel::kError, "fault, {}: peer {}, term {}, index {}", raft::Name(fault.kind),
                           fault.peer, fault.term, fault.index);
  }
  FinishChanges();
  // Before any message leaves: what a peer may learn from it must be known here.
  Publish();
}

void Node::Publish() {
  const raft::Core& core = driver_->core();
  const raft::Inspect now = core.inspect();
  removed_ |= now.removed;
  const std::vector<raft::Member>& members = core.configuration().members;
  const bool alone = now.role == raft::Role::kLeader && members.size() == 1 && members.front().id == id();
  published_.commit.store(now.commit, std::memory_order_release);
  if (!alone) {
    published_.alone.store(0, std::memory_order_release);
  } else if (core.TermAt(now.commit) == now.term && applier_->applied() >= now.commit) {
    // From here on nothing is acknowledged before it is applied here.
    published_.alone.store(now.term, std::memory_order_release);
  }
  published_.lease_until.store(LeaseEnd(), std::memory_order_release);
  published_.fresh_until_ms.store(FreshUntilMs(), std::memory_order_release);
}

// The core says of a time whether the lease holds then; it does up to some time, and not after.
int64_t Node::LeaseEnd() const {
  const raft::Core& core = driver_->core();
  int64_t holds = parts_.env.clock->MonotonicNanos();
  if (!options_.core.lease_reads || !core.LeaseValid(holds)) return 0;
  int64_t ends = holds + options_.core.election_timeout_nanos;
  while (ends - holds > 1) {
    const int64_t middle = holds + (ends - holds) / 2;
    (core.LeaseValid(middle) ? holds : ends) = middle;
  }
  return holds;
}

void Node::ProposeWrites() {
  if (proposals_.empty()) return;
  if (!leads()) {
    if (role_.leader == raft::kNoNode) {
      proposals_.FailImpatient(base::Error(StatusCode::kUnavailable, "no leader is known"));
    }
    return;
  }
  if (DiskIsFull()) {
    return proposals_.FailAll(base::Error(StatusCode::kResourceExhausted, "the leader's disk is full"));
  }
  if (IsStalled()) {
    const absl::Status why =
        stalled().ok() ? base::Error(StatusCode::kUnavailable, "no file for its log to go on in") : stalled();
    return proposals_.FailAll(base::Annotate(why, "the leader cannot do what it is given"));
  }
  // The entry that began its term is on its way: it takes no longer than one of theirs.
  if (!KnowsTime()) return;
  while (MayPropose()) {
    const EntryTime time = commit_clock_.Next(parts_.env.clock->WallMillis());
    std::optional<Proposals::Batch> batch =
        proposals_.TakeBatch(time, Now(), [this](CommandKind kind) { return CheckUnderstood(kind); });
    if (!batch.has_value() || !Propose(*std::move(batch), time.commit_ms)) break;
  }
  if (!proposals_.empty()) proposals_.FailImpatient(base::Error(StatusCode::kUnavailable, "{}", WhyNotNow()));
}

bool Node::MayPropose() const { return !IsStalled() && applier_->backlog_bytes() < kBacklogBytesMax; }

bool Node::Propose(Proposals::Batch batch, uint64_t commit_time_ms) {
  if (const absl::Status room = log_->MakeRoom(batch.payload.size()); !room.ok()) {
    const absl::Status full =
        base::Error(StatusCode::kResourceExhausted, "the leader has no room: {}", base::Message(room));
    for (const ClientWritePtr& write : batch.writes) write->Complete(full);
    return true;
  }
  const raft::StepResult result = driver_->Step(Now(), raft::Propose{raft::Payload(batch.payload)});
  if (!result.ok()) {
    proposals_.PutBack(std::move(batch.writes));
    return false;
  }
  NoteTold(result.index, commit_time_ms);
  for (const ClientWritePtr& write : batch.writes) {
    if (write->content().forwarded) write->Complete(absl::OkStatus());
  }
  waiting_.Add(result.term, result.index, std::move(batch.writes));
  return true;
}

// ---- What log and state machine answer. ----

void Node::OnHardStateDurable(uint64_t write) {
  driver_->HardStateDurable(write);
  driver_->SendReady();
}

void Node::OnLogDurable(uint64_t write, raft::Term term, raft::Index index) {
  driver_->LogDurable(write, term, index);
  driver_->SendReady();
}

void Node::OnWriteFailed() {
  driver_->WriteFailed();
  failure_ = base::Error(StatusCode::kFailedPrecondition, "the log could not be written; the node has to be restarted");
}

void Node::OnReset(raft::Index index, raft::Term) {
  driver_->LogReset();
  if (peers_ != nullptr) peers_->SnapshotInstalled(absl::OkStatus());
  waiting_.Skipped(index);
  forwarding_.Skipped();
  reads_.AppliedTo(index);
  published_.applied.store(index, std::memory_order_release);
  damage_.clear();
}

void Node::OnApplied(raft::Index index, raft::Term term, raft::EntryKind, absl::Span<const CommandResult> results) {
  proposals_.PutBack(waiting_.Applied(term, index, results));
  for (const CommandResult& result : results) {
    if (result.session != kNoSession) proposals_.PutBack(forwarding_.Applied(result));
  }
  for (PendingChange& change : changes_) {
    change.applied |= change.index == index && change.term == term;
    // What follows an entry of a later term is of no earlier one: it was cut off the log.
    if (!change.applied && change.index >= index && change.term < term) change.index = 0;
  }
}

void Node::OnAppliedTo(raft::Index index) {
  published_.applied.store(index, std::memory_order_release);
  reads_.AppliedTo(index);
  Post(raft::Applied{index});
}

void Node::OnDurable(const storage::ReplicaPosition& position) {
  log_->KeepAfter(position.applied.index);
  TrimKept();
  EndFlushes(position.applied.index);
  Post(raft::SnapshotTaken{position.applied.index, position.applied.index});
}

void Node::OnApplyFailed(const absl::Status& status) {
  failure_ = base::Error(StatusCode::kFailedPrecondition, "applying failed ({}: {}); the node has to be restarted",
                         base::ToStd(absl::StatusCodeToString(status.code())), base::Message(status));
  Wake();
}

// ---- The end. ----

void Node::Fail(const absl::Status& status) {
  parts_.env.logger->Log(base::LogLevel::kError, "{}", base::Message(status));
  End(status, base::Message(status));
  parts_.listener->OnFailed(status);
}

void Node::Stop() { End(base::Error(StatusCode::kFailedPrecondition, "the node was stopped"), "the node was stopped"); }

void Node::End(const absl::Status& status, std::string_view why_unknown) {
  BANDB_ASSERT(!in_turn_);
  if (!health_.ok()) return;
  if (driver_ != nullptr) last_status_ = Status();
  health_ = status;
  last_status_.health = status;
  published_.alone.store(0, std::memory_order_release);
  published_.lease_until.store(0, std::memory_order_release);
  published_.ended.store(true, std::memory_order_release);
  proposals_.FailAll(status);
  waiting_.GiveUp(why_unknown);
  forwarding_.GiveUp(why_unknown);
  reads_.FailAll(status);
  for (PendingChange& change : std::exchange(changes_, {})) EndChange(&change, why_unknown);
  for (auto& [number, ask] : std::exchange(asks_, {})) EndAsk(&ask, why_unknown);
  if (transfer_ != nullptr) std::move(transfer_)(status);
  transfer_ = nullptr;
  EndFlushes(status);
  if (timer_ != base::kNoTimer) parts_.loop->Cancel(timer_);
  if (expiry_ != base::kNoTimer) parts_.loop->Cancel(expiry_);
  if (time_mark_ != base::kNoTimer) parts_.loop->Cancel(time_mark_);
  timer_ = expiry_ = time_mark_ = base::kNoTimer;
  events_.clear();
  EndChanges(status);
  // The applier before the driver that it asks, and before the engine is closed.
  if (peers_ != nullptr) peers_->Close(why_unknown);
  peers_ = nullptr;
  applier_.reset();
  driver_.reset();
  transport_.reset();
  log_.reset();
}

}  // namespace bandb::cluster
