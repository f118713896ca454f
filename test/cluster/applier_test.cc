// The applier: what it does in a turn and what elsewhere, what it tells, and what ends it.
#include "cluster/applier.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "base/coding.h"
#include "cluster/applier_rig.h"
#include "cluster/command_log.h"
#include "cluster/entry_payload.h"
#include "kv/batch_format.h"
#include "raft/types/configuration_codec.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

Options LargeOptions() {
  Options options;
  options.write_buffer_bytes = 64 << 20;
  return options;
}

LogCommand PutIfPresent(const std::string& condition, const std::string& key, const std::string& value) {
  LogCommand command = Put(key, value);
  command.write.conditions.push_back({test::ModelCondition::Kind::kPresent, condition});
  return command;
}

// Entries of about this size, each a put of its own key.
CommandLog Puts(uint64_t entries, size_t value_bytes) {
  CommandLog log;
  for (uint64_t i = 1; i <= entries; ++i) {
    log.Data(1, i, {Put(fmt::format("key{:04}", i), std::string(value_bytes, static_cast<char>('a' + i % 26)))});
  }
  return log;
}

// An entry of one command, whatever its operations are.
std::string PayloadOf(std::string_view operations) {
  std::string payload("\1\5\1\0\0\0", 6);
  base::PutLengthPrefixed(&payload, operations);
  return payload;
}

}  // namespace

TEST_CASE("entries of every kind are told in order, and what is applied after each batch") {
  CommandLog log;
  log.Noop(1);
  log.Data(1, 10, {Put("a", "1"), PutIfPresent("b", "c", "2")});
  log.Configuration(1);
  log.Data(1, 20, {});
  log.Noop(3);
  ApplierNode node({}, &log.log());
  REQUIRE_OK(node.Open(0));
  node.Feed(5);
  node.RunToEnd();
  CHECK(node.results[2] == "OK, ABORTED");
  CHECK(node.results.size() == 5);
  CHECK(node.applied_to == std::vector<raft::Index>{5});
  const storage::ReplicaPosition& position = node.replica().applied();
  CHECK(position.applied.index == 5);
  CHECK(position.applied.term == 3);
  CHECK(position.commit_time_ms == 20);
  CHECK(position.membership == log.log()[2].payload.bytes());
  // Reads see an entry by the time that it is told.
  CommandLog more;
  more.Data(1, 10, {Put("a", "1")});
  ApplierNode other({}, &more.log());
  other.on_applied = [&](raft::Index) { CHECK(other.Dump().user.size() == 1); };
  REQUIRE_OK(other.Open(0));
  other.Feed(1);
  other.RunToEnd();
}

TEST_CASE("a turn applies no more than is good for it, and goes on in a later one") {
  const CommandLog log = Puts(400, 10'000);
  ApplierNode node({.options = LargeOptions()}, &log.log());
  REQUIRE_OK(node.Open(0));
  node.Feed(log.last());
  uint64_t turns = 0;
  for (raft::Index before = 0; node.RunTurn(); before = node.applier().applied()) {
    ++turns;
    CHECK((node.applier().applied() - before) * 10'000 <= kTurnBytes);
  }
  CHECK(node.applier().applied() == log.last());
  CHECK(turns >= log.last() * 10'000 / kTurnBytes);
}

TEST_CASE("an entry that takes long is a job, and what comes after it waits") {
  CommandLog log = Puts(2, 100);
  log.Data(1, 10, {Put("large", std::string(kTurnBytes, 'x'))});
  log.Data(1, 11, {Put("small", "y")});
  ApplierNode node({.options = LargeOptions()}, &log.log());
  REQUIRE_OK(node.Open(0));
  node.Feed(4);
  node.RunTurns();
  CHECK(node.applier().applied() == 2);
  CHECK(node.applier().backlog_bytes() > kTurnBytes);
  node.RunToEnd();
  CHECK(node.results.size() == 4);
}

TEST_CASE("a condition on what is not in memory is read by a job, one on what is in the turn") {
  CommandLog log = Puts(60, 1000);
  log.Data(1, 100, {PutIfPresent("key0045", "a", "1")});
  log.Data(1, 101, {Put("b", "1")});
  log.Data(1, 102, {PutIfPresent("key0045", "c", "1"), PutIfPresent("a", "d", "1"), PutIfPresent("no", "e", "1")});
  ApplierNode node({.options = LargeOptions()}, &log.log());
  REQUIRE_OK(node.Open(0));
  node.Feed(60);
  node.FlushAll();
  node.Kill();
  REQUIRE_OK(node.Open(60));
  CHECK(node.applier().applied() == 60);
  node.Feed(62);
  node.RunTurns();
  CHECK(node.applier().applied() == 60);
  node.RunToEnd();
  CHECK(node.results[61] == "OK");
  node.Feed(63);
  node.RunTurns();
  CHECK(node.results[63] == "OK, OK, ABORTED");
}

TEST_CASE("an entry that finds no room waits for a flush, and nothing is lost or told too early") {
  const CommandLog log = Puts(200, 1000);
  ApplierNode node({}, &log.log());
  REQUIRE_OK(node.Open(0));
  node.Feed(log.last());
  node.RunTurns();
  const raft::Index before = node.applier().applied();
  CHECK(before > 10);
  CHECK(before < log.last());
  CHECK_OK(node.applier().stalled());
  CHECK(node.applied_to.back() == before);
  CHECK(node.durable.empty());
  node.RunToEnd();
  CHECK(node.results.size() == log.last());
  CHECK(node.Dump().user == log.user());
  // Flushes were told, and none of them twice.
  CHECK(node.durable.size() > 1);
  CHECK(std::adjacent_find(node.durable.begin(), node.durable.end(), std::greater_equal<>()) == node.durable.end());
  CHECK(node.durable.back() == node.replica().durable().applied.index);
}

TEST_CASE("a snapshot is what is applied, made durable; asked for twice, it is told twice") {
  const CommandLog log = Puts(20, 100);
  ApplierNode node({}, &log.log());
  REQUIRE_OK(node.Open(0));
  node.applier().TakeSnapshot();
  node.RunAll();
  CHECK(node.durable == std::vector<raft::Index>{0});
  node.Feed(10);
  node.RunToEnd();
  CHECK(node.durable.size() == 1);
  node.applier().TakeSnapshot();
  node.RunAll();
  node.applier().TakeSnapshot();
  node.RunAll();
  CHECK(node.durable == std::vector<raft::Index>{0, 10, 10});
  CHECK(node.applier().PinState().position().applied.index == 10);
  node.Feed(20);
  node.RunTurns();
  node.applier().TakeSnapshot();
  node.applier().TakeSnapshot();
  node.RunAll();
  CHECK(node.durable.back() == 20);
  CHECK(node.failures.empty());
}

TEST_CASE("a malformed entry ends the node, with all before it applied and nothing after it") {
  std::string key_too_long, unknown_kind;
  kv::AppendOperation(&key_too_long, {.key = std::string(kv::kKeyBytesMax + 1, 'k'), .value = "v"});
  const std::string good = PayloadOf("");
  const std::vector<std::string> payloads = {"",
                                             "x",
                                             good + "x",
                                             good.substr(0, good.size() - 1),
                                             '\2' + good.substr(1),
                                             PayloadOf(key_too_long),
                                             std::string("\1\1\377\377\377\377\17", 7)};
  for (const std::string& payload : payloads) {
    CommandLog log = Puts(3, 100);
    log.Raw(1, raft::EntryKind::kData, payload);
    log.Data(1, 9, {Put("after", "it")});
    ApplierNode node({}, &log.log());
    REQUIRE_OK(node.Open(0));
    node.Feed(5);
    node.RunFor(3'000'000'000);
    CHECK(node.applier().applied() == 3);
    CHECK(node.results.size() == 3);
    CHECK(node.applied_to.back() == 3);
    REQUIRE(node.failures.size() == 1);
    CHECK_CODE(node.failures[0], kDataLoss);
    CHECK_CODE(node.applier().failure(), kDataLoss);
    node.applier().TakeSnapshot();
    node.RunFor(3'000'000'000);
    CHECK(node.failures.size() == 1);
    CHECK(node.durable.empty());
  }
}

TEST_CASE("an entry of an unknown kind, or of a configuration that is none, is not applied") {
  CommandLog log;
  ApplierNode node({}, &log.log());
  REQUIRE_OK(node.Open(0));
  EntryApplier applier(&node.replica(), Sessions(), Cursors(), LogClock());
  AppliedRecord record;
  std::string other;
  raft::Configuration configuration = RigConfiguration();
  configuration.index = 2;
  raft::EncodeConfiguration(configuration, &other);
  const std::vector<std::pair<raft::EntryKind, std::string>> bad = {{static_cast<raft::EntryKind>(7), ""},
                                                                    {raft::EntryKind::kConfiguration, ""},
                                                                    {raft::EntryKind::kConfiguration, "x"},
                                                                    {raft::EntryKind::kConfiguration, other}};
  for (const auto& [kind, payload] : bad) {
    const raft::Entry entry{.term = 1, .index = 1, .kind = kind, .payload = raft::Payload(payload)};
    CHECK_CODE(applier.Apply(entry, {}, &record).status(), kDataLoss);
  }
  // It does not follow.
  const raft::Entry later{.term = 1, .index = 2, .kind = raft::EntryKind::kNoop, .payload = {}};
  CHECK_CODE(applier.Apply(later, {}, &record).status(), kInvalidArgument);
  CHECK(node.replica().applied().applied.index == 0);
}

// What is delayed on the way: the opening of a session and its first command, each of which was
// done long ago. The session is gone meanwhile, and comes with the opening as another one.
TEST_CASE("a command is done once, though it and the opening of its session come again when that is gone") {
  CommandLog log;
  const LogCommand open{.session = 5, .number = kOpenNumber};
  log.Data(1, 10, {open});
  log.Data(1, 11, {Put("key", "once", 5, 1)});
  log.Data(1, 12, {Put("key", "later")});
  LogCommand late = Put("key", "once", 5, 1);
  late.lives_ago = 1;
  log.Data(1, 11 + 3'600'000, {open, late});
  log.Data(1, 12 + 3'600'000, {late, Put("other", "1", 5, 1)});
  REQUIRE(log.results()[3] == "OK, FAILED_PRECONDITION");
  for (const bool restarts : {false, true}) {
    ApplierNode node({}, &log.log());
    REQUIRE_OK(node.Open(0));
    node.Feed(3);
    if (restarts) {
      node.FlushAll();
      node.Kill();
      REQUIRE_OK(node.Open(3));
    }
    node.Feed(log.last());
    node.RunToEnd();
    for (raft::Index index = 4; index <= log.last(); ++index) CHECK(node.results[index] == log.results()[index - 1]);
    CHECK(node.Dump().user == log.user());
    CHECK(log.user().front() == std::pair<std::string, std::string>("key", "later"));
  }
}

TEST_CASE("who was removed is known after a restart and an install, with or without the entry") {
  CommandLog log;
  const raft::NodeId third = RigConfiguration().members.back().id;
  log.Configuration(1, raft::MakeConfiguration({1, 2, third}, {4, 5}));
  log.Configuration(1, raft::MakeConfiguration({1, 2, third}, {5}));
  log.Data(1, 10, {Put("a", "1", 1, 1)});
  log.Configuration(1, raft::MakeConfiguration({1, 2}));
  const auto check = [third](ApplierNode& node, size_t size) {
    CHECK(node.applier().removed_nodes().size() == size);
    CHECK(node.applier().removed_nodes().Contains(4));
    CHECK(node.applier().removed_nodes().Contains(third) == (size == 3));
    CHECK_FALSE(node.applier().removed_nodes().Contains(1));
  };
  ApplierNode peer({.node = 2}, &log.log());
  REQUIRE_OK(peer.Open(0));
  peer.Feed(1);
  peer.RunTurns();
  CHECK(peer.applier().removed_nodes().size() == 0);
  peer.Feed(3);
  peer.RunTurns();
  check(peer, 1);
  peer.FlushAll();
  peer.Kill();
  REQUIRE_OK(peer.Open(3));
  check(peer, 1);
  ApplierNode node({}, &log.log());
  REQUIRE_OK(node.Open(0));
  REQUIRE(node.SendStateOf(&peer));
  check(node, 1);
  for (ApplierNode* one : {&peer, &node}) {
    one->Feed(log.last());
    one->RunToEnd();
    check(*one, 3);
  }
  CHECK(node.Dump().system == peer.Dump().system);
}

TEST_CASE("10,000 sessions survive a restart and an install") {
  CommandLog log;
  for (uint64_t first = 1; first <= kSessionsMax; first += 500) {
    std::vector<LogCommand> commands;
    for (uint64_t id = first; id < first + 500; ++id) {
      commands.push_back({.session = id, .number = kOpenNumber});
      commands.push_back(Put("last", fmt::format("{}", id), id, 1));
    }
    log.Data(1, 10 + first, commands);
  }
  const raft::Index opened = log.last();
  log.Data(1, 11'000, {Put("last", "again", 1, 1), Put("last", "again", 777, 1), Put("last", "again", 10'000, 1)});
  log.Data(1, 11'001, {Put("n", "2", 1, 2), Put("n", "1", 9999, 1)});
  ApplierNode peer({.node = 2, .options = LargeOptions()}, &log.log());
  REQUIRE_OK(peer.Open(0));
  peer.Feed(opened);
  peer.FlushAll();
  peer.Kill();
  REQUIRE_OK(peer.Open(opened));
  CHECK(peer.applier().sessions() == kSessionsMax);
  ApplierNode node({.options = LargeOptions()}, &log.log());
  REQUIRE_OK(node.Open(0));
  REQUIRE(node.SendStateOf(&peer));
  CHECK(node.applier().sessions() == kSessionsMax);
  for (ApplierNode* one : {&peer, &node}) {
    one->Feed(log.last());
    one->RunToEnd();
    CHECK(one->results[opened + 1] == log.results()[opened]);
    CHECK(one->results[opened + 2] == "OK, OK (again)");
  }
  CHECK(node.Dump() == peer.Dump());
}

}  // namespace bandb::cluster
