// The applier with a whole node around it: whatever way entries come, replicas are the same, key by
// key, and what they answer is what a plain model says.
#include "cluster/applier.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "cluster/applier_rig.h"
#include "cluster/command_log.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

constexpr CommandLogShape kShape{.entries = 250};

// The results of all entries that a node has told are those of the model.
void CheckResults(const ApplierNode& node, const CommandLog& log) {
  for (const auto& [index, results] : node.results) {
    INFO("entry " << index);
    REQUIRE(results == log.results()[index - 1]);
  }
}

void CheckSound(ApplierNode* node) {
  REQUIRE_OK(node->replica().engine().CheckInvariants());
  CHECK(node->failures.empty());
  CHECK(node->applier().sessions() <= node->Dump().system.size());
}

// One node that is fed all in order, and never stops.
Spaces Reference(const CommandLog& log) {
  ApplierNode node({.seed = 77, .node = 2}, &log.log());
  REQUIRE_OK(node.Open(0));
  for (raft::Index index = 1; index <= log.last(); ++index) {
    node.Feed(index);
    node.RunToEnd();
  }
  CHECK(node.results.size() == log.last());
  CheckResults(node, log);
  Spaces spaces = node.Dump();
  CHECK(spaces.user == log.user());
  CHECK(spaces.commit_time_ms == log.now_ms());
  CHECK(node.applier().sessions() == spaces.system.size());
  return spaces;
}

}  // namespace

TEST_CASE("a node answers what a plain model says, and holds what it holds") {
  uint64_t repeated = 0, refused = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    INFO("seed " << seed);
    const CommandLog log = RandomCommandLog(seed, kShape);
    Reference(log);
    repeated += log.repeated();
    refused += log.refused();
  }
  CHECK(repeated > 100);
  CHECK(refused > 100);
}

TEST_CASE("however a log is cut into batches, replicas are the same") {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    INFO("seed " << seed);
    const CommandLog log = RandomCommandLog(seed, kShape);
    const Spaces reference = Reference(log);
    base::Random random(seed);
    // All at once, from the log and from the leader.
    for (const raft::Index known : {raft::Index{0}, log.last() / 2, log.last()}) {
      ApplierNode node({.seed = seed}, &log.log());
      REQUIRE_OK(node.Open(known));
      node.Feed(log.last());
      node.RunToEnd();
      CheckResults(node, log);
      CheckSound(&node);
      CHECK(node.results.size() == log.last());
      CHECK(node.Dump() == reference);
    }
    ApplierNode node({.seed = seed + 100}, &log.log());
    REQUIRE_OK(node.Open(0));
    while (node.fed() < log.last()) {
      node.Feed(std::min(log.last(), node.fed() + 1 + random.Uniform(20)));
      if (random.OneIn(2)) node.RunTurn();
      if (random.OneIn(3)) node.RunAll();
      if (random.OneIn(10)) node.applier().TakeSnapshot();
    }
    node.RunToEnd();
    CheckResults(node, log);
    CheckSound(&node);
    CHECK(node.Dump() == reference);
  }
}

TEST_CASE("a node that dies applies again what was not durable, with the same results") {
  uint64_t applied_again = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    INFO("seed " << seed);
    const CommandLog log = RandomCommandLog(seed, kShape);
    const Spaces reference = Reference(log);
    base::Random random(seed + 50);
    ApplierNode node({.seed = seed}, &log.log());
    REQUIRE_OK(node.Open(0));
    while (node.fed() < log.last()) {
      node.Feed(std::min(log.last(), node.fed() + 1 + random.Uniform(40)));
      if (random.OneIn(3)) {
        node.RunToEnd();
      } else {
        node.RunTurns();
      }
      if (random.OneIn(3)) node.FlushAll();
      if (!random.OneIn(3)) continue;
      CheckResults(node, log);
      const raft::Index fed = node.fed(), applied = node.applier().applied();
      random.OneIn(2) ? node.Kill() : node.Crash(test::Damage::kLost);
      REQUIRE_OK(node.Open(fed));
      applied_again += applied - std::min(applied, node.applier().applied());
    }
    node.RunToEnd();
    CheckResults(node, log);
    CheckSound(&node);
    CHECK(node.Dump() == reference);
  }
  CHECK(applied_again > 120);
}

TEST_CASE("a state that is installed brings its sessions, over whatever was there") {
  uint64_t installs = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    INFO("seed " << seed);
    const CommandLog log = RandomCommandLog(seed, kShape);
    const Spaces reference = Reference(log);
    base::Random random(seed + 90);
    ApplierNode peer({.seed = seed + 9, .node = 2}, &log.log());
    REQUIRE_OK(peer.Open(0));
    ApplierNode node({.seed = seed}, &log.log());
    REQUIRE_OK(node.Open(0));
    while (node.fed() < log.last()) {
      node.Feed(std::min(log.last(), node.fed() + random.Uniform(25)));
      if (random.OneIn(2)) node.RunToEnd();
      if (random.OneIn(3)) node.FlushAll();
      if (random.OneIn(3)) {
        const raft::Index fed = node.fed();
        node.Kill();
        REQUIRE_OK(node.Open(fed));
      }
      if (peer.fed() > node.fed() + 60 || !random.OneIn(2)) continue;
      peer.Feed(std::min(log.last(), std::max(peer.fed(), node.fed() + 1 + random.Uniform(40))));
      peer.RunToEnd();
      peer.FlushAll();
      node.RunTurns();
      if (peer.fed() <= node.fed()) continue;
      const bool installed = node.SendStateOf(&peer);
      REQUIRE(installed);
      ++installs;
      CHECK(node.applier().applied() == peer.fed());
      CHECK(node.Dump() == peer.Dump());
      CHECK(node.applier().sessions() == peer.applier().sessions());
    }
    node.RunToEnd();
    CheckResults(node, log);
    CheckSound(&node);
    CHECK(node.Dump() == reference);
  }
  CHECK(installs > 12);
}

}  // namespace bandb::cluster
