// The applier over disks that are full, refuse reads or fail.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "cluster/applier.h"
#include "cluster/applier_rig.h"
#include "cluster/command_log.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

using test::FaultKind;
using test::FileCall;

constexpr int64_t kSecond = 1'000'000'000;
const test::Fault kFull{.kind = FaultKind::kNoSpace,
                        .calls = {FileCall::kCreate, FileCall::kReserve},
                        .pattern = "*",
                        .count = test::Fault::kSticky};

CommandLog Puts(uint64_t entries, size_t value_bytes) {
  CommandLog log;
  for (uint64_t i = 1; i <= entries; ++i) {
    log.Data(1, i, {Put(fmt::format("key{:04}", i), std::string(value_bytes, static_cast<char>('a' + i % 26)))});
  }
  return log;
}

// And then a put under a condition, which has to be read.
CommandLog PutsAndCondition() {
  CommandLog log = Puts(60, 1000);
  LogCommand command = Put("a", "1");
  command.write.conditions.push_back({test::ModelCondition::Kind::kPresent, "key0045"});
  log.Data(1, 100, {command});
  return log;
}

// So that the puts are in tables, of which nothing is in memory.
void FlushAndReopen(ApplierNode* node) {
  REQUIRE_OK(node->Open(0));
  node->Feed(60);
  node->FlushAll();
  node->Kill();
  REQUIRE_OK(node->Open(60));
  node->RunAll();
}

// From now on no table is opened or read, and nothing else is refused.
void RefuseTables(ApplierNode* node, FaultKind kind) {
  node->env().files().ClearFaults();
  node->env().files().Inject(
      {.kind = kind, .calls = {FileCall::kOpen, FileCall::kRead}, .pattern = "*.tbl", .count = test::Fault::kSticky});
}

}  // namespace

TEST_CASE("on a full disk applying waits, and goes on by itself once there is room") {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const CommandLog log = RandomCommandLog(seed, {.entries = 300, .value_bytes_max = 1500});
    ApplierNode node({.seed = seed}, &log.log());
    REQUIRE_OK(node.Open(0));
    node.Feed(30);
    node.RunToEnd();
    node.env().files().Inject(kFull);
    node.Feed(log.last());
    node.RunFor(10 * kSecond);
    CHECK_CODE(node.applier().stalled(), kResourceExhausted);
    const raft::Index stopped_at = node.applier().applied();
    CHECK(stopped_at < log.last());
    CHECK(node.applier().backlog_bytes() > 0);
    node.RunFor(10 * kSecond);
    CHECK(node.applier().applied() == stopped_at);
    node.env().files().ClearFaults();
    node.RunToEnd();
    CHECK_OK(node.applier().stalled());
    CHECK(node.failures.empty());
    for (const auto& [index, results] : node.results) REQUIRE(results == log.results()[index - 1]);
    CHECK(node.results.size() == log.last());
    CHECK(node.Dump().user == log.user());
    node.FlushAll();
  }
}

TEST_CASE("a full disk that only a flush meets is waited out, though no entry comes") {
  const CommandLog log = Puts(20, 500);
  ApplierNode node({}, &log.log());
  REQUIRE_OK(node.Open(0));
  node.Feed(20);
  node.RunToEnd();
  node.env().files().Inject(kFull);
  node.applier().TakeSnapshot();
  node.RunFor(5 * kSecond);
  CHECK_CODE(node.applier().stalled(), kResourceExhausted);
  CHECK(node.durable.empty());
  node.env().files().ClearFaults();
  node.RunFor(3 * kSecond);
  CHECK_OK(node.applier().stalled());
  CHECK(node.durable == std::vector<raft::Index>{20});
  // Asked for while nothing could be frozen, it is taken as well.
  node.env().files().Inject(kFull);
  node.applier().TakeSnapshot();
  node.RunFor(2 * kSecond);
  node.applier().TakeSnapshot();
  node.env().files().ClearFaults();
  node.RunFor(3 * kSecond);
  CHECK(node.durable.back() == 20);
  CHECK(node.durable.size() >= 2);
  CHECK(node.failures.empty());
}

TEST_CASE("on a full disk what there is room for in memory is applied: readers wait for it") {
  const CommandLog log = Puts(400, 500);
  ApplierNode node({}, &log.log());
  REQUIRE_OK(node.Open(0));
  node.Feed(20);
  node.RunToEnd();
  node.env().files().Inject(kFull);
  node.applier().TakeSnapshot();
  node.RunFor(2 * kSecond);
  REQUIRE(!node.applier().stalled().ok());
  node.Feed(25);
  node.RunFor(100);
  CHECK(node.applier().applied() == 25);
  CHECK(!node.applier().stalled().ok());
  // No more than that.
  node.Feed(400);
  node.RunFor(5 * kSecond);
  const raft::Index applied = node.applier().applied();
  CHECK(applied < 400);
  CHECK(node.failures.empty());
  node.env().files().ClearFaults();
  node.RunToEnd();
  CHECK(node.applier().applied() == 400);
  CHECK(node.Dump().user == log.user());
}

TEST_CASE("a flush that finds no descriptor is waited out, however long it takes") {
  const CommandLog log = Puts(20, 500);
  ApplierNode node({}, &log.log());
  REQUIRE_OK(node.Open(0));
  node.Feed(20);
  node.RunToEnd();
  node.env().files().Inject({.kind = FaultKind::kNoDescriptor,
                             .calls = {FileCall::kCreate},
                             .pattern = "*.tbl",
                             .count = test::Fault::kSticky});
  node.applier().TakeSnapshot();
  node.RunFor(3 * kSecond);
  CHECK_OK(node.applier().stalled());
  node.RunFor(57 * kSecond);
  CHECK(node.failures.empty());
  CHECK(node.durable.empty());
  // Another node is to lead meanwhile.
  CHECK_CODE(node.applier().stalled(), kUnavailable);
  node.env().files().ClearFaults();
  node.RunFor(60 * kSecond);
  CHECK(node.failures.empty());
  CHECK_OK(node.applier().stalled());
  CHECK(node.durable == std::vector<raft::Index>{20});
}

TEST_CASE("a disk that fails ends the node, though no entry comes") {
  const CommandLog log = Puts(20, 500);
  ApplierNode node({}, &log.log());
  REQUIRE_OK(node.Open(0));
  node.Feed(20);
  node.RunToEnd();
  node.env().files().Inject({.calls = {FileCall::kSync}, .pattern = "*.tbl", .count = test::Fault::kSticky});
  node.applier().TakeSnapshot();
  node.RunFor(5 * kSecond);
  REQUIRE(node.failures.size() == 1);
  CHECK_FALSE(node.applier().failure().ok());
  CHECK(node.durable.empty());
}

TEST_CASE("a read of a condition that finds no descriptor is waited out, however long it takes") {
  CommandLog log = PutsAndCondition();
  log.Data(1, 101, {Put("b", "1")});
  ApplierNode node({}, &log.log());
  FlushAndReopen(&node);
  RefuseTables(&node, FaultKind::kNoDescriptor);
  node.Feed(62);
  node.RunFor(5 * kSecond);
  CHECK_OK(node.applier().stalled());
  node.RunFor(6 * kSecond);
  // Another node is to lead meanwhile.
  CHECK_CODE(node.applier().stalled(), kUnavailable);
  node.RunFor(60 * kSecond);
  CHECK(node.applier().applied() == 60);
  CHECK(node.failures.empty());
  node.env().files().ClearFaults();
  node.RunFor(2 * kSecond);
  CHECK_OK(node.applier().stalled());
  CHECK(node.applier().applied() == 62);
  CHECK(node.results[61] == "OK");
}

TEST_CASE("a disk that refuses a read after there was no descriptor for long has as many tries as ever") {
  for (const bool helps : {true, false}) {
    CommandLog log = PutsAndCondition();
    ApplierNode node({}, &log.log());
    FlushAndReopen(&node);
    RefuseTables(&node, FaultKind::kNoDescriptor);
    node.Feed(61);
    node.RunFor(30 * kSecond);
    CHECK_CODE(node.applier().stalled(), kUnavailable);
    // Once, and then again for nine seconds, in between which no descriptor is free.
    RefuseTables(&node, FaultKind::kIoError);
    node.RunFor(2 * kSecond);
    CHECK(node.failures.empty());
    RefuseTables(&node, FaultKind::kNoDescriptor);
    node.RunFor(30 * kSecond);
    CHECK(node.failures.empty());
    RefuseTables(&node, FaultKind::kIoError);
    node.RunFor(5 * kSecond);
    CHECK(node.failures.empty());
    if (helps) node.env().files().ClearFaults();
    node.RunFor(6 * kSecond);
    CHECK(node.applier().applied() == (helps ? 61 : 60));
    REQUIRE(node.failures.size() == (helps ? 0 : 1));
    if (!helps) CHECK_CODE(node.failures[0], kInternal);
  }
}

TEST_CASE("a read of a condition that is refused is tried again, and ends the node when that does not help") {
  for (const bool helps : {true, false}) {
    CommandLog log = PutsAndCondition();
    log.Data(1, 101, {Put("b", "1")});
    ApplierNode node({}, &log.log());
    FlushAndReopen(&node);
    RefuseTables(&node, helps ? FaultKind::kNoDescriptor : FaultKind::kIoError);
    node.Feed(62);
    node.RunFor(3 * kSecond);
    CHECK(node.applier().applied() == 60);
    CHECK_OK(node.applier().stalled());
    CHECK(node.failures.empty());
    if (helps) node.env().files().ClearFaults();
    node.RunFor(12 * kSecond);
    CHECK(node.applier().applied() == (helps ? 62 : 60));
    CHECK(node.results[61] == (helps ? "OK" : ""));
    REQUIRE(node.failures.size() == (helps ? 0 : 1));
    if (!helps) CHECK_CODE(node.failures[0], kInternal);
  }
}

TEST_CASE("an install that finds no room changes nothing, and is done when it comes again with room") {
  const CommandLog log = Puts(150, 500);
  ApplierNode peer({.node = 2}, &log.log());
  REQUIRE_OK(peer.Open(0));
  peer.Feed(120);
  peer.FlushAll();
  for (const FaultKind kind : {FaultKind::kNoSpace, FaultKind::kNoDescriptor}) {
    ApplierNode node({}, &log.log());
    REQUIRE_OK(node.Open(0));
    node.Feed(30);
    node.RunToEnd();
    const Spaces before = node.Dump();
    raft::SnapshotMeta meta;
    auto incoming = node.ReceiveFrom(&peer, &meta);
    node.applier().TakeReceived(std::move(incoming), meta);
    node.env().files().Inject({.kind = kind, .pattern = "*", .count = test::Fault::kSticky});
    node.ReceiveSnapshot(meta);
    node.RunFor(3 * kSecond);
    CHECK(node.installed == std::vector<bool>{false});
    CHECK(node.failures.empty());
    node.env().files().ClearFaults();
    node.RunFor(3 * kSecond);
    CHECK(node.Dump() == before);
    CHECK_OK(node.applier().stalled());
    REQUIRE(node.SendStateOf(&peer));
    node.Feed(150);
    node.RunToEnd();
    CHECK(node.Dump().user == log.user());
  }
}

namespace {

// The state of another node is installed, and not read back yet.
void InstallFrom(ApplierNode* peer, ApplierNode* node) {
  raft::SnapshotMeta meta;
  auto incoming = node->ReceiveFrom(peer, &meta);
  node->applier().TakeReceived(std::move(incoming), meta);
  node->ReceiveSnapshot(meta);
  // From the moment on that the state is another one.
  for (int i = 0; i < 1000 && node->replica().applied().applied.index == 0; ++i) {
    node->RunTurns();
    node->env().executor().RunOne(0);
  }
  REQUIRE(node->replica().applied().applied.index == 101);
}

CommandLog WithSession() {
  CommandLog log = Puts(100, 500);
  log.Data(1, 200, {{.session = 5, .number = kOpenNumber}, Put("a", "1", 5, 1)});
  return log;
}

}  // namespace

TEST_CASE("sessions that cannot be read after an install are read later; for good, that ends the node") {
  const CommandLog log = WithSession();
  ApplierNode peer({.node = 2}, &log.log());
  REQUIRE_OK(peer.Open(0));
  peer.Feed(101);
  peer.FlushAll();
  for (const bool helps : {true, false}) {
    ApplierNode node({}, &log.log());
    REQUIRE_OK(node.Open(0));
    InstallFrom(&peer, &node);
    node.env().files().Inject(
        {.calls = {FileCall::kOpen, FileCall::kRead}, .pattern = "*.tbl", .count = test::Fault::kSticky});
    node.RunFor(3 * kSecond);
    CHECK(node.installed.empty());
    CHECK(node.failures.empty());
    if (helps) node.env().files().ClearFaults();
    node.RunFor(12 * kSecond);
    CHECK(node.installed.size() == (helps ? 1 : 0));
    CHECK(node.failures.size() == (helps ? 0 : 1));
    if (helps) CHECK(node.applier().sessions() == 1);
  }
}

TEST_CASE("sessions for which there is no descriptor after an install are waited for, and that is told") {
  const CommandLog log = WithSession();
  ApplierNode peer({.node = 2}, &log.log());
  REQUIRE_OK(peer.Open(0));
  peer.Feed(101);
  peer.FlushAll();
  ApplierNode node({}, &log.log());
  REQUIRE_OK(node.Open(0));
  InstallFrom(&peer, &node);
  node.env().files().Inject({.kind = FaultKind::kNoDescriptor,
                             .calls = {FileCall::kOpen, FileCall::kRead},
                             .pattern = "*.tbl",
                             .count = test::Fault::kSticky});
  node.RunFor(5 * kSecond);
  CHECK_OK(node.applier().stalled());
  node.RunFor(60 * kSecond);
  CHECK_CODE(node.applier().stalled(), kUnavailable);
  CHECK(node.env().logger().Text().find("applying waits for a read") != std::string::npos);
  CHECK(node.installed.empty());
  CHECK(node.failures.empty());
  node.env().files().ClearFaults();
  node.RunFor(2 * kSecond);
  CHECK_OK(node.applier().stalled());
  CHECK(node.installed.size() == 1);
  CHECK(node.applier().sessions() == 1);
}

}  // namespace bandb::cluster
