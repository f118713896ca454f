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

TEST_CASE("who needs entries that the leader cannot read any more is given a copy of the database") {
  // Damaged, or no file at all.
  const bool gone = GENERATE(false, true);
  ThreeMachines three(52);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  Machine* const away = &world.machine(static_cast<size_t>(leader->host()) % 3);
  three.Kill(away);
  const raft::Index before = three.LastIndex();
  // Fewer than the log keeps, and more than memory does.
  for (int i = 0; i < 12; ++i) REQUIRE_OK(three.Put(leader, "key" + std::to_string(i), std::string(4000, 'x')));
  REQUIRE(three.AwaitLeader() == leader);
  REQUIRE(leader->node()->core()->inspect().floor <= before);
  leader->NoteFault();
  world.ExpectDataLoss(true);
  for (const auto& [path, bytes] : leader->files().Files()) {
    if (!path.ends_with(".seg")) continue;
    if (gone) {
      leader->files().Inject({.kind = test::FaultKind::kGone,
                              .calls = {test::FileCall::kOpen},
                              .pattern = "*.seg",
                              .count = test::Fault::kSticky});
      break;
    }
    const size_t at = leader->files().Content(path).find("xxxxxxxx");
    if (at == std::string::npos) continue;
    leader->files().FlipByte(path, at, 1);
    break;
  }
  world.Start(away);
  REQUIRE(world.RunUntil([&] { return away->node() != nullptr; }));
  const bool caught_up = world.RunUntil([&] {
    return away->node() != nullptr &&
           away->node()->published().applied.load() == leader->node()->core()->inspect().last;
  });
  INFO(three.Report());
  REQUIRE(caught_up);
  CHECK(three.AwaitLeader() == leader);
  CHECK(world.installs_of(*away) == 1);
  CHECK(three.Get(away, "key11") == std::string(4000, 'x'));
  // Said once, however often it was found out.
  CHECK(CountLogged(*leader, gone ? "No such file" : "is damaged") == 1);
  CHECK(!world.violation().has_value());
}

}  // namespace bandb::world
