// Nodes that find each other, and what goes over their links.
#include "cluster/peers.h"

#include "cluster/peer_world.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

// Nodes 1 to n that know each other.
struct Trio {
  explicit Trio(uint64_t seed, size_t n = 3) : world(seed) {
    for (raft::NodeId id = 1; id <= n; ++id) nodes.push_back(std::make_unique<PeerNode>(&world, id));
    for (const auto& node : nodes) all.push_back(node.get());
    for (const auto& node : nodes) {
      node->Start();
      node->peers->SetMembers(MembersOf(all));
    }
  }
  bool AllUp() const {
    for (const PeerNode* a : all) {
      for (const PeerNode* b : all) {
        if (a != b && !a->Up(b->self.node)) return false;
      }
    }
    return true;
  }
  PeerNode& operator[](raft::NodeId id) { return *nodes[id - 1]; }

  PeerWorld world;
  std::vector<std::unique_ptr<PeerNode>> nodes;
  std::vector<const PeerNode*> all;
};

}  // namespace

TEST_CASE("three nodes find each other, and every message arrives as it was") {
  Trio trio(GENERATE(1, 2, 3, 4, 5));
  REQUIRE(trio.world.RunUntil([&] { return trio.AllUp(); }, 2 * kSecond));
  raft::Message with_entries = trio[1].Append(2, 3, 100'000);
  trio[1].peers->Send(with_entries);
  trio[1].peers->Send(trio[1].Append(3));
  trio[3].peers->Send(trio[3].Append(1, 1, 0));
  REQUIRE(trio.world.RunUntil(
      [&] { return trio[2].messages.size() == 1 && trio[3].messages.size() == 1 && trio[1].messages.size() == 1; }));
  CHECK(trio[2].messages[0].entries == with_entries.entries);
  CHECK(trio[2].messages[0].from == 1);
  CHECK(trio[2].messages[0].log_term == 6);
  CHECK(trio[3].messages[0].entries.empty());
  CHECK(trio[1].messages[0].from == 3);
  // There is one connection of each kind between two nodes, and it stays.
  trio.world.RunFor(20 * kSecond);
  CHECK(trio.AllUp());
  for (const PeerNode* node : trio.all) {
    for (const auto& status : node->peers->Status()) CHECK(status.failures == 0);
    CHECK(node->unreachable.empty());
  }
}

TEST_CASE("a node that knows nobody answers over the connections that others made") {
  PeerWorld world(GENERATE(1, 2, 3));
  PeerNode leader(&world, GENERATE(1, 9));
  PeerNode learner(&world, 5);
  leader.Start();
  learner.Start();
  leader.peers->SetMembers(MembersOf({&leader, &learner}));
  REQUIRE(world.RunUntil([&] { return learner.Up(leader.self.node) && leader.Up(5); }, 2 * kSecond));
  CHECK_FALSE(learner.StatusOf(leader.self.node).member);
  learner.peers->Send(learner.Append(leader.self.node));
  CHECK(learner.peers->SendFrame(leader.self.node, cluster::kFirstNodeFrame, "well met"));
  REQUIRE(world.RunUntil([&] { return leader.messages.size() == 1 && leader.frames.size() == 1; }));
  CHECK(leader.frames[0].from == 5);
  CHECK(leader.frames[0].payload == "well met");
  // Later it knows them, too.
  learner.peers->SetMembers(MembersOf({&leader, &learner}));
  world.RunFor(5 * kSecond);
  CHECK(learner.Up(leader.self.node));
  CHECK(learner.StatusOf(leader.self.node).member);
}

TEST_CASE("nodes say which entries they understand, and what an earlier release says nothing of is not known") {
  PeerWorld world(GENERATE(1, 2, 3));
  PeerNode node(&world, 5), newer(&world, GENERATE(1, 9)), older(&world, 7);
  newer.self.entry_version = 3;
  older.self.entry_version = 0;
  for (PeerNode* each : {&node, &newer, &older}) each->Start();
  const std::vector<const PeerNode*> all{&node, &newer, &older};
  CHECK(node.peers->EntryVersionOf(newer.self.node) == 0);
  for (PeerNode* each : {&node, &newer, &older}) each->peers->SetMembers(MembersOf(all));
  REQUIRE(world.RunUntil([&] { return node.Up(newer.self.node) && node.Up(7); }, 2 * kSecond));
  CHECK(node.peers->EntryVersionOf(newer.self.node) == 3);
  CHECK(node.peers->EntryVersionOf(7) == 0);
  // A node that has been replaced by an earlier release is known to be one.
  newer.self.entry_version = 0;
  newer.Restart();
  newer.peers->SetMembers(MembersOf(all));
  REQUIRE(world.RunUntil([&] { return node.peers->EntryVersionOf(newer.self.node) == 0; }));
}

}  // namespace bandb::test
