// What ships, in a world of three machines: single scenarios.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cluster/member_address.h"
#include "kv/batch_format.h"
#include "support/catch.h"
#include "world/three_machines.h"

namespace bandb::world {

TEST_CASE("three machines: what was written survives the death of the leader, at every node") {
  for (const uint64_t seed : {1, 2, 3}) {
    ThreeMachines three(seed);
    World& world = three.world;
    REQUIRE_OK(three.Put(&world.machine(1), "key", "value"));
    Machine* const dead = three.AwaitLeader();
    three.Kill(dead);
    Machine* const leader = three.AwaitLeader(dead);
    for (const auto& machine : world.machines()) {
      if (machine->node() != nullptr) CHECK(three.Get(machine.get(), "key") == "value");
    }
    REQUIRE_OK(three.Put(leader, "key", "again"));
    three.Restart(dead);
    CHECK(three.Get(dead, "key") == "again");
    INFO(three.Report());
    CHECK(!world.violation().has_value());
    CHECK(world.counters().deaths == 1);
  }
}

TEST_CASE("a transfer is done, for whichever node was asked for it, once that knows who leads now") {
  for (const uint64_t seed : {21, 22, 23, 24}) {
    ThreeMachines three(seed);
    World& world = three.world;
    for (int i = 0; i < 9; ++i) {
      Machine* const from = three.AwaitLeader();
      three.Settle();
      Machine* const asked = &world.machine(static_cast<size_t>(i) % 3);
      Machine* const to = &world.machine(static_cast<size_t>(from->host() + i % 2) % 3);
      struct Seen {
        std::optional<absl::Status> status;
        raft::NodeId leader = raft::kNoNode;
      };
      auto seen = std::make_shared<Seen>();
      asked->loop()->Post([asked, to, seen, deadline = world.now() + 10 * kSecond] {
        asked->node()->Transfer(to->id(), deadline, [asked, seen](absl::Status status) {
          seen->status = std::move(status);
          seen->leader = asked->node()->Status().leader;
        });
      });
      REQUIRE(world.RunUntil([&] { return seen->status.has_value(); }));
      INFO(three.Report());
      REQUIRE(to != from);
      REQUIRE_OK(*seen->status);
      REQUIRE(seen->leader == to->id());
    }
    CHECK(!world.violation().has_value());
  }
}

TEST_CASE("a node is let in though the first that it asks was removed itself, and knows or does not know it") {
  for (const bool knows : {true, false}) {
    ThreeMachines three(11);
    World& world = three.world;
    Machine* const out = &world.machine(0);
    const raft::NodeId removed = out->id();
    if (!knows) three.Kill(out);
    Machine* const leader = three.AwaitLeader(knows ? nullptr : out);
    REQUIRE_OK(three.Change(leader, {.kind = raft::ChangeKind::kRemove, .node = removed, .other = 0, .address = {}}));
    if (!knows) world.Start(out);
    Machine* const joins = world.Add();
    world.Start(joins);
    const bool up = world.RunUntil([&] { return joins->node() != nullptr; });
    INFO(three.Report());
    REQUIRE(up);
  }
}

TEST_CASE("a node that was removed and does not know it yet changes nothing") {
  bool any = false;
  for (const uint64_t seed : {15, 16, 17, 18}) {
    ThreeMachines three(seed);
    World& world = three.world;
    Machine* const leader = three.AwaitLeader();
    three.Settle();
    // One that made its connection to the leader, which stays: the lower id dials.
    Machine* out = nullptr;
    Machine* other = nullptr;
    for (const auto& machine : world.machines()) {
      if (machine.get() != leader) (machine->id() < leader->id() && out == nullptr ? out : other) = machine.get();
    }
    if (out == nullptr || other == nullptr) continue;
    any = true;
    const auto remove = [](Machine* machine) {
      return raft::Change{.kind = raft::ChangeKind::kRemove, .node = machine->id(), .other = 0, .address = {}};
    };
    out->Freeze(true);
    REQUIRE_OK(three.Change(leader, remove(out)));
    out->Freeze(false);
    const absl::Status refused = three.Change(out, remove(other));
    INFO(refused.ToString() << three.Report());
    CHECK_FALSE(refused.ok());
    REQUIRE(world.RunUntil([&] { return out->removed(); }));
    CHECK(leader->node()->core()->configuration().Find(other->id()) != nullptr);
    REQUIRE_OK(three.Put(leader, "key", "value"));
    CHECK(!world.violation().has_value());
  }
  CHECK(any);
}

// Its request is heard late: when another member had let it in, and it was removed, before it knew
// of either.
TEST_CASE("a node that was removed is never let in again, whoever is asked, and comes as another one") {
  ThreeMachines three(14);
  World& world = three.world;
  Machine* const joins = world.Add();
  for (const auto& machine : world.machines()) {
    world.network().CutHosts(joins->host(), machine->host(), true);
  }
  world.Start(joins);
  REQUIRE(joins->state() == Machine::State::kJoining);
  const raft::NodeId id = joins->id();
  const auto change = [&](raft::ChangeKind kind, raft::NodeId other = raft::kNoNode) {
    return raft::Change{
        .kind = kind,
        .node = id,
        .other = other,
        .address = cluster::EncodeMemberAddress({.peer = joins->address(), .client = {}, .name = joins->name()})};
  };
  Machine* leader = three.AwaitLeader();
  REQUIRE_OK(three.Change(leader, change(raft::ChangeKind::kAddLearner)));
  REQUIRE_OK(three.Change(leader, change(raft::ChangeKind::kRemove)));
  three.Kill(leader);
  leader = three.AwaitLeader(leader);
  for (const auto& machine : world.machines()) {
    if (machine->node() == nullptr) continue;
    CHECK_CODE(three.Change(machine.get(), change(raft::ChangeKind::kAddLearner)), kPermissionDenied);
    CHECK_CODE(three.Change(machine.get(), change(raft::ChangeKind::kAddVoter)), kPermissionDenied);
    CHECK_CODE(three.Change(machine.get(), change(raft::ChangeKind::kReplace, leader->id())), kPermissionDenied);
  }
  world.network().HealHosts();
  REQUIRE(world.RunUntil([&] { return joins->state() == Machine::State::kDown; }));
  CHECK(joins->removed());
  CHECK(joins->LogText().find("was removed from this cluster, for good") != std::string::npos);
  joins->Wipe();
  world.Start(joins);
  REQUIRE(world.RunUntil([&] { return joins->node() != nullptr; }));
  CHECK(joins->id() != id);
  INFO(three.Report());
  CHECK(!world.violation().has_value());
}

TEST_CASE("a leader whose disk hangs gives up, the others go on, and it follows once the disk is back") {
  for (const bool tables_too : {false, true}) {
    ThreeMachines three(12);
    World& world = three.world;
    REQUIRE_OK(three.Put(&world.machine(0), "key", "before"));
    Machine* const hung = three.AwaitLeader();
    hung->syncs()->Hang(true);
    if (tables_too) hung->executor()->Hang(true);
    // It finds out by a write that does not end.
    hung->loop()->Post([hung] {
      WriteBatch batch;
      batch.Put("key", "lost or not");
      cluster::WriteContent content{.operations = WriteBatchAccess::Operations(batch)};
      hung->node()->Write(std::make_shared<cluster::ClientWrite>(std::move(content), [](const absl::Status&) {}));
    });
    Machine* const leader = three.AwaitLeader(hung);
    REQUIRE_OK(three.Put(leader, "key", "after"));
    hung->syncs()->Hang(false);
    hung->executor()->Hang(false);
    three.Settle();
    CHECK(three.Local(hung, "key") == "after");
    CHECK(three.Get(hung, "key") == "after");
    INFO(three.Report());
    CHECK(!world.violation().has_value());
  }
}

namespace {

// Tables find no room; the log does.
const test::Fault kNoTables{.kind = test::FaultKind::kNoSpace,
                            .calls = {test::FileCall::kCreate, test::FileCall::kReserve, test::FileCall::kAppend},
                            .pattern = "*.tbl",
                            .count = test::Fault::kSticky};

}  // namespace

TEST_CASE("a leader that has room for its log and none for tables hands over, and is known to be full") {
  ThreeMachines three(15);
  World& world = three.world;
  Machine* const full = three.AwaitLeader();
  full->NoteFault();
  full->files().Inject(kNoTables);
  int done = 0;
  const std::string value(2 << 10, 'x');
  while (world.Leader() == full && done < 1000) {
    const absl::Status put = three.Put(full, "key" + std::to_string(done % 100), value);
    if (!put.ok()) break;
    ++done;
  }
  REQUIRE(done < 1000);
  Machine* const leader = three.AwaitLeader(full);
  for (int i = 0; i < 200; ++i) REQUIRE_OK(three.Put(leader, "key" + std::to_string(i % 100), value));
  // It tries again now and then, and is given a copy of the database for what it has missed.
  CHECK(world.RunUntil([&] {
    const std::vector<MemberStatus> members = leader->node()->Status().members;
    return std::any_of(members.begin(), members.end(), [&](const MemberStatus& member) {
      return member.id == full->id() && member.trouble == "its disk is full, or refuses reads";
    });
  }));
  full->files().ClearFaults();
  three.Settle();
  INFO(three.Report());
  CHECK(three.Get(full, "key99") == value);
  CHECK(!world.violation().has_value());
}

TEST_CASE("a leader without descriptors hands over, and gives up nothing that it keeps for others") {
  WorldOptions options = SmallWorld();
  options.machine.node.storage.changes_keep_bytes = 4 << 20;
  ThreeMachines three(34, options);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  Machine* const away = &world.machine(static_cast<size_t>(leader->host()) % 3);
  for (int i = 0; i < 150; ++i) REQUIRE_OK(three.Put(leader, "key" + std::to_string(i % 7), std::string(4000, 'x')));
  three.Kill(away);
  for (int i = 0; i < 20; ++i) REQUIRE_OK(three.Put(leader, "key" + std::to_string(i % 7), std::string(4000, 'x')));
  world.RunFor(kSecond);
  REQUIRE(three.AwaitLeader() == leader);
  leader->files().Inject({.kind = test::FaultKind::kNoDescriptor,
                          .calls = {test::FileCall::kCreate, test::FileCall::kOpen},
                          .count = test::Fault::kSticky});
  const cluster::Node& node = *leader->node();
  const raft::Index floor = node.core()->inspect().floor;
  const uint64_t kept = node.kept()->count();
  REQUIRE(node.Status().flushed_index > floor);
  REQUIRE(kept > 0);
  for (int i = 0; i < 2000 && node.Status().health.ok(); ++i) {
    three.Put(&world.machine(0) == away ? leader : &world.machine(0), "more", std::string(4000, 'x')).IgnoreError();
  }
  CHECK_CODE(node.Status().health, kUnavailable);
  three.AwaitLeader(leader);
  world.RunFor(15 * kSecond);
  INFO(three.Report());
  CHECK(node.core()->inspect().floor == floor);
  CHECK(node.kept()->count() >= kept);
  CHECK(node.kept()->let_go() == 0);
  leader->files().ClearFaults();
  three.Restart(away);
  CHECK_OK(three.Put(leader, "key", "value"));
  CHECK(!world.violation().has_value());
}

TEST_CASE("a leader that finds no descriptor to flush with says so, hands over, and lets nobody wait for a flush") {
  // What lacks one: the change index, or a table.
  const std::string pattern = GENERATE("*.chg", "*.tbl");
  WorldOptions options = SmallWorld();
  // The log needs no file meanwhile.
  options.machine.node.segment_bytes = 8 << 20;
  ThreeMachines three(35, options);
  World& world = three.world;
  Machine* const stuck = three.AwaitLeader();
  Machine* const other = &world.machine(static_cast<size_t>(stuck->host()) % 3);
  REQUIRE(other != stuck);
  stuck->NoteFault();
  // Its file is left for another one.
  stuck->files().Inject(
      {.kind = test::FaultKind::kNoSpace, .calls = {test::FileCall::kAppend}, .pattern = "*.chg", .count = 1});
  stuck->files().Inject({.kind = test::FaultKind::kNoDescriptor,
                         .calls = {test::FileCall::kCreate},
                         .pattern = pattern,
                         .count = test::Fault::kSticky});
  const cluster::Node& node = *stuck->node();
  REQUIRE_OK(three.Put(other, "key", "value"));
  std::optional<absl::Status> flushed;
  stuck->loop()->Post([&] { stuck->node()->Flush([&](absl::Status status) { flushed = std::move(status); }); });
  // More than its memtables hold.
  for (int i = 0; i < 300; ++i) {
    three.Put(other, "key" + std::to_string(i % 100), std::string(2 << 10, 'x')).IgnoreError();
  }
  const bool handed_over = world.RunUntil(
      [&] {
        const Machine* const leader = world.Leader();
        return leader != nullptr && leader != stuck;
      },
      15 * kSecond);
  INFO(three.Report());
  REQUIRE(handed_over);
  CHECK_CODE(node.Status().health, kUnavailable);
  REQUIRE(flushed.has_value());
  CHECK_CODE(*flushed, kUnavailable);
  std::optional<absl::Status> again;
  stuck->loop()->Post([&] { stuck->node()->Flush([&](absl::Status status) { again = std::move(status); }); });
  REQUIRE(world.RunUntil([&] { return again.has_value(); }, kSecond));
  CHECK_CODE(*again, kUnavailable);
  for (int i = 0; i < 20; ++i) CHECK_OK(three.Put(other, "key" + std::to_string(i), "after"));
  // Once somebody has helped, all of it is as before.
  stuck->files().ClearFaults();
  REQUIRE(world.RunUntil([&] { return node.Status().health.ok(); }, 20 * kSecond));
  three.Settle();
  CHECK(three.Get(stuck, "key7") == "after");
  CHECK(!world.violation().has_value());
}

TEST_CASE("a copy of the database whose end was not heard is no trouble once the node follows the log") {
  ThreeMachines three(17);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  Machine* const away = &world.machine(static_cast<size_t>(leader->host()) % 3);
  three.Kill(away);
  const std::string value(2 << 10, 'x');
  for (int i = 0; i < 300; ++i) REQUIRE_OK(three.Put(leader, "key" + std::to_string(i % 100), value));
  world.SetOnInstall([&](Machine*) { world.network().BreakAll(); });
  world.Start(away);
  REQUIRE(world.RunUntil([&] { return world.counters().installs > 0; }));
  world.SetOnInstall(nullptr);
  three.Settle();
  const auto trouble = [&] {
    std::string all;
    for (const MemberStatus& member : leader->node()->Status().members) all += member.trouble;
    return all;
  };
  const bool well = world.RunUntil([&] { return trouble().empty(); });
  INFO(trouble());
  INFO(three.Report());
  CHECK(leader->leads());
  CHECK(well);
}

TEST_CASE("a flush that an install overtakes ends with it") {
  ThreeMachines three(18);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  Machine* const away = &world.machine(static_cast<size_t>(leader->host()) % 3);
  three.Kill(away);
  const std::string value(2 << 10, 'x');
  for (int i = 0; i < 300; ++i) REQUIRE_OK(three.Put(leader, "key" + std::to_string(i % 100), value));
  std::optional<absl::Status> flushed;
  world.SetOnInstall([&](Machine* machine) {
    if (machine != away || away->node() == nullptr || flushed.has_value()) return;
    away->node()->Flush([&](absl::Status status) { flushed = std::move(status); });
    CHECK_FALSE(flushed.has_value());
  });
  world.Start(away);
  REQUIRE(world.RunUntil([&] { return world.counters().installs > 0; }));
  world.SetOnInstall(nullptr);
  three.Settle();
  CHECK(world.RunUntil([&] { return flushed.has_value(); }));
  if (flushed.has_value()) CHECK_OK(*flushed);
}

TEST_CASE("a node whose engine stops while a copy is installed ends, and does not ask for copies for ever") {
  ThreeMachines three(19);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  Machine* const away = &world.machine(static_cast<size_t>(leader->host()) % 3);
  three.Kill(away);
  const std::string value(2 << 10, 'x');
  for (int i = 0; i < 300; ++i) REQUIRE_OK(three.Put(leader, "key" + std::to_string(i % 100), value));
  world.SetOnInstall([&](Machine* machine) {
    if (machine != away) return;
    machine->NoteFault();
    machine->files().Inject({.kind = test::FaultKind::kIoError,
                             .calls = {test::FileCall::kAppend},
                             .pattern = "*MANIFEST*",
                             .count = test::Fault::kSticky});
  });
  const uint64_t failures = world.counters().failures;
  world.Start(away);
  CHECK(world.RunUntil([&] { return world.counters().failures > failures; }));
  world.SetOnInstall(nullptr);
  away->files().ClearFaults();
  three.Kill(away);
  three.Restart(away);
  CHECK(three.Local(away, "key7") == value);
}

TEST_CASE("a node whose engine stopped for want of room is given a copy once there is room, though no entry comes") {
  ThreeMachines three(20);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  Machine* const full = &world.machine(static_cast<size_t>(leader->host()) % 3);
  const std::string value(2 << 10, 'x');
  for (int i = 0; i < 300; ++i) REQUIRE_OK(three.Put(leader, "key" + std::to_string(i % 100), value));
  three.Settle();
  for (const auto& machine : world.machines()) {
    if (machine.get() == full) continue;
    world.network().CutHosts(machine->host(), full->host(), true);
    world.network().CutHosts(full->host(), machine->host(), true);
  }
  std::optional<absl::Status> flushed;
  full->loop()->Post([&] { full->node()->Flush([&](absl::Status status) { flushed = std::move(status); }); });
  REQUIRE(world.RunUntil([&] { return flushed.has_value(); }));
  REQUIRE_OK(*flushed);
  full->NoteFault();
  full->files().Inject(kNoTables);
  // A compaction alone finds that out: nothing is applied or flushed meanwhile.
  std::optional<absl::Status> compacted;
  full->node()->replica().engine().CompactRange("", "", [&](absl::Status status) { compacted = std::move(status); });
  REQUIRE(world.RunUntil([&] { return compacted.has_value(); }));
  REQUIRE_CODE(*compacted, kResourceExhausted);
  REQUIRE_OK(full->node()->Status().health);
  for (int i = 0; i < 300; ++i) REQUIRE_OK(three.Put(leader, "key" + std::to_string(i % 100), value + "new"));
  const uint64_t installs = world.counters().installs;
  world.network().HealHosts();
  const auto is_known_to_be_full = [&] {
    const Machine* const leads = world.Leader();
    if (leads == nullptr) return false;
    const std::vector<MemberStatus> members = leads->node()->Status().members;
    return std::any_of(members.begin(), members.end(), [&](const MemberStatus& member) {
      return member.id == full->id() && member.trouble == "its disk is full, or refuses reads";
    });
  };
  CHECK(world.RunUntil(is_known_to_be_full));
  CHECK(world.counters().installs == installs);
  full->files().ClearFaults();
  three.Settle();
  INFO(three.Report());
  CHECK(world.counters().installs == installs + 1);
  CHECK(three.Local(full, "key99") == value + "new");
  CHECK(world.RunUntil([&] { return !is_known_to_be_full(); }));
  CHECK(!world.violation().has_value());
}

TEST_CASE("where no disk has room writes are refused whoever is asked, and what was agreed on can be read") {
  ThreeMachines three(16);
  World& world = three.world;
  REQUIRE_OK(three.PutWithTtl(&world.machine(0), "key", "value", absl::Hours(1)));
  for (const auto& machine : world.machines()) {
    machine->NoteFault();
    machine->files().Inject(kNoTables);
  }
  Machine* const leader = three.AwaitLeader();
  bool refused = false;
  for (int i = 0; i < 2000 && !refused; ++i) {
    // Some are under way when the disk is found full.
    leader->loop()->Post([&, i] {
      WriteBatch batch;
      batch.Put("many" + std::to_string(i), std::string(1 << 10, 'x'));
      cluster::WriteContent content{.operations = WriteBatchAccess::Operations(batch),
                                    .deadline_nanos = world.now() + kSecond};
      leader->node()->Write(std::make_shared<cluster::ClientWrite>(std::move(content), [&](const absl::Status& status) {
        refused |= status.code() == absl::StatusCode::kResourceExhausted;
      }));
    });
    world.RunFor(kMilli / 4);
  }
  REQUIRE(refused);
  world.RunFor(3 * kSecond);
  INFO(three.Report());
  REQUIRE(world.Leader() == leader);
  const Nanos begun = world.now();
  CHECK(three.Get(leader, "key") == "value");
  for (const auto& machine : world.machines()) CHECK_CODE(three.Put(machine.get(), "key", "new"), kResourceExhausted);
  CHECK(world.now() - begun < kSecond);
  for (const auto& machine : world.machines()) machine->files().ClearFaults();
  world.RunFor(3 * kSecond);
  for (const auto& machine : world.machines()) CHECK_OK(three.Put(machine.get(), "key", "new"));
  three.Settle();
  for (const auto& machine : world.machines()) CHECK(three.Get(machine.get(), "key") == "new");
  CHECK(!world.violation().has_value());
}

TEST_CASE("a node that hears nothing of the others serves no linearizable read and acknowledges no write") {
  ThreeMachines three(13);
  World& world = three.world;
  REQUIRE_OK(three.Put(&world.machine(0), "key", "before"));
  Machine* const deaf = three.AwaitLeader();
  for (const auto& machine : world.machines()) {
    if (machine.get() != deaf) world.network().CutHosts(machine->host(), deaf->host(), true);
  }
  CHECK_CODE(three.Put(deaf, "key", "never"), kUnknown);
  CHECK(three.Get(deaf, "key") == "no answer");
  CHECK(three.Local(deaf, "key") == "before");
  world.network().HealHosts();
  Machine* const leader = three.AwaitLeader();
  REQUIRE_OK(three.Put(leader, "key", "after"));
  three.Settle();
  CHECK(three.Local(deaf, "key") == "after");
}

TEST_CASE("the same seed gives the same world") {
  const auto run = [](uint64_t seed) {
    ThreeMachines three(seed);
    REQUIRE_OK(three.Put(&three.world.machine(2), "key", "value"));
    three.Kill(three.AwaitLeader());
    three.AwaitLeader();
    return three.world.trace().hash();
  };
  CHECK(run(7) == run(7));
  CHECK(run(7) != run(8));
}

}  // namespace bandb::world
