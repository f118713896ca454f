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

}  // namespace bandb::world
