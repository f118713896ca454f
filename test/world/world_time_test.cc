// The time of a cluster: what expires when, through idle times, changes of leader, restarts and
// clocks that are set.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cluster/commit_clock.h"
#include "kv/batch_format.h"
#include "support/catch.h"
#include "world/three_machines.h"

namespace bandb::world {

namespace {

constexpr int64_t kHourMillis = 3'600'000;

uint64_t TimeOf(Machine* machine) { return machine->node()->replica().commit_time_ms(); }

void SetClocks(World* world, int64_t offset_millis) {
  for (const auto& machine : world->machines()) machine->SetWallOffsetMillis(offset_millis);
}

// In a turn of the machine. Nobody waits for what becomes of it.
void WriteUnwatched(World* world, Machine* machine, std::string_view key, std::string_view value) {
  WriteBatch batch;
  batch.Put(key, value);
  cluster::WriteContent content{.conditions = WriteBatchAccess::Conditions(batch),
                                .operations = WriteBatchAccess::Operations(batch),
                                .deadline_nanos = world->now() + kSecond};
  machine->node()->Write(std::make_shared<cluster::ClientWrite>(std::move(content), [](absl::Status) {}));
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

TEST_CASE("a write that never was tells no time") {
  ThreeMachines three(9);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  REQUIRE_OK(three.PutWithTtl(leader, "key", "value", absl::Milliseconds(100)));
  world.RunFor(150 * kMilli);
  // It has waited for too long already.
  leader->loop()->Post([&] {
    cluster::WriteContent content{.deadline_nanos = world.now() - 1};
    leader->node()->Write(std::make_shared<cluster::ClientWrite>(std::move(content), [](const absl::Status& status) {
      CHECK(status.code() == absl::StatusCode::kDeadlineExceeded);
    }));
  });
  CHECK(three.Get(leader, "key") == "NOT_FOUND");
}

TEST_CASE("however long an entry takes, each reader at the leader is answered, and is told the time") {
  WorldOptions options = SmallWorld();
  options.network.delay_nanos_min = 20 * kMilli;
  options.network.delay_nanos_max = 30 * kMilli;
  ThreeMachines three(7, options);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  REQUIRE_OK(three.PutWithTtl(leader, "key", "value", absl::Hours(1)));
  struct Seen {
    int asked = 0;
    int answered = 0;
    int late = 0;     // longer than two entries take, one after the other
    int no_time = 0;  // what had expired when they asked would have been found
  } seen;
  const auto read = [&] {
    const int64_t begun_ms = leader->WallMillis();
    ++seen.asked;
    leader->node()->Read({.deadline_nanos = world.now() + kSecond, .done = [&, begun_ms](const absl::Status& status) {
                            seen.answered += status.ok() ? 1 : 0;
                            seen.late += leader->WallMillis() > begun_ms + 200 ? 1 : 0;
                            const uint64_t least_ms = static_cast<uint64_t>(begun_ms) - cluster::kFreshMs;
                            seen.no_time += TimeOf(leader) < least_ms ? 1 : 0;
                          }});
  };
  for (int i = 0; i < 500; ++i) {
    // For a while somebody writes besides.
    if (i >= 250 && i % 23 == 0) leader->loop()->Post([&] { WriteUnwatched(&world, leader, "other", "value"); });
    leader->loop()->Post(read);
    world.RunFor(3 * kMilli);
  }
  world.RunFor(2 * kSecond);
  INFO(three.Report());
  CHECK(seen.asked == 500);
  CHECK(seen.answered == 500);
  CHECK(seen.late == 0);
  CHECK(seen.no_time == 0);
  CHECK(!world.violation().has_value());
}

TEST_CASE("who waits to be told the time by a leader that leads no more is answered all the same") {
  WorldOptions options = SmallWorld();
  // So that nothing but the time is waited for.
  options.machine.node.core.lease_reads = true;
  ThreeMachines three(8, options);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  REQUIRE_OK(three.PutWithTtl(leader, "key", "value", absl::Hours(1)));
  world.RunFor(50 * kMilli);
  // What it has written and tells reaches nobody, and another one leads meanwhile, whose log is
  // shorter.
  for (const auto& machine : world.machines()) {
    if (machine.get() == leader) continue;
    world.network().CutHosts(leader->host(), machine->host(), true);
    world.network().CutHosts(machine->host(), leader->host(), true);
  }
  for (int i = 0; i < 20; ++i) {
    leader->loop()->Post([&] { WriteUnwatched(&world, leader, "lost", "value"); });
    world.RunFor(5 * kMilli);
  }
  auto ready = std::make_shared<std::optional<absl::Status>>();
  leader->loop()->Post([&, ready] {
    leader->node()->Read({.deadline_nanos = world.now() + 30 * kSecond,
                          .done = [ready](absl::Status status) { *ready = std::move(status); }});
  });
  REQUIRE(world.RunUntil([&] { return world.Leader() != nullptr && world.Leader() != leader; }));
  CHECK(!ready->has_value());
  world.network().HealHosts();
  REQUIRE(world.RunUntil([&] { return ready->has_value(); }, 10 * kSecond));
  INFO(three.Report());
  CHECK((*ready)->ok());
  CHECK(three.Local(leader, "key") == "value");
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
