// Disks that lose a part of what they hold, and what the others do about it.
#include <memory>
#include <string>

#include "base/file_system.h"
#include "cluster/node_directory.h"
#include "support/catch.h"
#include "world/three_machines.h"

namespace bandb::world {

namespace {

// As text: of an error.
bool Logged(const Machine& machine, std::string_view what) { return machine.LogText().find(what) != std::string::npos; }

size_t CountLogged(const Machine& machine, std::string_view what) {
  const std::string text = machine.LogText();
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

}  // namespace

// Its votes and acknowledgements still count.
TEST_CASE("who comes under the id of a voter, and has nothing, is not let in, whoever is asked") {
  ThreeMachines three(51);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  Machine* const lost = &world.machine(static_cast<size_t>(leader->host()) % 3);
  REQUIRE_OK(three.Put(leader, "key", "value"));
  const raft::NodeId id = lost->id();
  three.Kill(lost);
  lost->Wipe();
  // An image that was made while the node waited to be let in.
  REQUIRE_OK(lost->files().CreateDirs("/node/groups/0"));
  REQUIRE_OK(base::InstallFile(&lost->files(), "/node/groups/0/NODE",
                               cluster::EncodeNodeRecord({.node = id, .membership = {}})));
  for (int time = 0; time < 3; ++time) {
    world.Start(lost);
    REQUIRE(lost->id() == id);
    REQUIRE(world.RunUntil([&] { return lost->state() != Machine::State::kJoining; }));
    INFO(three.Report());
    REQUIRE(lost->state() == Machine::State::kDown);
    CHECK(Logged(*lost, "is a voter of this cluster"));
  }
  lost->Wipe();
  world.Start(lost);
  REQUIRE(world.RunUntil([&] { return lost->node() != nullptr; }));
  CHECK(lost->id() != id);
  three.Settle();
  INFO(three.Report());
  CHECK(three.Get(lost, "key") == "value");
  CHECK(!world.violation().has_value());
}

namespace {

// The bytes of some file whose name ends so, of which `what` is a part; where that is.
struct Spot {
  std::string path;
  size_t at = 0;
};
Spot FindBytes(Machine* machine, std::string_view suffix, std::string_view what) {
  Spot spot;
  for (const auto& [path, bytes] : machine->files().Files()) {
    if (!path.ends_with(suffix)) continue;
    const size_t at = machine->files().Content(path).find(what);
    if (at != std::string::npos && spot.path.empty()) spot = {path, at};
  }
  REQUIRE_FALSE(spot.path.empty());
  return spot;
}

bool IsAtTheEnd(const Machine& machine, World* world) {
  const Machine* const leader = world->Leader();
  return leader != nullptr && machine.node() != nullptr &&
         machine.node()->published().applied.load() == leader->node()->core()->inspect().last;
}

}  // namespace

TEST_CASE("who needs entries that the leader cannot read any more is given a copy of the database") {
  // Damaged, or no file at all.
  const bool gone = GENERATE(false, true);
  ThreeMachines three(52);
  World& world = three.world;
  Machine* const fourth = world.Add();
  world.Start(fourth);
  REQUIRE(world.RunUntil([&] {
    const Machine* const now = world.Leader();
    return fourth->node() != nullptr && now != nullptr &&
           now->node()->core()->committed_configuration().Votes(fourth->id());
  }));
  Machine* const leader = three.AwaitLeader();
  // The others are a majority without these two.
  REQUIRE_OK(three.Change(
      leader, {.kind = raft::ChangeKind::kDemote, .node = fourth->id(), .other = raft::kNoNode, .address = {}}));
  three.Settle();
  Machine* const away = &world.machine(static_cast<size_t>(leader->host()) % 3);
  three.Kill(away);
  three.Kill(fourth);
  const raft::Index before = three.LastIndex();
  // Fewer than the log keeps, and more than memory does.
  for (int i = 0; i < 12; ++i) REQUIRE_OK(three.Put(leader, "key" + std::to_string(i), std::string(4000, 'x')));
  REQUIRE(three.AwaitLeader() == leader);
  REQUIRE(leader->node()->core()->inspect().floor <= before);
  leader->NoteFault();
  world.ExpectDataLoss(true);
  const uint64_t failures = leader->files().failures();
  if (gone) {
    leader->files().Inject({.kind = test::FaultKind::kGone,
                            .calls = {test::FileCall::kOpen},
                            .pattern = "*.seg",
                            .count = test::Fault::kSticky});
  } else {
    const Spot spot = FindBytes(leader, ".seg", "xxxxxxxx");
    leader->files().FlipByte(spot.path, spot.at, 1);
  }
  // Both ask before either is told: each is a fetch of its own.
  leader->executor()->Hang(true);
  world.Start(away);
  world.Start(fourth);
  REQUIRE(world.RunUntil([&] { return away->node() != nullptr && fourth->node() != nullptr; }));
  world.RunFor(4 * leader->options().node.core.heartbeat_interval_nanos);
  leader->executor()->Hang(false);
  const bool caught_up = world.RunUntil([&] { return IsAtTheEnd(*away, &world) && IsAtTheEnd(*fourth, &world); });
  INFO(three.Report());
  REQUIRE(caught_up);
  CHECK(three.AwaitLeader() == leader);
  CHECK(world.installs_of(*away) == 1);
  CHECK(world.installs_of(*fourth) == 1);
  CHECK(three.Get(away, "key11") == std::string(4000, 'x'));
  // Said once, however often it was found out.
  if (gone) CHECK(leader->files().failures() >= failures + 2);
  CHECK(CountLogged(*leader, gone ? "No such file" : "is damaged") == 1);
  CHECK(!world.violation().has_value());
}

TEST_CASE("a leader one of whose tables is damaged lets another one give the copy, and says which table it is") {
  ThreeMachines three(53);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  Machine* const away = &world.machine(static_cast<size_t>(leader->host()) % 3);
  three.Kill(away);
  const raft::Index before = three.LastIndex();
  for (int i = 0; i < 150; ++i) REQUIRE_OK(three.Put(leader, "key" + std::to_string(i), std::string(4000, 'x')));
  three.Settle();
  world.RunFor(5 * kSecond);
  REQUIRE(three.AwaitLeader() == leader);
  REQUIRE(leader->node()->core()->inspect().floor > before);
  leader->NoteFault();
  world.ExpectDataLoss(true);
  // In the first of its blocks, which are compressed.
  std::string table;
  uint64_t most = 0;
  for (const auto& [path, bytes] : leader->files().Files()) {
    if (!path.ends_with(".tbl") || bytes <= most) continue;
    table = path;
    most = bytes;
  }
  REQUIRE(most > 200);
  leader->files().FlipByte(table, 100, 1);
  world.Start(away);
  const bool caught_up = world.RunUntil([&] { return IsAtTheEnd(*away, &world); });
  INFO(three.Report());
  REQUIRE(caught_up);
  CHECK(three.AwaitLeader() != leader);
  CHECK(world.installs_of(*away) == 1);
  CHECK(three.Local(away, "key149") == std::string(4000, 'x'));
  CHECK(CountLogged(*leader, "this node can give nobody a copy of the database: ") == 1);
  std::string trouble;
  for (const MemberStatus& member : leader->node()->Status().members) {
    if (member.self) trouble = member.trouble;
  }
  CHECK(trouble.find(table) != std::string::npos);
  CHECK(!world.violation().has_value());
}

}  // namespace bandb::world
