// Clocks of three machines that were ahead by mistake, are right again, and are accepted as they
// are.
#include <memory>
#include <string>

#include "bandb/changes.h"
#include "support/catch.h"
#include "world/consumers.h"
#include "world/three_machines.h"

namespace bandb::world {

namespace {

constexpr int64_t kDayMillis = int64_t{24} * 3'600'000;
constexpr int64_t kTenYearsMillis = 3650 * kDayMillis;

void SetClocks(World* world, int64_t offset_millis) {
  for (const auto& machine : world->machines()) machine->SetWallOffsetMillis(offset_millis);
}

uint64_t AheadOf(Machine* machine) { return machine->node()->log_clock()->ahead_ms(); }

// Writes while all clocks are ten years ahead, and sets them back.
void JumpAheadAndBack(ThreeMachines* three, Machine* machine) {
  SetClocks(&three->world, kTenYearsMillis);
  REQUIRE_OK(three->Put(machine, "ahead", "value"));
  REQUIRE_OK(three->PutWithTtl(machine, "put ahead", "value", absl::Seconds(30)));
  SetClocks(&three->world, 0);
}

std::string Everywhere(ThreeMachines* three, std::string_view key) {
  std::string found;
  for (const auto& machine : three->world.machines()) {
    const std::string here = three->Local(machine.get(), key);
    if (!found.empty() && found != here) return "not the same everywhere";
    found = here;
  }
  return found;
}

// The expiry of a key as users of this machine see it.
int64_t ExpiryMs(Machine* machine, std::string_view key) {
  PinnedValue value;
  REQUIRE_OK(machine->node()->replica().engine().Get(key, {}, &value));
  return cluster::ExpiryByTheClock(value.expiry(), AheadOf(machine));
}

}  // namespace

TEST_CASE("clocks that were ahead by mistake hold expiry until they are accepted, by whichever member") {
  for (const size_t asked : {0, 1, 2}) {
    ThreeMachines three(40 + asked);
    World& world = three.world;
    Machine* const machine = &world.machine(asked);
    REQUIRE_OK(three.PutWithTtl(machine, "before", "value", absl::Hours(1)));
    REQUIRE_OK(three.PutWithTtl(machine, "long", "value", absl::Hours(24 * 365 * 20)));
    JumpAheadAndBack(&three, machine);
    REQUIRE_OK(three.PutWithTtl(machine, "held", "value", absl::Seconds(10)));
    world.RunFor(60 * kSecond);
    three.Settle();
    INFO(three.Report());
    // Without it nothing expires, and what had stays away.
    CHECK(Everywhere(&three, "held") == "value");
    CHECK(Everywhere(&three, "put ahead") == "value");
    CHECK(Everywhere(&three, "before") == "NOT_FOUND");
    const uint64_t log_ms = world.log_time_ms();
    REQUIRE_OK(three.AcceptClock(machine));
    REQUIRE_OK(three.PutWithTtl(machine, "after", "value", absl::Seconds(10)));
    three.Settle();
    // The time of the log does not go back, and nothing with it.
    CHECK(world.log_time_ms() >= log_ms);
    for (const auto& each : world.machines()) {
      CHECK(AheadOf(each.get()) > static_cast<uint64_t>(kTenYearsMillis - kDayMillis));
      CHECK(AheadOf(each.get()) == AheadOf(machine));
    }
    CHECK(Everywhere(&three, "before") == "NOT_FOUND");
    CHECK(Everywhere(&three, "after") == "value");
    const int64_t shown_ms = ExpiryMs(machine, "after") - machine->WallMillis();
    CHECK(shown_ms > 8'000);
    CHECK(shown_ms <= 10'000);
    world.RunFor(8 * kSecond);
    CHECK(Everywhere(&three, "after") == "value");
    // Both go by the clock, from where it was held.
    world.RunFor(4 * kSecond);
    CHECK(Everywhere(&three, "after") == "NOT_FOUND");
    CHECK(Everywhere(&three, "held") == "NOT_FOUND");
    CHECK(Everywhere(&three, "put ahead") == "value");
    world.RunFor(25 * kSecond);
    CHECK(Everywhere(&three, "put ahead") == "NOT_FOUND");
    CHECK(Everywhere(&three, "long") == "value");
    CHECK(!world.violation().has_value());
  }
}

TEST_CASE("an absolute expiry is what clocks show, before and after they were accepted") {
  ThreeMachines three(44);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  JumpAheadAndBack(&three, leader);
  const auto put_until = [&](std::string_view key, int64_t ms) {
    WriteBatch batch;
    batch.PutUntil(key, "value", absl::FromUnixMillis(ms));
    return three.Write(leader, batch);
  };
  // By the log that was ten years ago.
  REQUIRE_OK(put_until("lost", leader->WallMillis() + 5'000));
  CHECK(three.Get(leader, "lost") == "NOT_FOUND");
  REQUIRE_OK(three.AcceptClock(leader));
  const int64_t until_ms = leader->WallMillis() + 5'000;
  REQUIRE_OK(put_until("kept", until_ms));
  REQUIRE_OK(put_until("past", leader->WallMillis() - 1));
  three.Settle();
  CHECK(ExpiryMs(leader, "kept") == until_ms);
  CHECK(Everywhere(&three, "kept") == "value");
  CHECK(three.Get(leader, "past") == "NOT_FOUND");
  world.RunFor(4 * kSecond);
  CHECK(three.Get(leader, "kept") == "value");
  world.RunFor(2 * kSecond);
  CHECK(three.Get(leader, "kept") == "NOT_FOUND");
}

TEST_CASE("an accepted clock is known after restarts, to who leads next, and to who is given a copy") {
  ThreeMachines three(45);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  Machine* const away = &world.machine(static_cast<size_t>(leader->host()) % 3);
  three.Kill(away);
  JumpAheadAndBack(&three, leader);
  REQUIRE_OK(three.AcceptClock(leader));
  const uint64_t ahead_ms = AheadOf(leader);
  for (int i = 0; i < 150; ++i) {
    REQUIRE_OK(three.Put(leader, "filler" + std::to_string(i % 7), std::string(4000, 'f')));
  }
  three.Restart(away);
  INFO(three.Report());
  CHECK(world.counters().installs == 1);
  CHECK(AheadOf(away) == ahead_ms);
  for (const auto& machine : world.machines()) three.Kill(machine.get());
  for (const auto& machine : world.machines()) world.Start(machine.get());
  Machine* next = three.AwaitLeader();
  REQUIRE_OK(three.PutWithTtl(next, "key", "value", absl::Seconds(10)));
  three.Settle();
  for (const auto& machine : world.machines()) CHECK(AheadOf(machine.get()) == ahead_ms);
  three.Kill(next);
  next = three.AwaitLeader(next);
  world.RunFor(12 * kSecond);
  CHECK(three.Get(next, "key") == "NOT_FOUND");
  // Once more, and by another one.
  JumpAheadAndBack(&three, next);
  REQUIRE_OK(three.AcceptClock(next));
  CHECK(AheadOf(next) > ahead_ms + kTenYearsMillis - kDayMillis);
  REQUIRE_OK(three.PutWithTtl(next, "key", "value", absl::Seconds(5)));
  CHECK(three.Get(next, "key") == "value");
  world.RunFor(6 * kSecond);
  CHECK(three.Get(next, "key") == "NOT_FOUND");
  CHECK(!world.violation().has_value());
}

TEST_CASE("no clock is accepted while a member does not say that it knows what that is") {
  WorldOptions options = SmallWorld();
  options.machine.node.peers.entry_version = 0;
  ThreeMachines three(47, options);
  World& world = three.world;
  JumpAheadAndBack(&three, three.AwaitLeader());
  for (const auto& machine : world.machines()) {
    const absl::Status refused = three.AcceptClock(machine.get());
    INFO(machine->name() << ": " << refused.ToString());
    CHECK_CODE(refused, kUnimplemented);
  }
  three.Settle();
  for (const auto& machine : world.machines()) CHECK(AheadOf(machine.get()) == 0);
  REQUIRE_OK(three.Put(three.AwaitLeader(), "key", "value"));
  three.Settle();
  CHECK(Everywhere(&three, "key") == "value");
  CHECK(!world.violation().has_value());
}

TEST_CASE("a clock that is right is accepted, and nothing changes") {
  ThreeMachines three(46);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  REQUIRE_OK(three.PutWithTtl(leader, "key", "value", absl::Seconds(5)));
  world.RunFor(kSecond);
  REQUIRE_OK(three.AcceptClock(leader));
  CHECK(AheadOf(leader) == 0);
  world.RunFor(5 * kSecond);
  CHECK(three.Get(leader, "key") == "NOT_FOUND");
}

TEST_CASE("the change feed shows times by the clock on both sides of where it was accepted, and finds them") {
  ThreeMachines three(47);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  REQUIRE_OK(three.Put(leader, "first", "value"));
  const int64_t first_ms = leader->WallMillis();
  world.RunFor(5 * kSecond);
  JumpAheadAndBack(&three, leader);
  REQUIRE_OK(three.AcceptClock(leader));
  world.RunFor(5 * kSecond);
  const int64_t then_ms = leader->WallMillis();
  REQUIRE_OK(three.PutWithTtl(leader, "last", "value", absl::Hours(1)));
  three.Settle();
  const auto read = [&](ChangesFrom from) {
    ChangesOptions options;
    options.from = std::move(from);
    auto reader = FeedOf(leader)->ReadChanges(options);
    REQUIRE_OK(reader.status());
    return *std::move(reader);
  };
  Commit commit;
  const auto all = read(ChangesFrom::Oldest());
  REQUIRE_OK(all->Next(&commit, absl::ZeroDuration()));
  REQUIRE(commit.changes.size() == 1);
  CHECK(commit.changes[0].key == "first");
  CHECK(absl::ToUnixMillis(commit.time) <= first_ms);
  CHECK(absl::ToUnixMillis(commit.time) > first_ms - 1000);
  const auto late = read(ChangesFrom::Time(absl::FromUnixMillis(then_ms)));
  REQUIRE_OK(late->Next(&commit, absl::ZeroDuration()));
  REQUIRE(commit.changes.size() == 1);
  CHECK(commit.changes[0].key == "last");
  CHECK(absl::ToUnixMillis(commit.time) >= then_ms);
  CHECK(absl::ToUnixMillis(commit.time) < then_ms + 1000);
  CHECK(commit.changes[0].expiry == commit.time + absl::Hours(1));
  const auto early = read(ChangesFrom::Time(absl::FromUnixMillis(first_ms + 1)));
  REQUIRE_OK(early->Next(&commit, absl::ZeroDuration()));
  REQUIRE(commit.changes.size() == 1);
  CHECK(commit.changes[0].key == "ahead");
}

}  // namespace bandb::world
