#include "world/run.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "base/status.h"
#include "sim/linearizability.h"

namespace bandb::world {

namespace {

constexpr Nanos kBeginNanos = 60 * kSecond;
constexpr Nanos kPatienceNanos = 120 * kSecond;

class Simulation {
 public:
  Simulation(uint64_t seed, const Knobs& knobs, const RunOptions& options)
      : knobs_(knobs),
        options_(options),
        world_(seed, knobs.world, options.sink, options.recent_lines),
        clients_(&world_, knobs.clients, world_.random().Next()),
        storm_(&world_, knobs.storm, world_.random().Next()),
        order_(&world_),
        consumers_(&world_, &order_, knobs.consumers, world_.random().Next()),
        cursor_consumers_(&world_, &order_, knobs.cursor_consumers, world_.random().Next()) {}

  RunReport Run() {
    Begin();
    clients_.Start();
    storm_.Start();
    consumers_.Start();
    cursor_consumers_.Start();
    world_.RunFor(knobs_.duration);
    if (!world_.violation().has_value()) Heal();
    return Finish();
  }

 private:
  // Until it is so; otherwise that is the violation.
  void Require(Nanos patience, std::string_view what, const std::function<bool()>& done);
  void Begin();
  void Heal();
  // Those that belong to the cluster, as its leader has it.
  std::vector<Machine*> Members();
  bool Converged();
  void ReadAll(const std::vector<Machine*>& members);
  void CheckMarkers(Machine* machine);
  std::string DescribeStuck();
  RunReport Finish();

  const Knobs knobs_;
  const RunOptions options_;
  World world_;
  Clients clients_;
  Storm storm_;
  CommitOrder order_;
  Consumers consumers_;
  CursorConsumers cursor_consumers_;
};

void Simulation::Require(Nanos patience, std::string_view what, const std::function<bool()>& done) {
  if (world_.violation().has_value() || world_.RunUntil(done, patience) || world_.violation().has_value()) return;
  world_.Fail(fmt::format("{} within {} s: {}", what, patience / kSecond, DescribeStuck()));
}

void Simulation::Begin() {
  for (int i = 0; i < 3; ++i) {
    Machine* const machine = world_.Add();
    world_.Start(machine);
    Require(kBeginNanos, "a machine is let in", [machine] { return machine->node() != nullptr; });
  }
  Require(kBeginNanos, "three vote", [this] { return Members().size() == 3 && Converged(); });
}

std::vector<Machine*> Simulation::Members() {
  std::vector<Machine*> members;
  const Machine* const leader = world_.Leader();
  if (leader == nullptr) return members;
  const raft::Configuration& configuration = leader->node()->core()->committed_configuration();
  for (const auto& machine : world_.machines()) {
    const raft::Member* const member = configuration.Find(machine->id());
    if (member != nullptr && machine->id() != raft::kNoNode) members.push_back(machine.get());
  }
  return members;
}

bool Simulation::Converged() {
  const Machine* const leader = world_.Leader();
  if (leader == nullptr) return false;
  const raft::Core& core = *leader->node()->core();
  const raft::Configuration& configuration = core.committed_configuration();
  if (configuration.joint() || configuration.version != core.configuration().version) return false;
  for (const raft::Member& member : configuration.members) {
    if (!member.voter) return false;
  }
  const std::vector<Machine*> members = Members();
  if (members.size() != configuration.members.size()) return false;
  return std::all_of(members.begin(), members.end(), [&](Machine* machine) {
    const cluster::Node* const node = machine->node();
    return node != nullptr && node->core() != nullptr && node->published().applied.load() == core.inspect().last &&
           core.inspect().commit == core.inspect().last;
  });
}

std::string Simulation::DescribeStuck() {
  std::string text;
  for (const auto& machine : world_.machines()) {
    text += fmt::format("\n  {} id {}{}{}", machine->name(), machine->id(), machine->removed() ? " removed" : "",
                        machine->failed() ? " failed" : "");
    const cluster::Node* const node = machine->node();
    if (node == nullptr || node->core() == nullptr) {
      text += machine->state() == Machine::State::kJoining ? " joins" : " down";
      continue;
    }
    const raft::Inspect now = node->core()->inspect();
    text += fmt::format(" role {} term {} leader {} applied {} commit {} durable {} last {} floor {}{}; {}",
                        static_cast<int>(now.role), now.term, now.leader, now.applied, now.commit, now.durable,
                        now.last, now.floor, now.installing ? " installing" : "", base::Message(node->Status().health));
    for (const raft::PeerView& peer : node->core()->Peers()) {
      text += fmt::format(" [{} state {} match {} next {}{}]", peer.id, static_cast<int>(peer.state), peer.match,
                          peer.next, peer.log_full ? " full" : "");
    }
    for (const MemberStatus& member : node->Status().members) {
      if (!member.trouble.empty()) text += fmt::format(" {}: {};", member.name, member.trouble);
    }
  }
  return text;
}

void Simulation::Heal() {
  storm_.Heal();
  // Every member that is left in the end serves writes and reads.
  std::map<int, std::pair<uint64_t, uint64_t>> before;
  for (const auto& machine : world_.machines()) {
    before[machine->host()] = {clients_.served_writes(*machine), clients_.served_reads(*machine)};
  }
  Require(kPatienceNanos, "every member serves clients", [&] {
    const std::vector<Machine*> members = Members();
    return !members.empty() && std::all_of(members.begin(), members.end(), [&](const Machine* machine) {
      const auto& [writes, reads] = before[machine->host()];
      return clients_.served_writes(*machine) > writes && clients_.served_reads(*machine) > reads;
    });
  });
  clients_.Stop();
  Require(kPatienceNanos, "clients come to an end", [this] { return clients_.idle(); });
  Require(kPatienceNanos, "members agree", [this] { return Converged(); });
  if (world_.violation().has_value()) return;
  const std::vector<Machine*> members = Members();
  ReadAll(members);
  for (Machine* const machine : members) CheckMarkers(machine);
  if (!world_.violation().has_value() && !members.empty()) cursor_consumers_.Finish(members);
  // Time goes on for what has a time to live, and nothing else is written.
  Require(kPatienceNanos, "members agree", [this] { return Converged(); });
  for (Machine* const machine : members) {
    if (machine->node() != nullptr) world_.Look(machine);
  }
  if (!world_.violation().has_value() && !members.empty()) consumers_.Finish(members);
}

void Simulation::ReadAll(const std::vector<Machine*>& members) {
  for (Machine* const machine : members) {
    for (uint64_t key = 0; key < clients_.keys(); ++key) clients_.ReadAt(machine, key);
  }
  Require(kPatienceNanos, "every member is read", [this] { return clients_.idle(); });
}

void Simulation::CheckMarkers(Machine* machine) {
  if (world_.violation().has_value() || machine->node() == nullptr) return;
  for (const std::string& marker : clients_.markers()) {
    PinnedValue value;
    const absl::Status got = machine->node()->replica().engine().Get(marker, {}, &value);
    if (!got.ok()) return world_.Fail(fmt::format("{}: {} was acknowledged and is not there", machine->name(), marker));
  }
}

RunReport Simulation::Finish() {
  RunReport report;
  const std::vector<sim::Operation> history = clients_.TakeHistory();
  if (!world_.violation().has_value()) {
    const sim::LinearizabilityResult checked = sim::CheckLinearizability(history);
    if (checked.verdict != sim::Verdict::kLinearizable) {
      report.history = sim::Describe(checked.culprit);
      world_.Fail(fmt::format("key {} is not linearizable{}: {}", checked.key,
                              checked.verdict == sim::Verdict::kUndecided ? " (undecided)" : "", checked.reason));
    }
  }
  report.violation = world_.violation().value_or("");
  report.hash = world_.trace().hash();
  report.recent.assign(world_.trace().recent().begin(), world_.trace().recent().end());
  report.virtual_nanos = world_.now();
  report.world = world_.counters();
  report.clients = clients_.counters();
  report.consumers = consumers_.counters();
  report.cursors = cursor_consumers_.counters();
  report.storm = storm_.counters();
  report.machines = world_.machines().size();
  if (!options_.with_logs) return report;
  for (const auto& machine : world_.machines()) report.logs += machine->name() + ":\n" + machine->LogText();
  return report;
}

// Adds the numbers of one struct of them to those of another.
template <typename Numbers>
void AddNumbers(Numbers* sum, const Numbers& numbers) {
  static_assert(sizeof(Numbers) % sizeof(uint64_t) == 0);
  auto* const to = reinterpret_cast<uint64_t*>(sum);
  const auto* const from = reinterpret_cast<const uint64_t*>(&numbers);
  for (size_t i = 0; i < sizeof(Numbers) / sizeof(uint64_t); ++i) to[i] += from[i];
}

}  // namespace

Knobs DrawKnobs(uint64_t seed) {
  base::Random random(seed ^ 0x9e3779b97f4a7c15);
  Knobs knobs;
  knobs.world = SmallWorld();
  knobs.world.looks_one_in = 12;
  knobs.world.network.split = random.OneIn(2);
  knobs.world.network.delay_nanos_max = random.OneIn(3) ? 10 * kMilli : kMilli;
  cluster::NodeOptions& node = knobs.world.machine.node;
  node.core.lease_reads = random.OneIn(3);
  node.segment_bytes = random.OneIn(2) ? 128 << 10 : 48 << 10;
  node.core.retained_log_bytes = random.OneIn(3) ? 96 << 10 : 8 << 10;
  node.core.snapshot_log_bytes = random.OneIn(2) ? 32 << 10 : 96 << 10;
  node.storage.block_cache_bytes = random.OneIn(2) ? 64 << 10 : 0;
  knobs.world.machine.sync_nanos_max = random.OneIn(3) ? 20 * kMilli : 2 * kMilli;
  knobs.clients.think_mean = random.OneIn(3) ? 15 * kMilli : 60 * kMilli;
  knobs.clients.keys = 4 + random.Uniform(8);
  knobs.clients.value_bytes_max = random.OneIn(2) ? 2000 : 6000;
  knobs.duration = 20 * kSecond + static_cast<Nanos>(random.Uniform(30)) * kSecond;
  knobs.storm.duration_mean = random.OneIn(2) ? kSecond : 2500 * kMilli;
  knobs.storm.interval_mean = random.OneIn(2) ? 400 * kMilli : 1200 * kMilli;
  knobs.storm.voters_min = random.OneIn(2) ? 2 : 3;
  for (size_t i = 0; i < kTroubles; ++i) knobs.storm.weights[i] = 2;
  // Some kinds are left out, others come often.
  for (int i = 0; i < 4; ++i) knobs.storm.weights[random.Uniform(kTroubles)] = 0;
  for (int i = 0; i < 3; ++i) knobs.storm.weights[random.Uniform(kTroubles)] = 8;
  knobs.storm.weights[static_cast<size_t>(Trouble::kKill)] += 2;
  node.storage.changes_keep_bytes = random.OneIn(2) ? 400 << 10 : 0;
  // Room for all, and nothing but cursors to keep it for.
  if (random.OneIn(3)) {
    node.storage.changes_keep_bytes = 1 << 30;
    node.storage.changes_keep_for = absl::ZeroDuration();
    knobs.cursor_consumers.roomy = true;
  }
  return knobs;
}

RunReport Run(uint64_t seed, const RunOptions& options) {
  RunReport report = Simulation(seed, DrawKnobs(seed), options).Run();
  report.seed = seed;
  return report;
}

std::string Describe(const RunReport& report) {
  return fmt::format(
      "seed {} hash {:016x}: {} s, {} done {} not done {} unknown, {} leaders, {} deaths, {} installs, {} joins, {} "
      "troubles{}",
      report.seed, report.hash, report.virtual_nanos / kSecond, report.clients.done, report.clients.not_done,
      report.clients.unknown, report.world.leaders, report.world.deaths, report.world.installs, report.world.joins,
      report.storm.total(), report.violation.empty() ? "" : " VIOLATION");
}

void Totals::Add(const RunReport& report) {
  ++runs;
  virtual_nanos += report.virtual_nanos;
  hash ^= report.hash;
  AddNumbers(&world, report.world);
  AddNumbers(&clients, report.clients);
  AddNumbers(&consumers, report.consumers);
  AddNumbers(&cursors, report.cursors);
  AddNumbers(&storm, report.storm);
}

std::string Describe(const Totals& totals) {
  std::string text = fmt::format(
      "{} runs, {:.2f} cluster-hours, hash {:016x}\n"
      "operations: {} done ({} reads, {} writes, {} of them of sessions with {} repeats, {} at followers), {} not "
      "done, "
      "{} unknown\n"
      "machines: {} starts, {} deaths ({} while installing), {} failures, {} installs, {} joins, {} removals; {} terms "
      "with a leader\n"
      "consumers: {} commits, {} tokens gone on from, {} gone, {} snapshots\n"
      "cursors: {} commits, {} acknowledged, {} made, put elsewhere or dropped, {} lost\n"
      "replicas: looked at {} times, compared {} times\nmembership: {} changes, {} refused or unknown\nclocks: "
      "{} accepted\ntroubles:",
      totals.runs, static_cast<double>(totals.virtual_nanos) / 3600e9, totals.hash, totals.clients.done,
      totals.clients.reads, totals.clients.writes, totals.clients.session_writes, totals.clients.repeats,
      totals.clients.at_followers, totals.clients.not_done, totals.clients.unknown, totals.world.starts,
      totals.world.deaths, totals.world.deaths_while_installing, totals.world.failures, totals.world.installs,
      totals.world.joins, totals.world.removals, totals.world.leaders, totals.consumers.commits,
      totals.consumers.resumed, totals.consumers.gone, totals.consumers.snapshots, totals.cursors.commits,
      totals.cursors.acknowledged, totals.cursors.changes_done, totals.cursors.lost, totals.world.looks,
      totals.world.comparisons, totals.storm.changes_done, totals.storm.changes_not_done, totals.storm.clocks_accepted);
  for (size_t i = 0; i < kTroubles; ++i) {
    text += fmt::format(" {} {},", totals.storm.troubles[i], TroubleName(static_cast<Trouble>(i)));
  }
  text.back() = '\n';
  return text;
}

std::string Missing(const Totals& totals) {
  std::string missing;
  const auto require = [&](std::string_view what, uint64_t count, uint64_t least_in_hundred) {
    const uint64_t least = totals.runs * least_in_hundred / 100;
    if (count < least) missing += fmt::format("{}: {} of {}; ", what, count, least);
  };
  require("deaths", totals.world.deaths, 500);
  require("deaths while installing", totals.world.deaths_while_installing, 20);
  require("installs", totals.world.installs, 100);
  require("leaders", totals.world.leaders, 500);
  require("joins", totals.world.joins, 250);
  require("comparisons of replicas", totals.world.comparisons, 1000);
  require("commits that consumers were given", totals.consumers.commits, 50000);
  require("tokens that they went on from", totals.consumers.resumed, 3000);
  require("tokens of what is gone", totals.consumers.gone, 30);
  require("commits after cursors", totals.cursors.commits, 30000);
  require("acknowledgements", totals.cursors.acknowledged, 10000);
  require("cursors made, put elsewhere or dropped", totals.cursors.changes_done, 300);
  require("lost cursors", totals.cursors.lost, 10);
  require("session writes", totals.clients.session_writes, 3000);
  require("accepted clocks", totals.storm.clocks_accepted, 20);
  require("changes of members", totals.storm.changes_done, 20);
  return missing;
}

}  // namespace bandb::world
