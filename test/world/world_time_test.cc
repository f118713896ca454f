// The time of a cluster: what expires when, through idle times, changes of leader, restarts and
// clocks that are set.
#include <algorithm>
#include <string>

#include "support/catch.h"
#include "world/three_machines.h"

namespace bandb::world {

namespace {

constexpr int64_t kHourMillis = 3'600'000;

uint64_t TimeOf(Machine* machine) { return machine->node()->replica().commit_time_ms(); }

void SetClocks(World* world, int64_t offset_millis) {
  for (const auto& machine : world->machines()) machine->SetWallOffsetMillis(offset_millis);
}

}  // namespace

TEST_CASE("an idle cluster writes nothing, if nothing can expire") {
  ThreeMachines three(1);
  REQUIRE_OK(three.Put(&three.world.machine(0), "key", "value"));
  three.Settle();
  const raft::Index last = three.LastIndex();
  three.world.RunFor(60 * kSecond);
  CHECK(three.LastIndex() == last);
}

TEST_CASE("in an idle cluster a key expires on every node, and then nothing more is written") {
  ThreeMachines three(2);
  World& world = three.world;
  REQUIRE_OK(three.PutWithTtl(&world.machine(1), "key", "value", absl::Seconds(10)));
  three.Settle();
  const raft::Index last = three.LastIndex();
  world.RunFor(9 * kSecond);
  for (const auto& machine : world.machines()) CHECK(three.Local(machine.get(), "key") == "value");
  // One mark a second, and no more.
  CHECK(three.LastIndex() >= last + 8);
  CHECK(three.LastIndex() <= last + 10);
  world.RunFor(3 * kSecond);
  for (const auto& machine : world.machines()) CHECK(three.Local(machine.get(), "key") == "NOT_FOUND");
  const raft::Index after = three.LastIndex();
  world.RunFor(60 * kSecond);
  CHECK(three.LastIndex() == after);
  CHECK(!world.violation().has_value());
}

TEST_CASE("who reads at the leader finds nothing that has expired, and costs an entry only while something may") {
  ThreeMachines three(4);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  REQUIRE_OK(three.PutWithTtl(leader, "key", "value", absl::Milliseconds(100)));
  const raft::Index last = three.LastIndex();
  world.RunFor(50 * kMilli);
  CHECK(three.Get(leader, "key") == "value");
  world.RunFor(70 * kMilli);
  CHECK(three.Get(leader, "key") == "NOT_FOUND");
  // It told the time to each reader, and there is nothing left that may expire.
  CHECK(three.LastIndex() == last + 2);
  world.RunFor(70 * kMilli);
  CHECK(three.Get(leader, "key") == "NOT_FOUND");
  CHECK(three.LastIndex() == last + 2);
  // Those who read together share one entry, and those who read soon after it need none.
  REQUIRE_OK(three.PutWithTtl(leader, "key", "value", absl::Seconds(10)));
  const raft::Index before = three.LastIndex();
  world.RunFor(50 * kMilli);
  for (int i = 0; i < 5; ++i) CHECK(three.Get(leader, "key") == "value");
  CHECK(three.LastIndex() <= before + 2);
}

TEST_CASE("time is told of what lies in tables, too, and after a restart of all") {
  ThreeMachines three(3);
  World& world = three.world;
  REQUIRE_OK(three.PutWithTtl(&world.machine(1), "key", "value", absl::Seconds(20)));
  // Enough for memtables to be flushed, more than once.
  for (int i = 0; i < 60; ++i) {
    REQUIRE_OK(three.Put(&world.machine(1), "filler" + std::to_string(i % 7), std::string(4000, 'f')));
  }
  three.Settle();
  for (const auto& machine : world.machines()) three.Kill(machine.get());
  for (const auto& machine : world.machines()) world.Start(machine.get());
  three.AwaitLeader();
  world.RunFor(10 * kSecond);
  for (const auto& machine : world.machines()) CHECK(three.Local(machine.get(), "key") == "value");
  world.RunFor(15 * kSecond);
  for (const auto& machine : world.machines()) CHECK(three.Local(machine.get(), "key") == "NOT_FOUND");
  INFO(three.Report());
  CHECK(!world.violation().has_value());
}

TEST_CASE("a leader whose clock is behind goes on from the time of the log, its last entry included") {
  for (const bool restart : {false, true}) {
    ThreeMachines three(4);
    World& world = three.world;
    SetClocks(&world, kHourMillis);
    REQUIRE_OK(three.Put(&world.machine(0), "key", "value"));
    three.Settle();
    Machine* const old_leader = three.AwaitLeader();
    const uint64_t before = TimeOf(old_leader);
    for (const auto& machine : world.machines())
      machine->SetWallOffsetMillis(machine.get() == old_leader ? 0 : -kHourMillis);
    // With all that it knew lost from memory, or not.
    if (restart) {
      for (const auto& machine : world.machines()) three.Kill(machine.get());
      for (const auto& machine : world.machines()) world.Start(machine.get());
    } else {
      three.Kill(old_leader);
    }
    Machine* const leader = three.AwaitLeader(restart ? nullptr : old_leader);
    // Counted from a clock that is two hours behind it would have expired before it was written.
    REQUIRE_OK(three.PutWithTtl(leader, "ttl", "there", absl::Minutes(1)));
    CHECK(three.Get(leader, "ttl") == "there");
    CHECK(TimeOf(leader) >= before);
    CHECK(TimeOf(leader) <= before + 60'000);
    INFO(three.Report());
    CHECK(leader->LogText().find("behind the time of the log") != std::string::npos);
    CHECK(leader->node()->replica().engine().GetStats().expiry_ahead_ms > kHourMillis - 60'000);
    CHECK(!world.violation().has_value());
  }
}

TEST_CASE("while clocks are behind the log nothing expires; once they get there, it does") {
  ThreeMachines three(5);
  World& world = three.world;
  SetClocks(&world, 100'000);
  REQUIRE_OK(three.PutWithTtl(&world.machine(2), "key", "value", absl::Seconds(10)));
  SetClocks(&world, 0);
  world.RunFor(100 * kSecond);
  for (const auto& machine : world.machines()) CHECK(three.Local(machine.get(), "key") == "value");
  world.RunFor(15 * kSecond);
  for (const auto& machine : world.machines()) {
    CHECK(three.Local(machine.get(), "key") == "NOT_FOUND");
    CHECK(machine->node()->replica().engine().GetStats().expiry_ahead_ms < 1000);
  }
}

TEST_CASE("a snapshot that is installed brings its time along") {
  ThreeMachines three(6);
  World& world = three.world;
  Machine* const away = &world.machine(2);
  three.Kill(away);
  Machine* const leader = three.AwaitLeader(away);
  SetClocks(&world, 2 * kHourMillis);
  for (int i = 0; i < 150; ++i) {
    REQUIRE_OK(three.Put(leader, "filler" + std::to_string(i % 7), std::string(4000, 'f')));
  }
  REQUIRE_OK(three.PutWithTtl(leader, "key", "value", absl::Hours(1)));
  SetClocks(&world, 0);
  three.Restart(away);
  INFO(three.Report());
  CHECK(world.counters().installs == 1);
  CHECK(TimeOf(away) == TimeOf(leader));
  CHECK(three.Local(away, "key") == "value");
  // It leads with a clock that is two hours behind what it was given.
  three.Kill(leader);
  Machine* const next = three.AwaitLeader(leader);
  REQUIRE_OK(three.PutWithTtl(next, "ttl", "there", absl::Minutes(1)));
  CHECK(three.Get(next, "ttl") == "there");
  CHECK(!world.violation().has_value());
}

}  // namespace bandb::world
