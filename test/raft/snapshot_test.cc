// Snapshots in orders of events that a transcript cannot write down, since it takes an output after each.
#include <memory>

#include "raft/core.h"
#include "raft/membership.h"
#include "support/catch.h"

namespace bandb::raft {
namespace {

constexpr ClusterId kCluster = 7;

// A follower of node 2, with entries 1 to 3 committed and applied, and its state machine durable up to there.
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

}  // namespace
}  // namespace bandb::raft
