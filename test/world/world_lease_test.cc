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

// The process of each is stopped while a turn of it has still to end: by its clock the deadline is
// over then, and what would have put that off has arrived, or does before the next turn.
TEST_CASE("who was stopped within a turn reads what has arrived before it looks at its deadlines") {
  const bool is_leader = GENERATE(false, true);
  // Nobody gives up a link meanwhile, and with it what has arrived.
  WorldOptions options = SmallWorld();
  options.machine.node.peers.silence_nanos = 10 * kSecond;
  ThreeMachines three(47, options);
  World& world = three.world;
  three.Settle();
  Machine* const leader = three.AwaitLeader();
  Machine* const stopped = is_leader ? leader : &world.machine(static_cast<size_t>(leader->host()) % 3);
  const raft::Role role = is_leader ? raft::Role::kLeader : raft::Role::kFollower;
  const raft::Term term = leader->node()->core()->inspect().term;
  const Nanos heartbeat = leader->options().node.core.heartbeat_interval_nanos;
  const Nanos timeout = leader->options().node.core.election_timeout_nanos;
  // The round that an answer proves began before the stop: a leader has less time.
  const Nanos pause = is_leader ? timeout - heartbeat / 2 : 3 * timeout;
  const auto changed = [&] {
    const raft::Inspect now = stopped->node()->core()->inspect();
    return now.role != role || now.term != term;
  };
  // A leader asks the others whether it is still one.
  const auto turn = [&](Machine* machine) {
    bool done = false;
    machine->loop()->Post([&, machine] {
      machine->node()->Read({.deadline_nanos = base::kForever, .done = [](const absl::Status&) {}});
      done = true;
    });
    REQUIRE(world.RunUntil([&] { return done; }));
  };
  for (int time = 0; time < 10; ++time) {
    // At any place between two heartbeats.
    world.RunFor(5 * heartbeat + heartbeat * time / 10);
    turn(leader);
    stopped->SetTurnNanos(pause);
    turn(stopped);
    INFO(time << "\n" << three.Report());
    CHECK_FALSE(changed());
    stopped->Freeze(true);
    world.RunFor(pause);
    stopped->SetTurnNanos(0);
    stopped->Freeze(false);
    CHECK_FALSE(world.RunUntil(changed, 2 * heartbeat));
  }
  CHECK(!world.violation().has_value());
}

// A heartbeat was due before the stop. Whether others have answered meanwhile nobody knows.
TEST_CASE("a leader that was stopped within a turn in which something was due is not late by the stop") {
  WorldOptions options = SmallWorld();
  options.machine.node.peers.silence_nanos = 10 * kSecond;
  ThreeMachines three(47, options);
  World& world = three.world;
  three.Settle();
  Machine* const leader = three.AwaitLeader();
  const Nanos heartbeat = leader->options().node.core.heartbeat_interval_nanos;
  const Nanos timeout = leader->options().node.core.election_timeout_nanos;
  const raft::Term term = leader->node()->core()->inspect().term;
  world.RunFor(5 * heartbeat);
  // Its timer is due, and its turn begins before the stop.
  leader->Freeze(true);
  world.RunFor(heartbeat + kMilli);
  leader->SetTurnNanos(2 * timeout);
  leader->Freeze(false);
  world.RunFor(kMilli / 10);
  CHECK(leader->node()->core()->inspect().role == raft::Role::kLeader);
  CHECK(leader->node()->core()->inspect().term == term);
  leader->SetTurnNanos(0);
  CHECK(!world.violation().has_value());
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
