// Appliers that are destroyed with work under way, and installs that come at a bad time.
#include <fmt/format.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster/applier.h"
#include "cluster/applier_rig.h"
#include "cluster/command_log.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

CommandLog Puts(uint64_t entries, size_t value_bytes) {
  CommandLog log;
  for (uint64_t i = 1; i <= entries; ++i) {
    log.Data(1, i, {Put(fmt::format("key{:04}", i), std::string(value_bytes, static_cast<char>('a' + i % 26)))});
  }
  return log;
}

// A hundred small entries, one that is a job, and ten more.
CommandLog WithLarge() {
  CommandLog log = Puts(100, 100);
  log.Data(1, 200, {Put("large", std::string(kTurnBytes, 'x'))});
  for (uint64_t i = 1; i <= 200; ++i) log.Data(1, 200 + i, {Put(fmt::format("after{}", i), std::string(2000, 'y'))});
  return log;
}

}  // namespace

TEST_CASE("an applier may be destroyed with work under way, and says nothing after that") {
  const CommandLog log = WithLarge();
  const std::vector<std::pair<const char*, std::function<void(ApplierNode*)>>> cases = {
      {"with a job that has not begun", [](ApplierNode* node) { node->RunTurns(); }},
      {"with a job under way",
       [](ApplierNode* node) {
         node->RunTurns();
         for (int i = 0; i < 3; ++i) node->env().executor().RunOne(0);
       }},
      {"with a job whose end was posted",
       [](ApplierNode* node) {
         node->RunTurns();
         node->env().executor().RunReady();
       }},
      {"with a snapshot asked for",
       [](ApplierNode* node) {
         node->RunTurn();
         node->applier().TakeSnapshot();
       }},
      {"with a flush under way",
       [](ApplierNode* node) {
         node->Feed(100);
         node->RunToEnd();
         node->applier().TakeSnapshot();
         node->env().executor().RunOne(0);
       }},
      {"with a full disk",
       [](ApplierNode* node) {
         node->env().files().Inject({.kind = test::FaultKind::kNoSpace, .pattern = "*.tbl", .count = 1000});
         node->applier().TakeSnapshot();
         node->RunAll();
         CHECK_CODE(node->applier().stalled(), kResourceExhausted);
       }},
      {"with a full disk that is looked at",
       [](ApplierNode* node) {
         node->env().files().Inject({.kind = test::FaultKind::kNoSpace, .pattern = "*.tbl", .count = 1000});
         node->applier().TakeSnapshot();
         node->RunAll();
         node->env().executor().RunFor(1'000'000'000);
         node->RunTurns();
       }},
  };
  for (const auto& [name, prepare] : cases) {
    INFO(name);
    for (const raft::Index known : {raft::Index{0}, log.last()}) {
      ApplierNode node({.seed = 3 + known}, &log.log());
      REQUIRE_OK(node.Open(known));
      node.Feed(known == 0 ? 101 : known);
      prepare(&node);
      node.DestroyApplier();
      CHECK(node.failures.empty());
      node.Close();
    }
  }
}

TEST_CASE("an applier that waits for room may be destroyed") {
  const CommandLog log = Puts(200, 1000);
  ApplierNode node({}, &log.log());
  REQUIRE_OK(node.Open(0));
  node.Feed(log.last());
  node.RunTurns();
  REQUIRE(node.applier().applied() < log.last());
  node.DestroyApplier();
}

TEST_CASE("an applier that installs may be destroyed at each step of it") {
  const CommandLog log = Puts(300, 300);
  ApplierNode peer({.node = 2}, &log.log());
  REQUIRE_OK(peer.Open(0));
  peer.Feed(log.last());
  peer.FlushAll();
  for (int steps = 0; steps < 12; ++steps) {
    ApplierNode node({.seed = 5}, &log.log());
    REQUIRE_OK(node.Open(0));
    node.Feed(50);
    node.RunToEnd();
    raft::SnapshotMeta meta;
    auto incoming = node.ReceiveFrom(&peer, &meta);
    node.applier().TakeReceived(std::move(incoming), meta);
    if (steps > 0) node.ReceiveSnapshot(meta);
    for (int i = 0; i < steps; ++i) {
      node.RunTurns();
      node.env().executor().RunOne(0);
    }
    node.DestroyApplier();
    node.Close();
    REQUIRE_OK(node.Open(50));
    node.RunToEnd();
    CHECK(node.failures.empty());
    if (steps == 0) CHECK(node.applier().applied() == 50);
  }
}

TEST_CASE("an install that nothing was received for, or something else, changes nothing") {
  const CommandLog log = Puts(120, 300);
  ApplierNode peer({.node = 2}, &log.log());
  REQUIRE_OK(peer.Open(0));
  peer.Feed(100);
  peer.FlushAll();
  ApplierNode node({}, &log.log());
  REQUIRE_OK(node.Open(0));
  node.Feed(40);
  node.RunToEnd();
  raft::SnapshotMeta meta;
  auto incoming = node.ReceiveFrom(&peer, &meta);
  node.ReceiveSnapshot(meta);
  node.RunAll();
  REQUIRE(node.installed == std::vector<bool>{false});
  raft::SnapshotMeta other = meta;
  ++other.index;
  node.applier().TakeReceived(std::move(incoming), other);
  node.ReceiveSnapshot(meta);
  node.RunAll();
  REQUIRE(node.installed == std::vector<bool>{false, false});
  // The position of the state is another than the message says.
  incoming = node.ReceiveFrom(&peer, &meta);
  node.applier().TakeReceived(std::move(incoming), other);
  node.ReceiveSnapshot(other);
  node.RunAll();
  REQUIRE(node.installed == std::vector<bool>{false, false, false});
  node.Feed(60);
  node.RunToEnd();
  CHECK(node.failures.empty());
  REQUIRE(node.SendStateOf(&peer));
  node.Feed(120);
  node.RunToEnd();
  CHECK(node.Dump().user == log.user());
}

TEST_CASE("what was received and nobody wants leaves nothing on the disk, and what is being installed is wanted") {
  const CommandLog log = Puts(120, 300);
  ApplierNode peer({.node = 2}, &log.log());
  REQUIRE_OK(peer.Open(0));
  peer.Feed(100);
  peer.FlushAll();
  ApplierNode node({}, &log.log());
  REQUIRE_OK(node.Open(0));
  node.Feed(40);
  node.RunToEnd();
  const auto before = node.env().files().Files();
  raft::SnapshotMeta meta;
  node.applier().TakeReceived(node.ReceiveFrom(&peer, &meta), meta);
  CHECK(node.env().files().Files() != before);
  node.applier().DropReceived();
  node.RunAll();
  CHECK(node.env().files().Files() == before);
  node.applier().TakeReceived(node.ReceiveFrom(&peer, &meta), meta);
  node.ReceiveSnapshot(meta);
  node.RunTurns();
  node.applier().DropReceived();
  node.RunAll();
  CHECK(node.installed == std::vector<bool>{true});
  CHECK(node.applier().applied() == 100);
}

TEST_CASE("an install over entries that wait for a job, for room or for a later turn") {
  CommandLog log = WithLarge();
  ApplierNode peer({.node = 2}, &log.log());
  REQUIRE_OK(peer.Open(0));
  peer.Feed(log.last() - 20);
  peer.FlushAll();
  for (int way = 0; way < 8; ++way) {
    INFO("way " << way);
    ApplierNode node({.seed = static_cast<uint64_t>(way)}, &log.log());
    REQUIRE_OK(node.Open(0));
    node.Feed(way % 4 == 0 ? 103 : 250);
    for (int i = 0; i < way / 2; ++i) node.RunTurn();
    if (way % 2 == 1) {
      node.RunTurns();
      for (int i = 0; i < way; ++i) node.env().executor().RunOne(0);
    }
    node.applier().TakeSnapshot();
    REQUIRE(node.SendStateOf(&peer));
    CHECK(node.applier().applied() == peer.applier().applied());
    CHECK(node.applier().backlog_bytes() == 0);
    CHECK(node.Dump() == peer.Dump());
    node.Feed(log.last());
    node.RunToEnd();
    CHECK(node.Dump().user == log.user());
    CHECK(node.failures.empty());
    node.FlushAll();
  }
}

}  // namespace bandb::cluster
