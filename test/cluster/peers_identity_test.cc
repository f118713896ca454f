// Which nodes are refused, with which words, and what it does to the others: nothing.
#include "cluster/joiner.h"
#include "cluster/raw_peer.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

bool Has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// Nodes 1 and 2, connected.
struct Pair {
  explicit Pair(uint64_t seed) : world(seed), a(&world, 1), b(&world, 2) {
    for (PeerNode* node : {&a, &b}) {
      node->Start();
      node->peers->SetMembers(MembersOf({&a, &b}));
    }
    REQUIRE(world.RunUntil([&] { return Up(); }));
  }
  bool Up() const { return a.Up(2) && b.Up(1); }

  PeerWorld world;
  PeerNode a;
  PeerNode b;
};

}  // namespace

TEST_CASE("a node of another cluster is refused, and both sides can say why") {
  PeerWorld world(GENERATE(1, 2));
  PeerNode a(&world, 1);
  PeerNode other(&world, 2, kTestCluster + 1);
  for (PeerNode* node : {&a, &other}) {
    node->Start();
    node->peers->SetMembers(MembersOf({&a, &other}));
  }
  world.RunFor(20 * kSecond);
  CHECK_FALSE(a.Up(2));
  CHECK(Has(a.StatusOf(2).last_error, "another cluster"));
  CHECK(a.StatusOf(2).failures > 0);
  CHECK(Has(other.StatusOf(1).last_error, "another cluster"));
  CHECK(a.messages.empty());
}

TEST_CASE("nodes without a version in common refuse each other; with one they speak it") {
  PeerWorld world(1);
  PeerNode a(&world, 1);
  PeerNode b(&world, 2);
  SECTION("none") {
    b.self.versions = {.min = 2, .max = 3};
    for (PeerNode* node : {&a, &b}) {
      node->Start();
      node->peers->SetMembers(MembersOf({&a, &b}));
    }
    world.RunFor(5 * kSecond);
    CHECK_FALSE(a.Up(2));
    CHECK(Has(a.StatusOf(2).last_error, "no version of the protocol in common"));
  }
  SECTION("one") {
    b.self.versions = {.min = 1, .max = 9};
    for (PeerNode* node : {&a, &b}) {
      node->Start();
      node->peers->SetMembers(MembersOf({&a, &b}));
    }
    REQUIRE(world.RunUntil([&] { return a.Up(2) && b.Up(1); }));
    b.peers->Send(b.Append(1));
    REQUIRE(world.RunUntil([&] { return a.messages.size() == 1; }));
  }
}

TEST_CASE("a node whose address is another's is not taken for it") {
  PeerWorld world(1);
  PeerNode a(&world, 1);
  PeerNode b(&world, 2);
  PeerNode c(&world, 3);
  for (PeerNode* node : {&a, &b, &c}) node->Start();
  raft::Configuration wrong = MembersOf({&a, &b, &c});
  wrong.members[2].address = wrong.members[1].address;
  a.peers->SetMembers(wrong);
  world.RunFor(5 * kSecond);
  CHECK(a.Up(2));
  CHECK_FALSE(a.Up(3));
  CHECK(Has(a.StatusOf(3).last_error, "this is node 2, and not 3"));
}

TEST_CASE("a configuration with the node's own address for another does no harm") {
  Pair pair(GENERATE(1, 2));
  raft::Configuration wrong = MembersOf({&pair.a, &pair.b});
  wrong.members.push_back({.id = 7, .voter = true, .address = wrong.members[0].address});
  pair.a.peers->SetMembers(wrong);
  pair.world.RunFor(10 * kSecond);
  CHECK(pair.Up());
  CHECK(Has(pair.a.StatusOf(7).last_error, "has called itself"));
}

TEST_CASE("a copy of a directory is refused while the first process lives, and heard once it is gone") {
  Pair pair(GENERATE(1, 2, 3));
  PeerNode copy(&pair.world, 2);
  copy.self.incarnation = 99;
  copy.Start(false);
  copy.peers->SetMembers(MembersOf({&pair.a, &pair.b}));
  pair.world.RunFor(30 * kSecond);
  CHECK(pair.Up());
  CHECK_FALSE(copy.Up(1));
  CHECK(Has(copy.StatusOf(1).last_error, "another process is node 2, and lives"));
  copy.peers->Send(copy.Append(1));
  pair.world.RunFor(kSecond);
  CHECK(pair.a.messages.empty());
  // And none of the two can reach the other: they are one node.
  pair.b.peers.reset();
  REQUIRE(pair.world.RunUntil([&] { return copy.Up(1); }, 20 * kSecond));
  copy.peers->Send(copy.Append(1));
  REQUIRE(pair.world.RunUntil([&] { return pair.a.messages.size() == 1; }));
}

TEST_CASE("a node that calls its own copy hears that both are one") {
  PeerWorld world(1);
  PeerNode a(&world, 1);
  PeerNode copy(&world, 1);
  copy.self.incarnation = 99;
  PeerNode b(&world, 2);
  a.Start();
  copy.Start(false);
  raft::Configuration wrong = MembersOf({&a, &b});
  wrong.members[1].address = wrong.members[0].address;
  copy.peers->SetMembers(wrong);
  world.RunFor(2 * kSecond);
  CHECK(Has(copy.StatusOf(2).last_error, "is one directory a copy of the other's?"));
}

TEST_CASE("a node that was killed is heard again at once, one that lost its power soon") {
  Pair pair(GENERATE(1, 2, 3));
  PeerNode& node = *GENERATE_REF(&pair.a, &pair.b);
  PeerNode& other = &node == &pair.a ? pair.b : pair.a;
  SECTION("killed") {
    node.Restart();
    node.peers->SetMembers(MembersOf({&pair.a, &pair.b}));
    REQUIRE(pair.world.RunUntil([&] { return pair.Up(); }, 2 * kSecond));
  }
  SECTION("without power") {
    // Its last connections say nothing, not even that they are gone.
    pair.world.network.Cut(node.parts.loop.get(), other.parts.loop.get(), true);
    node.peers.reset();
    pair.world.RunFor(100 * kMillis);
    PeerNode again(&pair.world, node.self.node);
    again.self.incarnation = 99;
    again.Start();
    again.peers->SetMembers(MembersOf({&pair.a, &pair.b}));
    REQUIRE(pair.world.RunUntil([&] { return again.Up(other.self.node); }, 10 * kSecond));
    again.peers->Send(again.Append(other.self.node));
    REQUIRE(pair.world.RunUntil([&] { return other.messages.size() == 1; }));
  }
}

TEST_CASE("a node that is removed may still ask, and is answered") {
  Pair pair(GENERATE(1, 2));
  PeerNode& removed = *GENERATE_REF(&pair.a, &pair.b);
  PeerNode& other = &removed == &pair.a ? pair.b : pair.a;
  other.peers->SetMembers(MembersOf({&other}));
  pair.world.RunFor(5 * kSecond);
  REQUIRE(removed.Up(other.self.node));
  CHECK_FALSE(other.StatusOf(removed.self.node).member);
  removed.peers->Send(removed.Append(other.self.node));
  REQUIRE(pair.world.RunUntil([&] { return other.messages.size() == 1; }));
  other.peers->Send(other.Append(removed.self.node));
  REQUIRE(pair.world.RunUntil([&] { return removed.messages.size() == 1; }));
  // Once it has left nothing is kept of it.
  removed.peers->Close("I was told");
  pair.world.RunFor(3 * kSecond);
  CHECK(other.peers->Status().empty());
}

TEST_CASE("an address that is none, and one that does not resolve, are said to be") {
  PeerWorld world(1);
  PeerNode a(&world, 1);
  PeerNode b(&world, 2);
  a.Start();
  raft::Configuration wrong = MembersOf({&a, &b});
  const auto address = GENERATE(std::string("nonsense"), std::string("\xff\xfe"), std::string());
  wrong.members[1].address =
      address.size() == 2 ? address : cluster::EncodeMemberAddress({.peer = address, .client = {}, .name = {}});
  a.peers->SetMembers(wrong);
  world.RunFor(3 * kSecond);
  CHECK_FALSE(a.Up(2));
  CHECK((a.StatusOf(2).last_error.empty() || Has(a.StatusOf(2).last_error, "not HOST:PORT")));
  // And then it is set right.
  b.Start();
  a.peers->SetMembers(MembersOf({&a, &b}));
  REQUIRE(world.RunUntil([&] { return a.Up(2); }, 2 * kSecond));
}

}  // namespace bandb::test
