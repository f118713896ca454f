#include "sim/simulation.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "sim/cluster.h"
#include "sim/linearizability.h"
#include "sim/lost_quorum.h"

namespace bandb::sim {
namespace {

// A run that needs more than this is cut short, and does not count.
constexpr uint64_t kEventsMax = 20'000'000;

class Simulation {
 public:
  Simulation(uint64_t seed, const RunOptions& options)
      : knobs_(DrawKnobs(seed)),
        random_(seed),
        trace_(scheduler_.now(), options.sink, options.recent_lines),
        cluster_(&scheduler_, &trace_, knobs_, random_.Next()),
        workload_(&scheduler_, &trace_, knobs_, &cluster_.nodes(), random_.Next()),
        nemesis_(&scheduler_, &trace_, knobs_, &cluster_, random_.Next()) {}

  RunReport Run() {
    trace_.Line("{}", sim::Describe(knobs_));
    for (const auto& [id, node] : cluster_.nodes()) {
      scheduler_.After(random_.Uniform(knobs_.core.election_timeout), [node = node.get()] { node->Start(); });
    }
    workload_.Start();
    nemesis_.Start();
    while (!Violated() && !Eventful() && !Exhausted() && scheduler_.RunOne()) {
    }
    const bool eventful = Eventful();
    if (!Violated()) Heal();
    RunReport report = Finish();
    report.counts = eventful;
    return report;
  }

 private:
  bool Violated() { return cluster_.invariants().violation().has_value(); }
  bool Exhausted() const { return scheduler_.now() > knobs_.duration * 10 || scheduler_.events_run() > kEventsMax; }
  bool Eventful() const {
    return scheduler_.now() >= knobs_.duration && workload_.counters().total() >= knobs_.operations_min &&
           nemesis_.counters().total() >= knobs_.faults_min;
  }

  // Runs until `done` or until `patience` is over. False in the latter case.
  template <typename Done>
  bool RunUntil(Nanos patience, Done done) {
    const Nanos end = scheduler_.now() + patience;
    while (!done()) {
      if (Violated() || scheduler_.now() > end) return false;
      scheduler_.RunOne();
    }
    return true;
  }

  bool Suffice(const std::vector<raft::NodeId>& nodes);
  // Without `unwanted`, if that is possible.
  std::vector<raft::NodeId> ChooseSurvivors(raft::NodeId unwanted);
  // All but the survivors stay as they are, dead or cut off; but the `returning`, if any, come
  // back.
  void Repair(const std::vector<raft::NodeId>& survivors, const std::vector<raft::NodeId>& returning);
  Nanos Patience(const std::vector<raft::NodeId>& survivors);
  void Heal();
  // Cuts the leader off from all others, while clients go on to ask it.
  void LeaveLeaderBehind();
  // Until a joint configuration is committed, if that can be had.
  void AwaitJoint();
  // False if this group cannot be recovered so.
  bool LoseAndRecover();
  // Progress, and agreement, of the nodes that are left. Clients know the addresses of `others`,
  // too.
  void RequireProgress(const std::vector<raft::NodeId>& survivors, const std::vector<raft::NodeId>& others);
  void CheckHistory(const std::vector<Operation>& history, RunReport* report);
  bool Converged(const std::vector<raft::NodeId>& survivors);
  std::string DescribeStuck(const std::vector<raft::NodeId>& survivors);
  RunReport Finish();

  const Knobs knobs_;
  base::Random random_;
  Scheduler scheduler_;
  Trace trace_;
  Cluster cluster_;
  Workload workload_;
  Nemesis nemesis_;
  bool unavailable_ = false;
  Coverage coverage_;
  // Of the clients, up to the loss of a quorum.
  std::vector<Operation> earlier_history_;
};

// Whether the nodes are a quorum of every configuration that one of their logs, or a committed
// entry, may bring about.
bool Simulation::Suffice(const std::vector<raft::NodeId>& nodes) {
  const std::vector<raft::Configuration> configurations = cluster_.PossibleConfigurations();
  return std::all_of(configurations.begin(), configurations.end(), [&](const raft::Configuration& c) {
    return IsQuorum(c, [&](raft::NodeId id) { return std::find(nodes.begin(), nodes.end(), id) != nodes.end(); });
  });
}

// A random minimal quorum of all configurations in question; empty if not even all intact nodes are
// one.
std::vector<raft::NodeId> Simulation::ChooseSurvivors(raft::NodeId unwanted) {
  std::vector<raft::NodeId> survivors = cluster_.Unwiped();
  if (!Suffice(survivors)) return {};
  std::vector<raft::NodeId> order = survivors;
  for (size_t i = order.size(); i-- > 1;) std::swap(order[i], order[random_.Uniform(i + 1)]);
  // Not always as few as possible.
  const uint64_t spare = random_.Uniform(3);
  if (order.size() > spare) order.resize(order.size() - spare);
  if (unwanted != raft::kNoNode) order.insert(order.begin(), unwanted);
  for (raft::NodeId id : order) {
    std::vector<raft::NodeId> without = survivors;
    without.erase(std::remove(without.begin(), without.end(), id), without.end());
    if (Suffice(without)) survivors = std::move(without);
  }
  return survivors;
}

void Simulation::Repair(const std::vector<raft::NodeId>& survivors, const std::vector<raft::NodeId>& returning) {
  const auto kept = [&](raft::NodeId id) {
    return std::find(survivors.begin(), survivors.end(), id) != survivors.end();
  };
  const auto returns = [&](raft::NodeId id) {
    return std::find(returning.begin(), returning.end(), id) != returning.end();
  };
  nemesis_.Stop();
  cluster_.network().Heal();
  cluster_.network().MendAll();
  // The others are dead, or are cut off by a partition: each for itself or all together.
  const uint64_t fate = random_.Uniform(3);
  for (const auto& [id, node] : cluster_.nodes()) {
    if (kept(id)) {
      node->SetMidStepCrash(0, nullptr);
      node->disk().Heal();
      if (node->failed()) node->Crash();
      if (node->state() == Node::State::kDown) node->Start();
      node->Resume();
      continue;
    }
    if (returns(id)) {
      const Nanos latest = random_.OneIn(2) ? kMilli : 10 * knobs_.core.election_timeout;
      scheduler_.After(random_.Uniform(latest), [node = node.get()] { node->Start(); });
      continue;
    }
    if (fate == 0) node->Crash();
    for (const auto& [other, unused] : cluster_.nodes()) {
      if (!kept(other) && fate == 1) continue;
      cluster_.network().Cut(id, other);
      cluster_.network().Cut(other, id);
    }
  }
}

// How long the survivors may take: some elections, and the time to bring everyone up to date with
// the smallest messages.
Nanos Simulation::Patience(const std::vector<raft::NodeId>& survivors) {
  raft::Index last = 0;
  for (raft::NodeId id : survivors) last = std::max(last, cluster_.invariants().LastIndex(id));
  const Nanos step = 4 * (knobs_.network.delay_min + knobs_.network.delay_mean + knobs_.disk.write_min +
                          knobs_.disk.write_mean + knobs_.disk.read_mean + knobs_.machine.apply_mean + kMilli);
  const Nanos stragglers = 8 * knobs_.network.straggler_mean;
  return 60 * knobs_.core.election_timeout + 30 * kSecond + 2 * last * step + stragglers +
         20 * knobs_.nemesis.fault_duration_mean + 20 * knobs_.machine.checkpoint_mean;
}

void Simulation::Heal() {
  // Sometimes at the moment when a new leader was elected, who is then lost if that is possible:
  // the others are left with the terms, votes and logs of an election whose winner told nobody
  // anything.
  const bool bereave = random_.OneIn(3) || knobs_.nemesis.lose_quorum;
  // Before a quorum is lost its leader may be left behind, with a log that grew and is not the best
  // any more.
  const bool joint = knobs_.nemesis.lose_quorum && random_.OneIn(2);
  if (knobs_.nemesis.lose_quorum && !joint && random_.OneIn(2)) LeaveLeaderBehind();
  if (bereave) {
    const uint64_t elections = cluster_.invariants().elections();
    RunUntil(20 * knobs_.core.election_timeout, [&] { return cluster_.invariants().elections() > elections; });
    if (Violated()) return;
  }
  if (joint) AwaitJoint();
  if (Violated()) return;
  coverage_ = cluster_.coverage();
  for (const auto& [id, node] : cluster_.nodes()) node->ForgetChanges();
  if (knobs_.nemesis.lose_quorum && LoseAndRecover()) return;
  const Node* leader = bereave ? cluster_.Leader() : nullptr;
  const std::vector<raft::NodeId> survivors = ChooseSurvivors(leader == nullptr ? raft::kNoNode : leader->id());
  if (survivors.empty()) {
    unavailable_ = true;
    nemesis_.Stop();
    trace_.Line("no quorum of intact disks is left");
    return;
  }
  trace_.Line("HEAL: survivors {}", fmt::join(survivors, " "));
  Repair(survivors, {});
  RequireProgress(survivors, {});
}

void Simulation::AwaitJoint() {
  const auto joint = [this] { return cluster_.invariants().committed_configuration().joint(); };
  for (int i = 0; i < 20 && !joint() && !Violated(); ++i) {
    nemesis_.AskForJoint();
    RunUntil(knobs_.core.election_timeout, joint);
  }
}

void Simulation::LeaveLeaderBehind() {
  const Node* leader = cluster_.Leader();
  if (leader == nullptr) return;
  for (const auto& [id, node] : cluster_.nodes()) {
    if (id == leader->id()) continue;
    cluster_.network().Cut(id, leader->id());
    cluster_.network().Cut(leader->id(), id);
  }
}

bool Simulation::LoseAndRecover() {
  const bool joint = cluster_.invariants().committed_configuration().joint();
  const std::optional<QuorumLoss> loss = LoseQuorum(&cluster_, &trace_, knobs_.workload.keys, &random_);
  if (!loss.has_value()) return false;
  nemesis_.Count(FaultKind::kLostQuorum);
  if (joint) ++coverage_.joint_quorum_losses;
  trace_.Mix(TraceKind::kFault, {static_cast<uint64_t>(FaultKind::kLostQuorum), loss->lost});
  earlier_history_ = workload_.NewEpoch(loss->state);
  if (Violated()) return true;
  Repair(loss->survivors, loss->returning);
  RequireProgress(loss->survivors, loss->returning);
  return true;
}

void Simulation::RequireProgress(const std::vector<raft::NodeId>& survivors, const std::vector<raft::NodeId>& others) {
  std::vector<raft::NodeId> known = survivors;
  known.insert(known.end(), others.begin(), others.end());
  workload_.Concentrate(std::move(known));
  const Nanos patience = Patience(survivors);
  const bool served =
      RunUntil(patience, [this] { return workload_.writes_done() >= 3 && workload_.reads_done() >= 3; });
  if (Violated()) return;
  const bool recovered = nemesis_.counters().faults[static_cast<size_t>(FaultKind::kLostQuorum)] != 0;
  if (!served && !recovered && !Suffice(survivors)) {
    // A change of membership that was under way has made others necessary.
    unavailable_ = true;
    trace_.Line("the survivors are no quorum any more");
    return;
  }
  if (!served) {
    return cluster_.invariants().Fail("no progress within {} s after healing: {}", patience / kSecond,
                                      DescribeStuck(survivors));
  }
  workload_.Stop();
  const bool converged = RunUntil(patience, [&] { return Converged(survivors); });
  if (!Violated() && !converged) {
    cluster_.invariants().Fail("the members differ {} s after healing: {}", patience / kSecond,
                               DescribeStuck(survivors));
  }
}

bool Simulation::Converged(const std::vector<raft::NodeId>& survivors) {
  const raft::Configuration& configuration = cluster_.invariants().committed_configuration();
  const raft::Index committed = cluster_.invariants().committed();
  // A joint configuration is for passing through.
  if (configuration.joint()) return false;
  const Node* first = nullptr;
  for (raft::NodeId id : survivors) {
    if (configuration.Find(id) == nullptr) continue;
    const Node& node = cluster_.node(id);
    if (!node.up() || node.applied() != committed || node.core()->inspect().commit != committed) return false;
    if (first == nullptr) first = &node;
    if (node.machine().Digest() != first->machine().Digest()) {
      cluster_.invariants().Fail("nodes {} and {} are in different states at {}", first->id(), id, committed);
      return false;
    }
  }
  return true;
}

std::string Simulation::DescribeStuck(const std::vector<raft::NodeId>& survivors) {
  std::string text = fmt::format("committed {};", cluster_.invariants().committed());
  for (raft::NodeId id : survivors) {
    const Node& node = cluster_.node(id);
    if (node.core() == nullptr) {
      text += fmt::format(" {} down;", id);
      continue;
    }
    const raft::Inspect now = node.core()->inspect();
    text += fmt::format(" {} role {} term {} leader {} applied {} commit {} durable {} last {}{}{};", id,
                        static_cast<int>(now.role), now.term, now.leader, now.applied, now.commit, now.durable,
                        now.last, now.installing ? " installing" : "", now.failed ? " failed" : "");
    for (const raft::PeerView& peer : node.core()->Peers()) {
      text += fmt::format(" [{} state {} match {} next {} in flight {}{}]", peer.id, static_cast<int>(peer.state),
                          peer.match, peer.next, peer.inflight_messages, peer.log_full ? " full" : "");
    }
    text += fmt::format(" floor {} checkpoint {}", now.floor, cluster_.node(id).disk().checkpoint().meta.index);
  }
  return text;
}

void Simulation::CheckHistory(const std::vector<Operation>& history, RunReport* report) {
  if (Violated()) return;
  const LinearizabilityResult result = CheckLinearizability(history);
  if (result.verdict == Verdict::kLinearizable) return;
  const bool wrong = result.verdict == Verdict::kViolation;
  cluster_.invariants().Fail("the history of key {} is {}: {}", result.key,
                             wrong ? "not linearizable" : "too hard to decide", result.reason);
  if (wrong) report->history = sim::Describe(result.culprit);
}

RunReport Simulation::Finish() {
  RunReport report;
  report.seed = knobs_.seed;
  report.knobs = sim::Describe(knobs_);
  const std::vector<Operation> history = workload_.TakeHistory();
  CheckHistory(earlier_history_, &report);
  CheckHistory(history, &report);
  report.violation = cluster_.invariants().violation().value_or("");
  if (!report.violation.empty()) {
    trace_.Line("VIOLATION {}", report.violation);
    report.recent.assign(trace_.recent().begin(), trace_.recent().end());
  }
  report.unavailable = unavailable_;
  report.hash = trace_.hash();
  report.virtual_time = scheduler_.now();
  report.cluster_hours = static_cast<double>(scheduler_.now()) / (3600.0 * kSecond);
  report.events = scheduler_.events_run();
  report.checks = cluster_.invariants().checks();
  report.elections = cluster_.invariants().elections();
  report.commits = cluster_.invariants().committed();
  report.configuration_changes = cluster_.invariants().configuration_changes();
  report.operations = workload_.counters();
  report.nemesis = nemesis_.counters();
  report.coverage = coverage_;
  report.network = cluster_.network().counters();
  return report;
}

}  // namespace

RunReport Run(uint64_t seed, const RunOptions& options) { return std::make_unique<Simulation>(seed, options)->Run(); }

std::string Describe(const RunReport& r) {
  std::string faults;
  for (size_t kind = 0; kind < kFaultKinds; ++kind) {
    if (r.nemesis.faults[kind] == 0) continue;
    faults +=
        fmt::format("{}{} {}", faults.empty() ? "" : ", ", Name(static_cast<FaultKind>(kind)), r.nemesis.faults[kind]);
  }
  return fmt::format(
      "seed {} hash {:016x} {} | {} ops ({} done, {} not, {} unknown) | {} faults: {} | {} elections, {} commits, {} "
      "changes, {} transfers | {} messages, {} lost, {} snapshots | {:.1f} s virtual, {} events{}{}",
      r.seed, r.hash, r.violation.empty() ? "ok" : "VIOLATION", r.operations.total(), r.operations.done,
      r.operations.not_done, r.operations.unknown, r.nemesis.total(), faults, r.elections, r.commits,
      r.configuration_changes, r.nemesis.transfers, r.network.sent, r.network.lost + r.network.cut, r.network.snapshots,
      static_cast<double>(r.virtual_time) / kSecond, r.events, r.counts ? "" : " (too thin)",
      r.unavailable ? " (no quorum left)" : "");
}

}  // namespace bandb::sim
