#include "world/storm.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace bandb::world {

namespace {

constexpr Nanos kTendNanos = 300 * kMilli;
constexpr Nanos kAskNanos = 5 * kSecond;

}  // namespace

std::string_view TroubleName(Trouble trouble) {
  static constexpr std::array<std::string_view, kTroubles> kNames = {
      "kill",       "kill at call", "kill many",  "kill install", "ambush",    "partition",  "isolate", "one way",
      "slow links", "reset",        "disk hangs", "disk slow",    "disk full", "disk fails", "freeze",  "clock",
      "clocks",     "transfer",     "remove",     "add",          "replace",   "return"};
  return kNames[static_cast<size_t>(trouble)];
}

uint64_t Storm::Counters::total() const { return std::accumulate(troubles.begin(), troubles.end(), uint64_t{0}); }

Storm::Storm(World* world, const StormOptions& options, uint64_t seed)
    : world_(world), options_(options), random_(seed) {
  world_->SetOnInstall([this](Machine* machine) {
    if (healed_ || options_.weights[static_cast<size_t>(Trouble::kKillInstall)] == 0 || random_.OneIn(3)) return;
    ++counters_.troubles[static_cast<size_t>(Trouble::kKillInstall)];
    machine->KillAtCall(random_.Uniform(40), DrawDeath());
  });
  Tend();
}

Nanos Storm::Exponential(Nanos mean) {
  // Without the longest tail, so that what waits for the end of a trouble need not wait forever.
  const double x = std::min(-std::log(1.0 - random_.Double()), 4.0);
  return static_cast<Nanos>(x * static_cast<double>(mean));
}

void Storm::Later(Nanos delay, std::function<void()> what) {
  world_->After(delay, [this, epoch = epoch_, what = std::move(what)] {
    if (epoch == epoch_) what();
  });
}

void Storm::Plan() {
  Later(Exponential(options_.interval_mean), [this] {
    uint64_t dice = random_.Uniform(std::accumulate(options_.weights.begin(), options_.weights.end(), uint64_t{0}));
    size_t kind = 0;
    while (dice >= options_.weights[kind]) dice -= options_.weights[kind++];
    const auto trouble = static_cast<Trouble>(kind);
    world_->trace().Line("TROUBLE {}", TroubleName(trouble));
    if (Strike(trouble)) {
      ++counters_.troubles[kind];
      world_->trace().Mix(sim::TraceKind::kFault, {kind});
    }
    Plan();
  });
}

bool Storm::Strike(Trouble trouble) {
  switch (trouble) {
    case Trouble::kKill:
    case Trouble::kKillAtCall:
    case Trouble::kKillMany:
    case Trouble::kFreeze:
    case Trouble::kClock:
      return StrikeProcess(trouble);
    case Trouble::kKillInstall:
      return false;  // whenever one begins
    case Trouble::kAmbush:
      return Ambush();
    case Trouble::kClocks:
      return SetClocks();
    case Trouble::kPartition:
    case Trouble::kIsolate:
    case Trouble::kOneWay:
    case Trouble::kSlowLinks:
    case Trouble::kReset:
      return StrikeNetwork(trouble);
    case Trouble::kDiskHang:
    case Trouble::kDiskSlow:
    case Trouble::kDiskFull:
    case Trouble::kDiskFail:
      return StrikeDisk(trouble);
    default:
      return StrikeMembers(trouble);
  }
}

// ---- Processes. ----

Death Storm::DrawDeath() {
  if (random_.OneIn(3)) return {};
  return {.power_loss = test::kAllDamages[random_.Uniform(std::size(test::kAllDamages))]};
}

std::vector<Machine*> Storm::Up() {
  std::vector<Machine*> up;
  for (const auto& machine : world_->machines()) {
    if (machine->state() != Machine::State::kDown) up.push_back(machine.get());
  }
  return up;
}

Machine* Storm::PickUp() {
  if (random_.OneIn(3)) {
    if (Machine* const leader = world_->Leader(); leader != nullptr) return leader;
  }
  const std::vector<Machine*> up = Up();
  return up.empty() ? nullptr : up[random_.Uniform(up.size())];
}

void Storm::RestartLater(Machine* machine) {
  // At once, often; and long enough, now and then, that the others have forgotten what it misses.
  const uint64_t kind = random_.Uniform(6);
  const Nanos delay = kind < 2 ? kMilli : Exponential(kind == 5 ? 6 * options_.duration_mean : options_.duration_mean);
  restarting_.insert(machine->host());
  Later(delay, [this, machine] {
    restarting_.erase(machine->host());
    if (machine->state() == Machine::State::kDown && out_.count(machine->host()) == 0) world_->Start(machine);
  });
}

bool Storm::StrikeProcess(Trouble trouble) {
  if (trouble == Trouble::kKillMany) {
    const bool all = random_.OneIn(3);
    for (Machine* const machine : Up()) {
      if (!all && random_.OneIn(2)) continue;
      machine->Kill(DrawDeath());
      RestartLater(machine);
    }
    return true;
  }
  Machine* const machine = PickUp();
  if (machine == nullptr) return false;
  world_->trace().Line("it is {}", machine->name());
  switch (trouble) {
    case Trouble::kKill:
      machine->Kill(DrawDeath());
      RestartLater(machine);
      return true;
    case Trouble::kKillAtCall:
      machine->KillAtCall(random_.Uniform(random_.OneIn(2) ? 20 : 300), DrawDeath());
      return true;
    case Trouble::kFreeze:
      machine->Freeze(true);
      Later(Exponential(options_.duration_mean), [machine] { machine->Freeze(false); });
      return true;
    default: {
      const int64_t range = random_.OneIn(8) ? 4 * 3'600'000 : options_.clock_jump_ms_max;
      machine->SetWallOffsetMillis(random_.Between(-range, range));
      return true;
    }
  }
}

// An election while nobody's disk is quick, and in it voters that forget what was not written, and
// are back at once.
bool Storm::Ambush() {
  Machine* const leader = world_->Leader();
  if (leader == nullptr) return false;
  leader->Kill({.power_loss = test::Damage::kLost});
  RestartLater(leader);
  for (Machine* const machine : Up()) {
    machine->syncs()->SetSlowness(40);
    Later(2 * kSecond, [machine, life = machine->lives()] {
      if (machine->lives() == life && machine->syncs() != nullptr) machine->syncs()->SetSlowness(1);
    });
  }
  for (int i = 0; i < 12; ++i) {
    Later(static_cast<Nanos>(random_.Uniform(static_cast<uint64_t>(2 * kSecond))), [this] {
      const std::vector<Machine*> up = Up();
      if (up.empty()) return;
      Machine* const voter = up[random_.Uniform(up.size())];
      voter->Kill({.power_loss = test::Damage::kLost});
      Later(kMilli, [this, voter] {
        const bool down = voter->state() == Machine::State::kDown && out_.count(voter->host()) == 0;
        if (!down || voter->dying()) return;
        world_->Start(voter);
        if (voter->syncs() != nullptr) voter->syncs()->SetSlowness(40);
      });
    });
  }
  return true;
}

// The leader meanwhile tells the log that time.
bool Storm::SetClocks() {
  const int64_t ahead_ms = random_.Between(60'000, random_.OneIn(3) ? 400 * int64_t{24} * 3'600'000 : 4 * 3'600'000);
  for (const auto& machine : world_->machines()) machine->SetWallOffsetMillis(ahead_ms);
  Later(Exponential(options_.duration_mean), [this] {
    for (const auto& machine : world_->machines()) machine->SetWallOffsetMillis(random_.Between(-1000, 1000));
  });
  if (random_.OneIn(4)) return true;
  Later(Exponential(3 * options_.duration_mean), [this] {
    const std::vector<Machine*> up = Up();
    if (up.empty()) return;
    Machine* const machine = up[random_.Uniform(up.size())];
    machine->loop()->Post([this, machine] {
      if (machine->node() == nullptr) return;
      cluster::WriteContent content{.kind = cluster::CommandKind::kAcceptClock,
                                    .deadline_nanos = world_->now() + kAskNanos};
      machine->node()->Write(std::make_shared<cluster::ClientWrite>(
          std::move(content),
          [this](const absl::Status& status) { counters_.clocks_accepted += status.ok() ? 1 : 0; }));
    });
  });
  return true;
}

// ---- The network. ----

void Storm::Cut(const std::vector<std::pair<int, int>>& links) {
  for (const auto& [from, to] : links) world_->network().CutHosts(from, to, true);
  Later(Exponential(options_.duration_mean), [this, links] {
    for (const auto& [from, to] : links) world_->network().CutHosts(from, to, false);
  });
}

bool Storm::StrikeNetwork(Trouble trouble) {
  if (trouble == Trouble::kReset) {
    world_->network().BreakAll();
    return true;
  }
  std::vector<int> hosts;
  for (const auto& machine : world_->machines()) hosts.push_back(machine->host());
  for (size_t i = hosts.size(); i > 1; --i) std::swap(hosts[i - 1], hosts[random_.Uniform(i)]);
  const Machine* const victim = PickUp();
  if (victim == nullptr) return false;
  std::vector<std::pair<int, int>> links;
  const uint64_t direction = random_.Uniform(4);
  const size_t part = 1 + random_.Uniform(hosts.size() - 1);
  const double share = random_.Double();
  for (size_t a = 0; a < hosts.size(); ++a) {
    for (size_t b = 0; b < hosts.size(); ++b) {
      if (a == b) continue;
      const bool apart = (a < part) != (b < part);
      const bool is_victims =
          (hosts[a] == victim->host() && direction != 1) || (hosts[b] == victim->host() && direction != 2);
      const bool struck = trouble == Trouble::kPartition ? apart
                          : trouble == Trouble::kIsolate ? is_victims
                                                         : random_.Chance(share);
      if (struck) links.emplace_back(hosts[a], hosts[b]);
    }
  }
  if (trouble != Trouble::kSlowLinks) {
    Cut(links);
    return true;
  }
  const Nanos extra = 1 + static_cast<Nanos>(random_.Uniform(static_cast<uint64_t>(600 * kMilli)));
  for (const auto& [from, to] : links) world_->network().SlowHosts(from, to, extra);
  Later(Exponential(options_.duration_mean), [this, links] {
    for (const auto& [from, to] : links) world_->network().SlowHosts(from, to, 0);
  });
  return true;
}

// ---- Disks. ----

bool Storm::StrikeDisk(Trouble trouble) {
  Machine* const machine = PickUp();
  if (machine == nullptr) return false;
  world_->trace().Line("it is {}", machine->name());
  const Nanos duration = Exponential(options_.duration_mean);
  const auto of_this_life = [machine, life = machine->lives()] {
    return machine->lives() == life && machine->executor() != nullptr && !machine->frozen();
  };
  switch (trouble) {
    case Trouble::kDiskHang: {
      // The log's disk, or that of the tables, or both; sometimes for so long that it counts as
      // stalled.
      const uint64_t which = random_.Uniform(3);
      if (which != 0) machine->executor()->Hang(true);
      if (which != 1) machine->syncs()->Hang(true);
      Later(random_.OneIn(4) ? 4 * duration : duration, [machine, of_this_life] {
        if (!of_this_life()) return;
        machine->executor()->Hang(false);
        machine->syncs()->Hang(false);
      });
      return true;
    }
    case Trouble::kDiskSlow:
      machine->executor()->SetSlowness(30);
      machine->syncs()->SetSlowness(30);
      Later(duration, [machine, of_this_life] {
        if (!of_this_life()) return;
        machine->executor()->SetSlowness(1);
        machine->syncs()->SetSlowness(1);
      });
      return true;
    case Trouble::kDiskFull:
      machine->NoteFault();
      machine->files().SetFreeBytes(random_.Uniform(96 << 10));
      Later(2 * duration, [machine] { machine->files().SetFreeBytes(UINT64_MAX); });
      return true;
    default: {
      static constexpr test::FileCall kCalls[] = {
          test::FileCall::kSync,   test::FileCall::kAppend,  test::FileCall::kRead, test::FileCall::kCreate,
          test::FileCall::kRename, test::FileCall::kSyncDir, test::FileCall::kOpen, test::FileCall::kRemove};
      machine->NoteFault();
      machine->files().Inject({.kind = test::FaultKind::kIoError,
                               .calls = {kCalls[random_.Uniform(std::size(kCalls))]},
                               .skip = random_.Uniform(12),
                               .count = 1 + random_.Uniform(2)});
      return true;
    }
  }
}

// ---- Members. ----

const raft::Configuration* Storm::Members() {
  const Machine* const leader = world_->Leader();
  return leader == nullptr ? nullptr : &leader->node()->core()->configuration();
}

Machine* Storm::Find(raft::NodeId id) {
  for (const auto& machine : world_->machines()) {
    if (machine->id() == id) return machine.get();
  }
  return nullptr;
}

void Storm::Ask(const raft::Change& change) {
  const std::vector<Machine*> up = Up();
  if (up.empty()) return;
  Machine* const machine = up[random_.Uniform(up.size())];
  machine->loop()->Post([this, machine, change] {
    if (machine->node() == nullptr) return;
    machine->node()->Change(change, world_->now() + kAskNanos, [this](const absl::Status& status) {
      ++(status.ok() ? counters_.changes_done : counters_.changes_not_done);
    });
  });
}

Machine* Storm::TakeSpare() {
  const Machine* const leader = world_->Leader();
  if (leader == nullptr) return nullptr;
  const raft::Configuration& now = leader->node()->core()->configuration();
  const raft::Configuration& committed = leader->node()->core()->committed_configuration();
  for (const int host : out_) {
    Machine* const machine = &world_->machine(static_cast<size_t>(host) - 1);
    if (now.Find(machine->id()) != nullptr || committed.Find(machine->id()) != nullptr) continue;
    if (machine->dying()) continue;
    out_.erase(host);
    machine->Stop();
    machine->Wipe();
    return machine;
  }
  return world_->machines().size() < options_.machines_max ? world_->Add() : nullptr;
}

bool Storm::StrikeMembers(Trouble trouble) {
  const raft::Configuration* const members = Members();
  if (members == nullptr) return false;
  std::vector<const raft::Member*> voters;
  for (const raft::Member& member : members->members) {
    if (member.voter) voters.push_back(&member);
  }
  if (voters.empty()) return false;
  const raft::Member& drawn = *voters[random_.Uniform(voters.size())];
  switch (trouble) {
    case Trouble::kTransfer: {
      Machine* const machine = PickUp();
      if (machine == nullptr) return false;
      const raft::NodeId to = random_.OneIn(2) ? raft::kNoNode : drawn.id;
      machine->loop()->Post([this, machine, to] {
        if (machine->node() != nullptr)
          machine->node()->Transfer(to, world_->now() + kAskNanos, [](const absl::Status&) {});
      });
      return true;
    }
    case Trouble::kRemove:
      if (voters.size() <= options_.voters_min) return false;
      Ask({.kind = raft::ChangeKind::kRemove, .node = drawn.id, .other = raft::kNoNode, .address = {}});
      return true;
    case Trouble::kAdd:
    case Trouble::kReplace: {
      const Machine* const replaced = Find(drawn.id);
      Machine* const spare = TakeSpare();
      if (spare == nullptr || replaced == nullptr) return false;
      world_->Start(spare, trouble == Trouble::kReplace ? replaced->name() : "");
      return true;
    }
    default: {
      if (out_.empty()) return false;
      Machine* const machine = &world_->machine(static_cast<size_t>(*out_.begin()) - 1);
      if (machine->dying()) return false;
      machine->Stop();
      world_->Start(machine);
      return true;
    }
  }
}

// ---- Tending. ----

void Storm::Tend() {
  for (const auto& machine : world_->machines()) {
    if (machine->removed()) out_.insert(machine->host());
    if (machine->failed()) machine->Stop();
    const bool rests = out_.count(machine->host()) != 0 || restarting_.count(machine->host()) != 0;
    if (machine->state() == Machine::State::kDown && machine->lives() > 0 && !rests && (healed_ || random_.OneIn(3))) {
      world_->Start(machine.get());
    }
  }
  world_->After(kTendNanos, [this] { Tend(); });
}

void Storm::Heal() {
  ++epoch_;
  healed_ = true;
  restarting_.clear();
  world_->trace().Line("HEAL");
  world_->network().HealHosts();
  for (const auto& machine : world_->machines()) {
    machine->Spare();
    machine->files().ClearFaults();
    machine->files().SetFreeBytes(UINT64_MAX);
    if (machine->executor() == nullptr) continue;
    machine->Freeze(false);
    machine->executor()->SetSlowness(1);
    machine->syncs()->SetSlowness(1);
  }
}

}  // namespace bandb::world
