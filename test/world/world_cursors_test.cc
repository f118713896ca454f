// Named cursors of the change feed in a world of three machines: what a member says of them while
// it does not know what the others have agreed on.
#include <memory>
#include <string>

#include "bandb/changes.h"
#include "support/catch.h"
#include "world/consumers.h"
#include "world/three_machines.h"

namespace bandb::world {

namespace {

using cluster::CursorChangeKind;

changes::ChangePlace PlaceAt(Machine* machine, uint64_t sequence) {
  const storage::Identity& identity = machine->node()->identity();
  return {.database = identity.database_id.bytes, .branch = cluster::ClusterIdOf(identity), .sequence = sequence};
}

uint64_t Applied(Machine* machine) { return machine->node()->changes()->applied().sequence; }

ChangesOptions FromCursor(const std::string& name) {
  ChangesOptions options;
  options.from = ChangesFrom::Cursor(name);
  return options;
}

void Cut(World* world, Machine* machine) {
  for (const auto& other : world->machines()) {
    if (other.get() == machine) continue;
    world->network().CutHosts(machine->host(), other->host(), true);
    world->network().CutHosts(other->host(), machine->host(), true);
  }
}

}  // namespace

TEST_CASE("a member that starts says of no cursor what it is before it has applied what was agreed on") {
  WorldOptions options = SmallWorld();
  options.machine.node.storage.changes_keep_bytes = 1 << 20;
  ThreeMachines three(31, options);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  Machine* const away = &world.machine(static_cast<size_t>(leader->host()) % 3);
  REQUIRE_OK(three.ChangeCursor(leader, {.kind = CursorChangeKind::kMake, .name = "old", .place = PlaceAt(leader, 0)}));
  // Enough for it to lie in a table, at its first place.
  for (int i = 0; i < 60; ++i) REQUIRE_OK(three.Put(leader, "filler" + std::to_string(i % 7), std::string(4000, 'f')));
  const uint64_t sequence = Applied(leader);
  const auto old_id = leader->node()->cursors()->Find("old")->id;
  REQUIRE_OK(three.ChangeCursor(
      leader,
      {.kind = CursorChangeKind::kAcknowledge, .name = "old", .id = old_id, .place = PlaceAt(leader, sequence)}));
  REQUIRE_OK(
      three.ChangeCursor(leader, {.kind = CursorChangeKind::kMake, .name = "new", .place = PlaceAt(leader, sequence)}));
  three.Settle();
  const std::string token = changes::EncodeToken(PlaceAt(leader, sequence));
  three.Kill(away);
  Cut(&world, away);
  world.Start(away);
  REQUIRE(world.RunUntil([&] { return away->node() != nullptr; }));
  world.RunFor(5 * kSecond);
  const auto feed = FeedOf(away);
  for (const std::string name : {"old", "new", "none"}) {
    CHECK_CODE(feed->ReadChanges(FromCursor(name)).status(), kUnavailable);
    CHECK_CODE(feed->Acknowledge(name, token), kUnavailable);
  }
  CHECK_CODE(feed->ListCursors().status(), kUnavailable);
  // From the moment on that it says something, that is so.
  world.network().HealHosts();
  REQUIRE(world.RunUntil(
      [&] { return away->node()->cursors()->Find("none").status().code() != absl::StatusCode::kUnavailable; }));
  INFO(three.Report());
  CHECK_CODE(away->node()->cursors()->Find("none").status(), kNotFound);
  CHECK(away->node()->cursors()->Find("old")->place.sequence == sequence);
  CHECK_OK(away->node()->cursors()->Find("new").status());
  CHECK_OK(feed->ReadChanges(FromCursor("new")).status());
  CHECK(!world.violation().has_value());
}

TEST_CASE("all members start: each knows cursors once somebody leads, as they were") {
  ThreeMachines three(32);
  World& world = three.world;
  Machine* const leader = three.AwaitLeader();
  REQUIRE_OK(three.ChangeCursor(
      leader, {.kind = CursorChangeKind::kMake, .name = "c", .place = PlaceAt(leader, Applied(leader))}));
  three.Settle();
  for (const auto& machine : world.machines()) three.Kill(machine.get());
  for (const auto& machine : world.machines()) world.Start(machine.get());
  REQUIRE(world.RunUntil([&] {
    size_t know = 0;
    for (const auto& machine : world.machines()) {
      if (machine->node() == nullptr) continue;
      const absl::Status found = machine->node()->cursors()->Find("c").status();
      if (!found.ok() && !absl::IsUnavailable(found)) world.Fail("it is said to be " + found.ToString());
      know += found.ok() ? 1 : 0;
    }
    return know == 3;
  }));
}

}  // namespace bandb::world
