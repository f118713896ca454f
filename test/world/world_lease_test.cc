// What a lease rests on: which time a promise runs from, and in which order it is looked at.
#include <functional>
#include <utility>

#include "cluster/node.h"
#include "support/catch.h"
#include "world/three_machines.h"

namespace bandb::world {

namespace {

// Something happens whenever somebody looks at it.
struct LookedAtClock final : base::Clock {
  int64_t MonotonicNanos() override {
    if (on_look != nullptr) std::exchange(on_look, nullptr)();
    return now_nanos;
  }
  int64_t WallMillis() override { return 1; }

  int64_t now_nanos = 0;
  std::function<void()> on_look;
};

}  // namespace

// Turns of the follower are slow: what it hears of the leader it does so late, and so much longer
// its promise lasts.
TEST_CASE("a follower's promise to a leader runs from when it was given, not from the beginning of the turn") {
  constexpr Nanos kTurn = 400 * kMilli;
  for (const uint64_t seed : {41, 42, 43, 44, 45, 46}) {
    ThreeMachines three(seed);
    World& world = three.world;
    three.Settle();
    Machine* const leader = three.AwaitLeader();
    Machine* const slow = &world.machine(static_cast<size_t>(leader->host()) % 3);
    const Nanos heartbeat = leader->options().node.core.heartbeat_interval_nanos;
    const Nanos timeout = leader->options().node.core.election_timeout_nanos;
    slow->SetTurnNanos(kTurn);
    world.RunFor(3 * heartbeat);
    REQUIRE(three.AwaitLeader() == leader);
    const Nanos heard = world.now() - heartbeat;  // at the earliest
    world.network().CutHosts(leader->host(), slow->host(), true);
    world.RunFor(5 * kMilli);
    three.Kill(leader);
    slow->Freeze(true);
    world.RunFor(kTurn);
    slow->SetTurnNanos(0);
    slow->Freeze(false);
    three.AwaitLeader(leader);
    INFO(three.Report());
    CHECK(world.now() >= heard + kTurn + timeout);
    CHECK(!world.violation().has_value());
  }
}

// Of two that look at it at the same time, one publishes: a lease of later, with what was committed
// by then.
TEST_CASE("a read under a lease is of all that was committed when the lease was published") {
  cluster::PublishedState published;
  published.commit.store(5);
  published.applied.store(5);
  published.lease_until.store(100);
  LookedAtClock clock;
  clock.now_nanos = 99;
  CHECK(published.MayReadNow(Consistency::kLease, &clock));
  clock.now_nanos = 150;
  clock.on_look = [&] {
    published.commit.store(9);
    published.lease_until.store(300);
  };
  CHECK_FALSE(published.MayReadNow(Consistency::kLease, &clock));
  CHECK_FALSE(published.MayReadNow(Consistency::kLease, &clock));
  published.applied.store(9);
  CHECK(published.MayReadNow(Consistency::kLease, &clock));
}

}  // namespace bandb::world
