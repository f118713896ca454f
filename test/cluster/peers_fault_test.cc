// Networks that fail: cut at every moment, in one direction, slow peers, and processes that stop.
#include <set>

#include "cluster/peer_world.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

struct Pair {
  explicit Pair(uint64_t seed, const SimNetworkOptions& network = {})
      : world(seed, network), a(&world, 1), b(&world, 2) {
    for (PeerNode* node : {&a, &b}) {
      node->Start();
      node->peers->SetMembers(MembersOf({&a, &b}));
    }
    REQUIRE(world.RunUntil([&] { return Up(); }));
  }
  bool Up() const { return a.Up(2) && b.Up(1); }
  void Cut(PeerNode& from, PeerNode& to, bool cut) {
    world.network.Cut(from.parts.loop.get(), to.parts.loop.get(), cut);
  }

  PeerWorld world;
  PeerNode a;
  PeerNode b;
};

}  // namespace

TEST_CASE("connections that are cut at every moment come back, and what arrives is what was sent") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Pair pair(seed);
    base::Random random(seed);
    std::set<raft::Index> sent;
    raft::Index next = 1;
    for (int round = 0; round < 30; ++round) {
      for (PeerNode* node : {&pair.a, &pair.b}) {
        raft::Message message =
            node->Append(node == &pair.a ? 2 : 1, random.Uniform(3), size_t{1} << random.Uniform(18));
        message.index = next++;
        node->peers->Send(message);
      }
      for (uint64_t steps = random.Uniform(60); steps > 0; --steps) pair.world.network.Step();
      pair.world.network.BreakAll();
    }
    // Those that lead the wrong way are given up as well.
    pair.world.RunFor(5 * kSecond);
    REQUIRE(pair.Up());
    for (PeerNode* node : {&pair.a, &pair.b}) {
      std::set<raft::Index> heard;
      for (const raft::Message& message : node->messages) {
        CHECK(message.from == (node == &pair.a ? 2 : 1));
        CHECK(message.index < next);
        CHECK(heard.insert(message.index).second);
        for (const raft::Entry& entry : message.entries) {
          REQUIRE(entry.payload.bytes() ==
                  std::string(entry.payload.size(), static_cast<char>('a' + (entry.index - 11) % 26)));
        }
      }
      node->messages.clear();
    }
    // And all is well again.
    pair.a.peers->Send(pair.a.Append(2, 1));
    pair.b.peers->Send(pair.b.Append(1));
    REQUIRE(pair.world.RunUntil([&] { return pair.a.messages.size() == 1 && pair.b.messages.size() == 1; }));
  }
}

TEST_CASE("a network that is cut in one direction is noticed by both sides, and heals") {
  Pair pair(GENERATE(1, 2, 3));
  const bool from_a = GENERATE(true, false);
  PeerNode& mute = from_a ? pair.a : pair.b;
  PeerNode& deaf = from_a ? pair.b : pair.a;
  pair.Cut(mute, deaf, true);
  // The one that hears nothing gives up, and the other is told.
  REQUIRE(pair.world.RunUntil([&] { return !pair.a.Up(2) && !pair.b.Up(1); }, 15 * kSecond));
  CHECK_FALSE(deaf.unreachable.empty());
  pair.world.RunFor(60 * kSecond);
  CHECK_FALSE(pair.a.Up(2));
  CHECK_FALSE(pair.b.Up(1));
  pair.Cut(mute, deaf, false);
  REQUIRE(pair.world.RunUntil([&] { return pair.Up(); }, 15 * kSecond));
  mute.peers->Send(mute.Append(deaf.self.node));
  REQUIRE(pair.world.RunUntil([&] { return deaf.messages.size() == 1; }));
}

TEST_CASE("if only one side can make connections, whichever it is, both can talk") {
  PeerWorld world(GENERATE(1, 2));
  PeerNode a(&world, 1);
  PeerNode b(&world, 2);
  PeerNode& hidden = *GENERATE_REF(&a, &b);
  // Nobody can reach it.
  hidden.Start(false);
  (&hidden == &a ? b : a).Start();
  for (PeerNode* node : {&a, &b}) node->peers->SetMembers(MembersOf({&a, &b}));
  REQUIRE(world.RunUntil([&] { return a.Up(2) && b.Up(1); }, 5 * kSecond));
  world.RunFor(60 * kSecond);
  CHECK(a.Up(2));
  CHECK(b.Up(1));
  CHECK(a.unreachable.empty());
}

TEST_CASE("a peer that is stopped costs no more than the mark, and is reported once a second") {
  Pair pair(GENERATE(1, 2), {.window_bytes = 1 << 16});
  pair.world.network.Hold(pair.b.parts.loop.get(), true);
  pair.a.peers->Send(pair.a.Append(2));
  // For four seconds, less than it takes to give it up.
  for (int i = 0; i < 400; ++i) {
    pair.a.peers->Send(pair.a.Append(2, 1, 1 << 20));
    pair.world.RunFor(10 * kMillis);
  }
  const auto status = pair.a.StatusOf(2);
  CHECK(status.dropped_messages > 380);
  CHECK(pair.a.unreachable.size() >= 3);
  CHECK(pair.a.unreachable.size() <= 6);
  // It goes on, and the rest is still to be said.
  pair.world.network.Hold(pair.b.parts.loop.get(), false);
  REQUIRE(pair.world.RunUntil([&] { return pair.b.messages.size() + status.dropped_messages >= 401; }));
  // Stopped for longer it is given up.
  pair.world.network.Hold(pair.b.parts.loop.get(), true);
  REQUIRE(pair.world.RunUntil([&] { return !pair.a.Up(2); }, 10 * kSecond));
  pair.world.RunFor(60 * kSecond);
  pair.world.network.Hold(pair.b.parts.loop.get(), false);
  REQUIRE(pair.world.RunUntil([&] { return pair.Up(); }, 15 * kSecond));
}

TEST_CASE("what is urgent does not wait for what is large") {
  Pair pair(1, {.delay_nanos_min = kMillis, .delay_nanos_max = 2 * kMillis, .window_bytes = 1 << 12});
  for (int i = 0; i < 8; ++i) pair.a.peers->Send(pair.a.Append(2, 1, 1 << 20));
  pair.a.peers->Send(pair.a.Append(2));
  CHECK(pair.a.peers->SendFrame(2, cluster::kFirstNodeFrame, "urgent"));
  CHECK(pair.a.peers->SendFrame(2, cluster::kFirstNodeFrame, std::string(1 << 17, 'l')) == false);
  REQUIRE(pair.world.RunUntil([&] { return pair.b.frames.size() == 1 && pair.b.messages.size() == 1; }, kSecond));
  CHECK(pair.b.messages[0].entries.empty());
  CHECK(pair.b.frames[0].payload == "urgent");
  REQUIRE(pair.world.RunUntil([&] { return pair.b.messages.size() == 9; }, 60 * kSecond));
}

TEST_CASE("a listener may close its peers from inside whatever it hears") {
  Pair pair(GENERATE(1, 2));
  PeerNode& closing = *GENERATE_REF(&pair.a, &pair.b);
  PeerNode& other = &closing == &pair.a ? pair.b : pair.a;
  const int what = GENERATE(0, 1, 2);
  closing.then = [&] { closing.peers->Close("enough"); };
  for (int i = 0; i < 3; ++i) {
    if (what == 0) other.peers->Send(other.Append(closing.self.node));
    if (what == 1) other.peers->Send(other.Append(closing.self.node, 1));
    if (what == 2) other.peers->SendFrame(closing.self.node, cluster::kFirstNodeFrame, "x");
  }
  REQUIRE(pair.world.RunUntil([&] { return !other.Up(closing.self.node); }, 2 * kSecond));
  CHECK(closing.messages.size() + closing.frames.size() == 1);
  CHECK_FALSE(closing.peers->SendFrame(other.self.node, cluster::kFirstNodeFrame, "x"));
  pair.world.RunFor(10 * kSecond);
  CHECK(closing.messages.size() + closing.frames.size() == 1);
  CHECK(closing.unreachable.empty());
}

TEST_CASE("addresses that change are followed") {
  Pair pair(GENERATE(1, 2));
  PeerNode moved(&pair.world, 3);
  moved.Start();
  const std::vector<const PeerNode*> all = {&pair.a, &pair.b, &moved};
  // At first it is believed to be where b is.
  raft::Configuration wrong = MembersOf(all);
  wrong.members[2].address = wrong.members[1].address;
  pair.a.peers->SetMembers(wrong);
  pair.world.RunFor(2 * kSecond);
  CHECK_FALSE(pair.a.Up(3));
  pair.a.peers->SetMembers(MembersOf(all));
  REQUIRE(pair.world.RunUntil([&] { return pair.a.Up(3) && moved.Up(1); }, kSecond));
  CHECK(pair.Up());
  // And away: an up link to the old address is given up.
  pair.a.peers->SetMembers(wrong);
  REQUIRE(pair.world.RunUntil([&] { return !pair.a.Up(3); }, kSecond));
  CHECK(pair.Up());
}

}  // namespace bandb::test
