#include "sim/node.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/assert.h"

namespace bandb::sim {
namespace {

constexpr size_t kInboxMax = 4096;

const char* Name(raft::Role role) {
  switch (role) {
    case raft::Role::kFollower:
      return "follower";
    case raft::Role::kPreCandidate:
      return "pre-candidate";
    case raft::Role::kCandidate:
      return "candidate";
    case raft::Role::kLeader:
      return "LEADER";
  }
  return "?";
}

std::string Describe(const raft::Configuration& configuration) {
  std::string text = fmt::format("v{}@{}:", configuration.version, configuration.index);
  for (const raft::Member& m : configuration.members) {
    text += fmt::format(" {}{}{}{}{}", m.id, m.voter ? "v" : "", m.outgoing ? "o" : "", m.learner ? "l" : "",
                        m.promote ? fmt::format("p({})", m.replaces) : "");
  }
  return text;
}

}  // namespace

Node::Node(const World& world, raft::NodeId id, raft::ClusterId cluster, uint64_t seed)
    : world_(world),
      id_(id),
      cluster_(cluster),
      random_(seed),
      clock_(*world.scheduler, random_.Between(0, int64_t{1} << 45)),
      disk_(world.scheduler, world.knobs->disk, world.knobs->machine.checkpoint_mean, random_.Next()) {
  const double drift = world.knobs->clock.drift_max;
  clock_.SetRate(1.0 + drift * (2 * random_.Double() - 1));
  turn_delay_ = static_cast<Nanos>(random_.Between(0, 200)) * kMicro;
}

raft::Options Node::CoreOptions() {
  const CoreKnobs& k = world_.knobs->core;
  raft::Options options;
  options.self = id_;
  options.cluster = cluster_;
  options.seed = random_.Next();
  options.election_timeout_nanos = static_cast<raft::Nanos>(k.election_timeout);
  options.heartbeat_interval_nanos = static_cast<raft::Nanos>(k.heartbeat_interval);
  options.disk_stall_timeout_nanos = options.election_timeout_nanos * 3;
  options.priority = id_ % 3 == 0 ? raft::kPriorityMax - 1 : raft::kPriorityMax;
  options.message_bytes_max = k.append_bytes_max;
  options.inflight_bytes_max = k.inflight_bytes_max;
  options.inflight_messages_max = k.inflight_messages_max;
  options.uncommitted_bytes_max = k.uncommitted_bytes_max;
  options.cached_bytes_max = k.cached_bytes_max;
  options.applying_bytes_max = k.commit_batch_bytes_max;
  options.promotion_lag_entries = k.promotion_lag;
  options.retained_log_bytes = world_.knobs->machine.log_retained * raft::kEntryOverheadBytes * 2;
  options.snapshot_log_bytes = 1 << 20;
  options.lease_reads = k.leases;
  options.clock_drift_percent = k.leases ? 1 : 0;
  return options;
}

void Node::Start() {
  BANDB_ASSERT(state_ == State::kDown);
  BANDB_ASSERT(!wiped_);
  auto recovered = disk_.Open(this);
  damage_ = recovered.status();
  if (!damage_.ok()) {
    world_.trace->Line("node {} does not start: {}", id_, damage_.ToString());
    return;
  }
  ++incarnation_;
  if (recovered->restart.last_term() > recovered->restart.hard_state.term) ++coverage_.starts_ahead;
  auto driver = cluster::Driver::Create(CoreOptions(), recovered->restart, clock_.now(), {this, this, this, this});
  if (!driver.ok()) world_.trace->Line("node {}: {}", id_, driver.status().ToString());
  BANDB_ASSERT(driver.ok());
  driver_ = std::move(*driver);
  state_ = State::kUp;
  machine_.Clear();
  applied_ = recovered->restart.applied;
  if (recovered->checkpoint.data != nullptr) {
    const bool loaded = machine_.Load(*recovered->checkpoint.data);
    BANDB_ASSERT(loaded);
    next_checkpoint_id_ = recovered->checkpoint.meta.id + 1;
  }
  world_.trace->Mix(TraceKind::kNote, {id_, incarnation_, applied_, recovered->restart.last_index});
  world_.trace->Line("node {} starts: term {} vote {} floor {} applied {} last {}", id_,
                     recovered->restart.hard_state.term, recovered->restart.hard_state.vote,
                     recovered->restart.floor.index, applied_,
                     recovered->restart.floor.index + recovered->entries.size());
  world_.observer->OnStart(id_, *recovered, driver_->core());
  if (disk_.checkpoint().data != nullptr) {
    Push(raft::SnapshotTaken{disk_.checkpoint().meta.index, disk_.checkpoint().meta.id});
  }
  Push(raft::Tick{});
}

void Node::Crash() {
  if (state_ == State::kDown) return;
  world_.trace->Line("node {} crashes", id_);
  world_.trace->Mix(TraceKind::kFault, {id_, incarnation_});
  CoverCrash();
  state_ = State::kDown;
  crash_chance_ = 0;
  if (in_turn_) dead_ = std::move(driver_);
  driver_.reset();
  disk_.Abandon();
  inbox_.clear();
  turn_planned_ = false;
  deadline_ = 0;
  apply_planned_ = false;
  ++apply_epoch_;
  applied_since_checkpoint_ = 0;
  checkpointing_ = false;
  received_.clear();
  installing_ = Checkpoint{};
  proposals_.clear();
  reads_.clear();
  // Turns, deadlines and applications of the dead process that are still planned compare this
  // number.
  ++incarnation_;
  world_.observer->OnStop(id_);
}

void Node::CoverCrash() {
  const raft::Inspect now = driver_->core().inspect();
  if (now.installing) ++coverage_.install_crashes;
  if (now.role != raft::Role::kLeader || !driver_->core().configuration().joint()) return;
  ++coverage_.joint_leader_crashes;
  const std::vector<raft::PeerView> peers = driver_->core().Peers();
  if (std::any_of(peers.begin(), peers.end(), [](const auto& p) { return p.state == raft::PeerState::kSnapshot; })) {
    ++coverage_.joint_snapshot_leader_crashes;
  }
}

Coverage Node::coverage() const {
  Coverage all = coverage_;
  all.truncations_under_way += disk_.truncations_under_way();
  return all;
}

void Node::Reach(Moment moment) {
  if (*world_.on_moment != nullptr) (*world_.on_moment)(this, moment);
}

void Node::SetMidStepCrash(double chance, std::function<void()> crashed) {
  crash_chance_ = chance;
  crashed_ = std::move(crashed);
}

void Node::Pause() {
  if (state_ == State::kUp) state_ = State::kPaused;
}

void Node::Resume() {
  if (state_ != State::kPaused) return;
  state_ = State::kUp;
  PlanTurn();
  driver_->ContinueApply();
}

void Node::ClockChanged() { Push(raft::Tick{}); }

void Node::Wipe() {
  Crash();
  wiped_ = true;
}

void Node::MayCrash() {
  if (state_ == State::kDown || crash_chance_ <= 0 || !random_.Chance(crash_chance_)) return;
  Crash();
  if (crashed_ != nullptr) crashed_();
}

void Node::Push(raft::Event event, std::function<void(const raft::StepResult&)> then) {
  if (state_ == State::kDown) return;
  inbox_.push_back(Work{std::move(event), std::move(then)});
  PlanTurn();
}

void Node::PlanTurn() {
  if (turn_planned_ || state_ != State::kUp) return;
  turn_planned_ = true;
  world_.scheduler->After(turn_delay_, [this, incarnation = incarnation_] { Turn(incarnation); });
}

void Node::Turn(uint64_t incarnation) {
  if (incarnation != incarnation_) return;
  turn_planned_ = false;
  if (state_ != State::kUp) return;
  // Not all that is there, sometimes: turns of all sizes.
  size_t count = inbox_.size();
  if (count > 1 && random_.OneIn(4)) count = 1 + random_.Uniform(count);
  for (; count > 0; --count) {
    Work work = std::move(inbox_.front());
    inbox_.pop_front();
    const raft::StepResult result = driver_->Step(clock_.now(), std::move(work.event));
    if (work.then != nullptr) work.then(result);
  }
  in_turn_ = true;
  driver_->Turn();
  in_turn_ = false;
  dead_.reset();
  if (!inbox_.empty()) PlanTurn();
}

void Node::OnDeadline(raft::Nanos local) {
  if (state_ == State::kDown) return;
  // An event for an earlier or equal time will do: it finds out that it is early and plans the
  // rest.
  const Nanos when = clock_.WhenShows(local);
  if (deadline_ != 0 && deadline_ <= when && deadline_ > world_.scheduler->now()) return;
  deadline_ = when;
  world_.scheduler->At(when, [this, when, incarnation = incarnation_] {
    if (incarnation != incarnation_ || deadline_ != when) return;
    deadline_ = 0;
    Push(raft::Tick{});
  });
}

void Node::Submit(Request request) {
  if (state_ == State::kDown || inbox_.size() > kInboxMax) return;
  auto shared = std::make_shared<Request>(std::move(request));
  const auto refuse = [this, shared](const raft::StepResult&) {
    shared->reply(Reply{Outcome::kNotDone, kAbsent, driver_->core().inspect().leader});
  };
  if (shared->command.kind == OpKind::kGet) {
    const uint64_t read = next_read_++;
    reads_[read] = *shared;
    Push(raft::Read{read}, [this, read, refuse](const raft::StepResult& result) {
      if (result.ok()) return world_.observer->OnReadAsked(id_, read);
      reads_.erase(read);
      refuse(result);
    });
    return;
  }
  const std::string bytes = EncodeCommand(shared->command, shared->padding);
  const uint64_t cost = bytes.size() + raft::kEntryOverheadBytes;
  Push(raft::Propose{raft::Payload(bytes)}, [this, shared, refuse, cost](const raft::StepResult& result) {
    if (!result.ok()) return refuse(result);
    world_.trace->Mix(TraceKind::kClient, {id_, result.index, result.term});
    world_.observer->OnProposed(id_, driver_->core(), cost);
    proposals_.emplace(result.index, Proposal{result.term, shared->reply});
  });
}

void Node::Administer(raft::Event event, std::function<void(const raft::StepResult&)> then) {
  Push(std::move(event), std::move(then));
}

void Node::ForgetChanges() {
  inbox_.erase(
      std::remove_if(inbox_.begin(), inbox_.end(),
                     [](const Work& work) { return std::holds_alternative<raft::ChangeMembership>(work.event); }),
      inbox_.end());
}

void Node::OnMessage(raft::Message message) {
  if (state_ == State::kDown || inbox_.size() > kInboxMax) return;
  world_.observer->OnReceive(id_, message);
  Push(raft::Receive{std::move(message)});
}

bool Node::OnSnapshot(raft::Message message, Checkpoint checkpoint) {
  if (state_ != State::kUp || failed()) return false;
  received_[{checkpoint.meta.index, checkpoint.meta.term}] = std::move(checkpoint);
  world_.observer->OnReceive(id_, message);
  Push(raft::Receive{std::move(message)});
  return true;
}

void Node::OnHardStateDurable(uint64_t write) {
  world_.trace->Mix(TraceKind::kPersist, {id_, write});
  world_.observer->OnHardStateDurable(id_, write);
  driver_->HardStateDurable(write);
  if (up()) driver_->SendReady();
}

void Node::OnLogDurable(uint64_t write, raft::Term term, raft::Index index) {
  world_.trace->Mix(TraceKind::kPersist, {id_, write, term, index});
  world_.observer->OnLogDurable(id_, write);
  driver_->LogDurable(write, term, index);
  if (up()) driver_->SendReady();
}

void Node::OnWriteFailed() {
  world_.trace->Line("node {}: a write failed", id_);
  driver_->WriteFailed();
}

void Node::OnCapacity(bool nearly_full) {
  world_.trace->Line("node {}: disk {}", id_, nearly_full ? "nearly full" : "has room");
  if (nearly_full) ReportApplied(true);
  driver_->LogCapacity(nearly_full);
}

void Node::Note(const raft::Output& output) {
  if (output.role.has_value()) {
    const raft::RoleChange& role = *output.role;
    world_.trace->Mix(TraceKind::kRole, {id_, static_cast<uint64_t>(role.role), role.term, role.leader});
    world_.trace->Line("node {} is {} in term {}, leader {}", id_, Name(role.role), role.term, role.leader);
  }
  if (output.configuration.has_value()) {
    world_.trace->Line("node {} configuration {}{}", id_, Describe(output.configuration->configuration),
                       output.configuration->committed ? " committed" : "");
  }
  if (output.transfer.has_value()) {
    world_.trace->Line("node {} transfer to {}: {}", id_, output.transfer->to,
                       absl::StatusCodeToString(output.transfer->code));
  }
  for (const raft::Fault& fault : output.faults) {
    world_.trace->Line("node {} reports fault {} of {} at {}:{}", id_, static_cast<int>(fault.kind), fault.peer,
                       fault.term, fault.index);
  }
}

}  // namespace bandb::sim
