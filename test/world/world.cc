#include "world/world.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/escape.h"
#include "base/status.h"

namespace bandb::world {

namespace {

constexpr Nanos kStuckNanos = 3600 * kSecond;

// Long values by their hash.
std::string Short(std::string_view value) {
  if (value.size() <= 24) return base::Escape(value);
  return fmt::format("{}... ({} bytes, {:x})", base::Escape(value.substr(0, 12)), value.size(), base::Hash64(value));
}

absl::Status Append(std::string* dump, std::string_view name, Iterator* it) {
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    *dump += fmt::format("{} {} = {}", name, base::Escape(it->key()), Short(it->value()));
    if (it->expiry() != absl::InfiniteFuture()) *dump += fmt::format(" until {}", absl::ToUnixMillis(it->expiry()));
    *dump += "\n";
  }
  return it->status();
}

}  // namespace

WorldOptions SmallWorld() {
  WorldOptions options;
  options.network.delay_nanos_min = 20'000;
  options.network.delay_nanos_max = kMilli;
  options.network.window_bytes = 64 << 10;
  cluster::NodeOptions& node = options.machine.node;
  node.segment_bytes = 128 << 10;
  node.core.election_timeout_nanos = 500 * kMilli;
  node.core.heartbeat_interval_nanos = 100 * kMilli;
  node.core.disk_stall_timeout_nanos = 3 * kSecond;
  node.core.commit_delay_nanos = kMilli;
  node.core.message_bytes_max = 8 << 10;
  node.core.inflight_bytes_max = 64 << 10;
  node.core.uncommitted_bytes_max = 32 << 10;
  node.core.cached_bytes_max = 32 << 10;
  node.core.applying_bytes_max = 32 << 10;
  node.core.snapshot_log_bytes = 64 << 10;
  node.core.retained_log_bytes = 64 << 10;
  node.core.promotion_lag_entries = 20;
  node.queued_bytes_max = 256 << 10;
  node.peers.silence_nanos = kSecond;
  node.peers.ping_nanos = 250 * kMilli;
  Options& storage = node.storage;
  storage.write_buffer_bytes = 64 << 10;
  storage.block_cache_bytes = 64 << 10;
  storage.block_bytes = 1024;
  storage.table_bytes = 64 << 10;
  storage.level0_tables = 2;
  storage.level_base_bytes = 64 << 10;
  return options;
}

World::World(uint64_t seed, const WorldOptions& options, sim::Trace::Sink sink, size_t recent_lines)
    : options_(options),
      random_(seed),
      trace_(trace_now_, std::move(sink), recent_lines),
      network_([&] {
        test::SimNetworkOptions seeded = options.network;
        seeded.seed = random_.Next();
        return seeded;
      }()),
      loop_(network_.MakeLoop()) {}

World::~World() { machines_.clear(); }

Machine* World::Add() {
  Machine::Events* const events = this;
  const int host = static_cast<int>(machines_.size()) + 1;
  machines_.push_back(std::make_unique<Machine>(host, &network_, options_.machine, random_.Next(), events));
  return machines_.back().get();
}

void World::Start(Machine* machine, const std::string& replaces) {
  std::vector<std::string> others;
  for (const std::unique_ptr<Machine>& other : machines_) {
    if (other.get() != machine) others.push_back(other->address());
  }
  ++counters_.starts;
  trace_.Line("{} starts, life {}", machine->name(), machine->lives() + 1);
  const bool bootstrap = machine == machines_.front().get() && !bootstrapped_;
  machine->Start(bootstrap, std::move(others), replaces);
}

Machine* World::Leader() {
  Machine* leader = nullptr;
  raft::Term term = 0;
  for (const std::unique_ptr<Machine>& machine : machines_) {
    if (!machine->leads() || machine->node()->core()->inspect().term <= term) continue;
    leader = machine.get();
    term = machine->node()->core()->inspect().term;
  }
  return leader;
}

void World::After(Nanos delay, std::function<void()> what) {
  loop_->After(delay, [what = std::move(what)] { what(); });
}

void World::Step() {
  if (!network_.Step()) return Fail("nothing will ever happen again");
  trace_now_ = static_cast<sim::Nanos>(network_.now_nanos());
  const int host = network_.last_host();
  for (const std::unique_ptr<Machine>& machine : machines_) {
    if (machine->host() == host) Watch(machine.get());
    machine->AfterStep();
  }
}

bool World::RunUntil(const std::function<bool()>& done, Nanos nanos_max) {
  const Nanos deadline = now() + nanos_max;
  while (!violation_.has_value() && !done()) {
    if (now() >= deadline) return false;
    Step();
  }
  return !violation_.has_value();
}

void World::RunFor(Nanos nanos) {
  const Nanos end = now() + nanos;
  After(nanos, [] {});
  RunUntil([&] { return now() >= end; }, kStuckNanos);
}

void World::Fail(std::string what) {
  if (violation_.has_value()) return;
  trace_.Line("VIOLATION: {}", what);
  violation_ = std::move(what);
}

// ---- What is watched. ----

void World::Watch(Machine* machine) {
  Watched& watched = watched_[machine->host()];
  if (machine->failed()) {
    // Its operator starts it again.
    if (!machine->TakeFailure()) return;
    ++counters_.failures;
    if (!machine->faulty() && !machine->removed())
      Fail(fmt::format("{} has failed, and its disk has not: {}", machine->name(), base::Message(machine->failure())));
    trace_.Line("{} has failed: {}", machine->name(), base::Message(machine->failure()));
    return;
  }
  cluster::Node* const node = machine->node();
  if (node == nullptr || node->core() == nullptr) {
    watched = {};
    return;
  }
  if (const raft::Configuration& committed = node->core()->committed_configuration();
      committed.index > committed_.index) {
    NoteCommitted(committed);
  }
  const bool installing = node->core()->inspect().installing;
  const raft::Index applied = node->published().applied.load();
  if (watched.installing && !installing && applied > watched.applied) {
    ++counters_.installs;
    ++watched.installs;
    trace_.Line("{} has installed a snapshot, up to {}", machine->name(), applied);
    Look(machine);
  }
  const bool begins = installing && !watched.installing;
  watched.installing = installing;
  if (begins && on_install_) on_install_(machine);
  if (applied == watched.applied) return;
  if (applied < watched.applied) Fail(machine->name() + ": what was applied goes back");
  watched.applied = applied;
  log_time_ms_ = std::max(log_time_ms_, node->replica().commit_time_ms());
  trace_.Mix(sim::TraceKind::kApply, {static_cast<uint64_t>(machine->host()), applied});
  if (random_.OneIn(options_.looks_one_in)) Look(machine);
}

void World::NoteCommitted(const raft::Configuration& committed) {
  for (const raft::Member& member : committed_.members) {
    if (committed.Find(member.id) == nullptr) gone_.insert(member.id);
  }
  committed_ = committed;
  for (const raft::Member& member : committed_.members) {
    if (gone_.count(member.id) == 0) continue;
    Fail(fmt::format("{} was removed, and is a member again by the configuration at {}", member.id, committed_.index));
  }
}

absl::StatusOr<std::string> World::Dump(Machine* machine) {
  storage::EngineReplica& replica = machine->node()->replica();
  const storage::ReplicaPosition& position = replica.applied();
  std::string dump = fmt::format("entry {} of term {}, sequence {}, time {}\n", position.applied.index,
                                 position.applied.term, position.last_sequence, position.commit_time_ms);
  dump += "members " + base::Escape(position.membership) + "\n";
  BANDB_RETURN_IF_ERROR(Append(&dump, "user", replica.engine().NewIterator({}).get()));
  BANDB_RETURN_IF_ERROR(Append(&dump, "system", replica.NewSystemIterator().get()));
  return dump;
}

void World::Look(Machine* machine) {
  cluster::Node* const node = machine->node();
  if (node == nullptr || !node->health().ok()) return;
  absl::StatusOr<std::string> dump = Dump(machine);
  if (!dump.ok()) {
    // A disk that refuses to be read is no news.
    if (dump.status().code() == absl::StatusCode::kDataLoss) OnDataLoss(machine, dump.status());
    return;
  }
  ++counters_.looks;
  const storage::ReplicaPosition& position = node->replica().applied();
  const raft::Index index = position.applied.index;
  CheckTime(index, position.commit_time_ms);
  CheckBounds(machine);
  const uint64_t digest = base::Hash64(*dump);
  trace_.Mix(sim::TraceKind::kNote, {static_cast<uint64_t>(machine->host()), index, digest});
  const auto [at, is_new] = seen_.try_emplace(index);
  if (is_new) {
    at->second = {digest, position.commit_time_ms, machine->host(), machine->lives(), *std::move(dump)};
    return;
  }
  ++counters_.comparisons;
  if (at->second.digest == digest) return;
  Fail(fmt::format("replicas differ after entry {}: m{} (life {}):\n{}\n{} (life {}):\n{}", index, at->second.host,
                   at->second.life, at->second.dump, machine->name(), machine->lives(), *dump));
}

uint64_t World::installs_of(const Machine& machine) const {
  const auto at = watched_.find(machine.host());
  return at == watched_.end() ? 0 : at->second.installs;
}

void World::CheckTime(raft::Index index, uint64_t commit_time_ms) {
  const auto [at, is_new] = times_.try_emplace(index, commit_time_ms);
  if (!is_new) return;
  const bool before = at != times_.begin() && std::prev(at)->second > commit_time_ms;
  const bool after = std::next(at) != times_.end() && std::next(at)->second < commit_time_ms;
  if (before || after) Fail(fmt::format("the time of the log goes back around entry {}", index));
}

void World::CheckBounds(Machine* machine) {
  const raft::Inspect log = machine->node()->core()->inspect();
  // Between the two an install is of both minds.
  if (log.installing) return;
  const raft::Index flushed = machine->node()->replica().durable().applied.index;
  if (flushed < log.floor) {
    Fail(fmt::format("{}: the log begins after {}, and the manifest is at {}", machine->name(), log.floor, flushed));
  }
  const absl::StatusOr<cluster::ChangeBound> oldest = machine->node()->changes()->Oldest();
  raft::Index begin = log.floor;
  if (machine->lost_power() && oldest.ok()) {
    // Of the log more may be there again than of the change index.
    std::optional<raft::Index>& found = watched_[machine->host()].feed_begin;
    if (!found.has_value()) found = oldest->index;
    begin = std::max(begin, *found);
  }
  // A machine that is being killed reads nothing more.
  if (!machine->faulty() && !machine->dying() && (!oldest.ok() || oldest->index > begin)) {
    Fail(fmt::format("{}: the log begins after {}, and the change feed after {}", machine->name(), log.floor,
                     oldest.ok() ? fmt::format("{}", oldest->index) : oldest.status().ToString()));
  }
  if (flushed > log.durable) {
    Fail(fmt::format("{}: the manifest is at {}, and the log durable up to {}", machine->name(), flushed, log.durable));
  }
}

// ---- What machines tell. ----

void World::OnLeader(Machine* machine, raft::Term term, raft::NodeId leader) {
  trace_.Mix(sim::TraceKind::kRole, {static_cast<uint64_t>(machine->host()), term, leader});
  if (trace_.wordy()) trace_.Line("{} of term {}: {} leads", machine->name(), term, leader);
  if (leader == raft::kNoNode) return;
  const auto [at, is_new] = leaders_.emplace(term, leader);
  counters_.leaders += is_new ? 1 : 0;
  if (at->second != leader) Fail(fmt::format("two nodes lead in term {}: {} and {}", term, at->second, leader));
}

void World::OnRemoved(Machine* machine) {
  ++counters_.removals;
  trace_.Line("{} was removed", machine->name());
  // A node of the latest configuration that anybody knew to be committed was never removed.
  if (committed_.Find(machine->id()) == nullptr) return;
  Fail(fmt::format("{} was told that it was removed, and belongs to the configuration at {}", machine->name(),
                   committed_.index));
}

void World::OnUp(Machine* machine) {
  bootstrapped_ = true;
  counters_.joins += ids_.insert(machine->id()).second && ids_.size() > 1 ? 1 : 0;
  trace_.Mix(sim::TraceKind::kNote, {static_cast<uint64_t>(machine->host()), 1});
  trace_.Line("{} serves as {}", machine->name(), machine->id());
}

void World::OnDown(Machine* machine, std::string_view why) {
  const Watched& watched = watched_[machine->host()];
  ++counters_.deaths;
  if (watched.installing) ++counters_.deaths_while_installing;
  watched_[machine->host()] = {};
  trace_.Mix(sim::TraceKind::kFault, {static_cast<uint64_t>(machine->host())});
  trace_.Line("{} is down: {}", machine->name(), why);
}

void World::OnDataLoss(Machine* machine, const absl::Status& status) {
  if (data_loss_expected_) return;
  Fail(fmt::format("{} found damage that nobody did: {}", machine->name(), base::Message(status)));
}

}  // namespace bandb::world
