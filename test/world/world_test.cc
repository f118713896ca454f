// What ships, in a world of three machines: single scenarios.
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
