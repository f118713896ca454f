// The smaller parts of the simulator: network, clocks, state machine, knobs.
#include <vector>

#include "sim/knobs.h"
#include "sim/kv_machine.h"
#include "sim/local_clock.h"
#include "sim/network.h"
#include "support/catch.h"

namespace bandb::sim {
namespace {

struct Inbox : Network::Receiver {
  void OnMessage(raft::Message message) override { indexes.push_back(message.index); }
  bool OnSnapshot(raft::Message, Checkpoint) override { return true; }
  std::vector<raft::Index> indexes;
};

struct Net {
  explicit Net(const NetworkKnobs& knobs) : trace(scheduler.now(), nullptr, 0), network(&scheduler, &trace, knobs, 11) {
    network.Attach(2, &inbox);
  }
  void Send(raft::Index index) {
    raft::Message message;
    message.from = 1;
    message.to = 2;
    message.index = index;
    network.Send(message);
  }
  void RunAll() {
    while (scheduler.RunOne()) {
    }
  }

  Scheduler scheduler;
  Trace trace;
  Inbox inbox;
  Network network;
};

NetworkKnobs Calm() {
  NetworkKnobs knobs;
  knobs.delay_min = kMilli;
  knobs.delay_mean = 10 * kMilli;
  return knobs;
}

}  // namespace

TEST_CASE("messages overtake each other, unless the link keeps their order") {
  for (bool in_order : {false, true}) {
    NetworkKnobs knobs = Calm();
    knobs.in_order = in_order;
    Net net(knobs);
    for (raft::Index i = 1; i <= 50; ++i) net.Send(i);
    net.RunAll();
    REQUIRE(net.inbox.indexes.size() == 50);
    CHECK(std::is_sorted(net.inbox.indexes.begin(), net.inbox.indexes.end()) == in_order);
  }
}

TEST_CASE("a cut link delivers nothing, not even what was under way, in its direction only") {
  Net net(Calm());
  net.Send(1);
  net.network.Cut(1, 2);
  net.RunAll();
  CHECK(net.inbox.indexes.empty());
  net.Send(2);
  net.network.Mend(1, 2);
  net.network.Cut(2, 1);
  net.Send(3);
  net.RunAll();
  CHECK(net.inbox.indexes == std::vector<raft::Index>{3});
}

TEST_CASE("loss and duplication happen about as often as they should, and end with healing") {
  NetworkKnobs knobs = Calm();
  knobs.loss = 0.2;
  knobs.duplicate = 0.2;
  Net net(knobs);
  for (raft::Index i = 1; i <= 1000; ++i) net.Send(i);
  net.RunAll();
  CHECK(net.network.counters().lost > 120);
  CHECK(net.network.counters().lost < 280);
  CHECK(net.network.counters().duplicated > 100);
  net.network.Heal();
  net.inbox.indexes.clear();
  for (raft::Index i = 1; i <= 100; ++i) net.Send(i);
  net.RunAll();
  CHECK(net.inbox.indexes.size() == 100);
}

TEST_CASE("a local clock never goes back, and shows a time no later than it said") {
  Scheduler scheduler;
  base::Random random(9);
  LocalClock clock(scheduler, 12345);
  raft::Nanos last = clock.now();
  for (int i = 0; i < 1000; ++i) {
    if (random.OneIn(3)) clock.SetRate(0.75 + random.Double() / 2);
    if (random.OneIn(5)) clock.Jump(random.Uniform(kSecond));
    const raft::Nanos wanted = clock.now() + static_cast<raft::Nanos>(random.Uniform(kSecond));
    scheduler.At(clock.WhenShows(wanted), [] {});
    REQUIRE(scheduler.RunOne());
    CHECK(clock.now() >= wanted);
    CHECK(clock.now() >= last);
    last = clock.now();
  }
}

TEST_CASE("the state machine does what the commands say, and comes back from its bytes") {
  KvMachine machine;
  CHECK(machine.Apply(EncodeCommand({1, OpKind::kPut, 5, 100, 0}, 10)) == kAbsent);
  CHECK(machine.Get(5) == 100);
  CHECK(machine.Apply(EncodeCommand({2, OpKind::kCas, 5, 101, 99}, 0)) == 100);
  CHECK(machine.Get(5) == 100);
  CHECK(machine.Apply(EncodeCommand({3, OpKind::kCas, 5, 101, 100}, 0)) == 100);
  CHECK(machine.Get(5) == 101);
  machine.Apply(EncodeCommand({4, OpKind::kPut, 6, 102, 0}, 0));
  machine.Apply(EncodeCommand({5, OpKind::kDelete, 5, 0, 0}, 0));
  CHECK(machine.Get(5) == kAbsent);
  KvMachine copy;
  REQUIRE(copy.Load(*machine.Save()));
  CHECK(copy.Get(6) == 102);
  CHECK(copy.Digest() == machine.Digest());
  CHECK_FALSE(copy.Load("\xff"));
  CHECK(copy.Digest() == machine.Digest());
  copy.Clear();
  CHECK(copy.Digest() != machine.Digest());
}

TEST_CASE("every seed has its own knobs, always the same, and within the fault model") {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    const Knobs knobs = DrawKnobs(seed);
    CHECK(Describe(knobs) == Describe(DrawKnobs(seed)));
    CHECK(Describe(knobs) != Describe(DrawKnobs(seed + 1)));
    CHECK(knobs.voters >= 1);
    CHECK(knobs.voters + knobs.learners <= 7);
    CHECK(knobs.core.heartbeat_interval * 3 <= knobs.core.election_timeout);
    if (knobs.core.leases) {
      CHECK(knobs.clock.drift_max < 0.01);
      CHECK(knobs.nemesis.weights[static_cast<size_t>(FaultKind::kClockJump)] == 0);
    }
  }
}

}  // namespace bandb::sim
