// Snapshots in orders of events that a transcript cannot write down, since it takes an output after
// each.
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "raft/core.h"
#include "raft/membership.h"
#include "support/catch.h"

namespace bandb::raft {
namespace {

constexpr ClusterId kCluster = 7;

// A follower of node 2, with entries 1 to 3 committed and applied, and its state machine durable up
// to there.
std::unique_ptr<Core> FollowerWithThreeEntries() {
  Options options;
  options.self = 1;
  options.cluster = kCluster;
  Restart state = FirstStart(MakeConfiguration({1, 2, 3}));
  state.hard_state.term = 1;
  state.hard_state.commit = 3;
  for (Index i = 1; i <= 3; ++i) {
    REQUIRE_OK(state.AddEntry({.term = 1, .index = i, .payload = Payload("x")}));
  }
  state.applied = 3;
  state.tail_costs.clear();
  auto core = Core::Create(options, state, 0);
  REQUIRE_OK(core.status());
  REQUIRE((*core)->Step(1, SnapshotTaken{3, 1}).ok());
  return *std::move(core);
}

Message SnapshotAtTen() {
  SnapshotMeta meta;
  meta.index = 10;
  meta.term = 1;
  meta.configuration = MakeConfiguration({1, 2, 3});
  Message message;
  message.kind = MessageKind::kSnapshot;
  message.cluster = kCluster;
  message.from = 2;
  message.to = 1;
  message.term = 1;
  message.commit = 10;
  message.snapshot = std::make_shared<const SnapshotMeta>(meta);
  return message;
}

TEST_CASE("a log that fills up is compacted up to the last snapshot", "[raft]") {
  const auto core = FollowerWithThreeEntries();
  REQUIRE(core->Step(2, LogCapacity{true}).ok());
  Output output;
  core->TakeOutput(&output);
  REQUIRE(output.compact_to.has_value());
  CHECK(*output.compact_to == 3);
  CHECK(core->SnapshotAt(3).has_value());
}

TEST_CASE("a log that cannot go on for another reason than space keeps what is retained", "[raft]") {
  const auto core = FollowerWithThreeEntries();
  REQUIRE(core->Step(2, LogCapacity{.nearly_full = true, .lacks_space = false}).ok());
  Output output;
  core->TakeOutput(&output);
  CHECK_FALSE(output.compact_to.has_value());
  CHECK_FALSE(output.take_snapshot);
  // The disk is full besides.
  REQUIRE(core->Step(3, LogCapacity{.nearly_full = true, .lacks_space = true}).ok());
  core->TakeOutput(&output);
  REQUIRE(output.compact_to.has_value());
  CHECK(*output.compact_to == 3);
}

TEST_CASE("a log that fills up in the turn that empties it behind a snapshot is not compacted", "[raft]") {
  const auto core = FollowerWithThreeEntries();
  REQUIRE(core->Step(2, Receive{SnapshotAtTen()}).ok());
  Output output;
  core->TakeOutput(&output);
  REQUIRE(output.install.has_value());
  CHECK(output.install->index == 10);
  REQUIRE(core->Step(3, LogCapacity{true}).ok());
  REQUIRE(core->Step(3, SnapshotInstalled{10, 1, true}).ok());
  core->TakeOutput(&output);
  CHECK_FALSE(output.compact_to.has_value());
  CHECK(core->inspect().commit == 10);
  CHECK(core->inspect().durable == 10);
}

TEST_CASE("a snapshot that arrives while another one is being installed is dropped", "[raft]") {
  const auto core = FollowerWithThreeEntries();
  REQUIRE(core->Step(2, Receive{SnapshotAtTen()}).ok());
  Output output;
  core->TakeOutput(&output);
  REQUIRE(output.install.has_value());
  SnapshotMeta meta = *SnapshotAtTen().snapshot;
  meta.index = 12;
  Message second = SnapshotAtTen();
  second.snapshot = std::make_shared<const SnapshotMeta>(meta);
  CHECK_FALSE(core->Step(3, Receive{second}).ok());
  core->TakeOutput(&output);
  CHECK_FALSE(output.install.has_value());
  REQUIRE(core->Step(4, SnapshotInstalled{10, 1, true}).ok());
  CHECK(core->inspect().commit == 10);
  CHECK_OK(core->CheckInvariants());
}

TEST_CASE("a snapshot that contradicts what is committed is reported and not installed", "[raft]") {
  const auto core = FollowerWithThreeEntries();
  SnapshotMeta meta = *SnapshotAtTen().snapshot;
  meta.index = 3;
  meta.term = 2;
  Message other = SnapshotAtTen();
  other.term = 2;
  other.snapshot = std::make_shared<const SnapshotMeta>(meta);
  CHECK_FALSE(core->Step(2, Receive{other}).ok());
  Output output;
  core->TakeOutput(&output);
  CHECK_FALSE(output.install.has_value());
  REQUIRE(output.faults.size() == 1);
  CHECK(output.faults[0].kind == FaultKind::kCommittedConflict);
}

TEST_CASE("a snapshot is asked for once when the log has grown by its limit, so that a replay is bounded", "[raft]") {
  Options options;
  options.self = 1;
  options.cluster = kCluster;
  options.snapshot_log_bytes = 1000;
  auto core = *Core::Create(options, FirstStart(MakeConfiguration({1})), 0);
  Output output;
  uint64_t asked = 0;
  Nanos now = 0;
  const auto turn = [&] {
    core->TakeOutput(&output);
    const std::optional<HardStateWrite> hard_state = output.hard_state;
    const std::optional<LogWrite> log = output.log;
    const Committed committed = output.committed;
    asked += output.take_snapshot ? 1 : 0;
    if (hard_state.has_value()) core->Step(++now, HardStatePersisted{hard_state->write});
    if (log.has_value()) core->Step(++now, LogPersisted{log->write, log->term, log->index});
    if (!committed.empty()) core->Step(++now, Applied{committed.last});
  };
  core->Step(++now, Tick{});
  for (int i = 0; i < 6; ++i) turn();
  REQUIRE(core->inspect().role == Role::kLeader);
  // Each costs its 68 bytes and 32 more: the tenth fills the limit.
  for (int i = 1; i <= 9; ++i) {
    REQUIRE(core->Step(++now, Propose{Payload(std::string(68, 'x'))}).ok());
    for (int j = 0; j < 4; ++j) turn();
  }
  CHECK(asked == 0);
  for (int i = 10; i <= 15; ++i) {
    REQUIRE(core->Step(++now, Propose{Payload(std::string(68, 'x'))}).ok());
    for (int j = 0; j < 4; ++j) turn();
  }
  CHECK(asked == 1);
}

// What a core of one voter does by itself: everything it asks for is done at once. How often it
// asks for a snapshot.
uint64_t SnapshotsAskedFor(Core* core, int turns) {
  uint64_t asked = 0;
  Nanos now = 0;
  core->Step(++now, Tick{});
  for (int i = 0; i < turns; ++i) {
    Output output;
    core->TakeOutput(&output);
    asked += output.take_snapshot ? 1 : 0;
    if (output.hard_state.has_value()) core->Step(++now, HardStatePersisted{output.hard_state->write});
    if (output.log.has_value()) {
      core->Step(++now, LogPersisted{output.log->write, output.log->term, output.log->index});
    }
    if (!output.committed.empty()) core->Step(++now, Applied{output.committed.last});
  }
  return asked;
}

TEST_CASE("what was in the log before a restart counts for the next snapshot, so that a replay stays bounded",
          "[raft]") {
  const auto asked = [](Index entries, Index applied) {
    Options options;
    options.self = 1;
    options.cluster = kCluster;
    options.snapshot_log_bytes = 100'000;
    Restart state = FirstStart(MakeConfiguration({1}));
    state.hard_state = {.term = 1, .vote = 1, .commit = entries};
    state.applied = applied;
    for (Index i = 1; i <= entries; ++i) {
      REQUIRE_OK(state.AddEntry({.term = 1, .index = i, .payload = Payload(std::string(968, 'x'))}));
    }
    return SnapshotsAskedFor(Core::Create(options, state, 0)->get(), 60);
  };
  CHECK(asked(99, 0) == 0);
  CHECK(asked(100, 0) == 1);
  CHECK(asked(1000, 0) == 1);
  // What the state machine holds durably needs no replay.
  CHECK(asked(1000, 950) == 0);
  CHECK(asked(1000, 900) == 1);
}

TEST_CASE("what is kept behind a snapshot is bounded in bytes, however large the entries", "[raft]") {
  const auto floor = [](size_t payload, uint64_t retained) {
    Options options;
    options.self = 1;
    options.cluster = kCluster;
    options.retained_log_bytes = retained;
    Restart state = FirstStart(MakeConfiguration({1, 2, 3}));
    state.hard_state = {.term = 1, .vote = kNoNode, .commit = 500};
    for (Index i = 1; i <= 500; ++i) {
      REQUIRE_OK(state.AddEntry({.term = 1, .index = i, .payload = Payload(std::string(payload, 'x'))}));
    }
    state.applied = 500;
    state.tail_costs.clear();
    auto core = *Core::Create(options, state, 0);
    Output output;
    core->TakeOutput(&output);
    return output.compact_to.value_or(0);
  };
  CHECK(floor(68, 10'000) == 400);
  CHECK(floor(968, 10'000) == 490);
  CHECK(floor(968, 0) == 500);
  CHECK(floor(968, 1'000'000) == 0);
}

}  // namespace
}  // namespace bandb::raft
