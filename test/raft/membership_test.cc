// From one configuration to the next.
#include "raft/membership.h"

#include <string>
#include <utility>
#include <vector>

#include "support/catch.h"

namespace bandb::raft {
namespace {

using absl::StatusCode;

TEST_CASE("changes that make no sense are refused by name", "[raft]") {
  const Configuration now = MakeConfiguration({1, 2, 3}, {4});
  auto plan = [&](ChangeKind kind, NodeId node, NodeId other = kNoNode) {
    return PlanChange(now, {{.kind = kind, .node = node, .other = other, .address = {}}}).code;
  };
  CHECK(plan(ChangeKind::kAddLearner, 4) == StatusCode::kAlreadyExists);
  CHECK(plan(ChangeKind::kAddVoter, 2) == StatusCode::kAlreadyExists);
  CHECK(plan(ChangeKind::kAddVoter, 0) == StatusCode::kInvalidArgument);
  CHECK(plan(ChangeKind::kRemove, 9) == StatusCode::kNotFound);
  CHECK(plan(ChangeKind::kReplace, 5, 4) == StatusCode::kNotFound);
  CHECK(plan(ChangeKind::kDemote, 4) == StatusCode::kNotFound);
  CHECK(plan(static_cast<ChangeKind>(99), 1) == StatusCode::kInvalidArgument);
  CHECK(PlanChange(now, {}).code == StatusCode::kInvalidArgument);
  std::vector<Change> all;
  for (NodeId id = 1; id <= 3; ++id) all.push_back({.kind = ChangeKind::kRemove, .node = id, .address = {}});
  CHECK(PlanChange(now, all).code == StatusCode::kInvalidArgument);
  const ChangePlan both = PlanChange(now, {{.kind = ChangeKind::kDemote, .node = 3, .address = {}},
                                           {.kind = ChangeKind::kAddVoter, .node = 3, .address = {}}});
  CHECK(both.code == StatusCode::kInvalidArgument);
  CHECK(std::string(both.reason) == "a voter is demoted and made a voter at once");
}

TEST_CASE("a change of voters is joint, and leaving it drops who has gone", "[raft]") {
  const Configuration now = MakeConfiguration({1, 2, 3});
  const ChangePlan plan = PlanChange(now, {{.kind = ChangeKind::kRemove, .node = 1, .address = {}},
                                           {.kind = ChangeKind::kDemote, .node = 2, .address = {}}});
  REQUIRE(plan.ok());
  CHECK(plan.next.joint());
  CHECK(plan.next.Votes(1));
  const Configuration after = LeaveJoint(plan.next);
  CHECK(after.Find(1) == nullptr);
  CHECK(after.Find(2)->learner);
  CHECK_FALSE(after.joint());
  CHECK(IsValid(after));
}

// The learners of `configuration` that wait to become voters, each with the voter that it replaces.
std::vector<std::pair<NodeId, NodeId>> Waiting(const Configuration& configuration) {
  std::vector<std::pair<NodeId, NodeId>> waiting;
  for (const Member& m : configuration.members) {
    if (m.promote) waiting.emplace_back(m.id, m.replaces);
  }
  return waiting;
}

Configuration After(const Configuration& now, const std::vector<Change>& changes) {
  const ChangePlan plan = PlanChange(now, changes);
  REQUIRE(plan.ok());
  REQUIRE(IsValid(plan.next));
  const Configuration next = plan.next.joint() ? LeaveJoint(plan.next) : plan.next;
  REQUIRE(IsValid(next));
  return next;
}

TEST_CASE("who waits for the place of a voter is simply added once that one is no voter any more", "[raft]") {
  using Pairs = std::vector<std::pair<NodeId, NodeId>>;
  const Change replace{.kind = ChangeKind::kReplace, .node = 5, .other = 3, .address = {}};
  const Configuration waits = After(MakeConfiguration({1, 2, 3}), {replace});
  CHECK(Waiting(waits) == Pairs{{5, 3}});
  for (ChangeKind kind : {ChangeKind::kDemote, ChangeKind::kRemove}) {
    const Change leaves{.kind = kind, .node = 3, .address = {}};
    CHECK(Waiting(After(waits, {leaves})) == Pairs{{5, kNoNode}});
    CHECK(Waiting(After(MakeConfiguration({1, 2, 3}), {replace, leaves})) == Pairs{{5, kNoNode}});
    // When it is to vote again, its place is its own.
    const Change again{.kind = ChangeKind::kAddVoter, .node = 3, .address = {}};
    CHECK(Waiting(After(After(waits, {leaves}), {again})) == Pairs{{3, kNoNode}, {5, kNoNode}});
  }
}

TEST_CASE("learners that are ready become voters, whoever of them is to take whose place", "[raft]") {
  Configuration now = MakeConfiguration({1, 2, 3}, {4, 5, 6});
  const auto make_wait = [&now](NodeId id, NodeId replaces) {
    Member* member = const_cast<Member*>(now.Find(id));
    member->promote = true;
    member->replaces = replaces;
  };
  const auto promoted = [&now](const std::vector<NodeId>& ready) {
    const Configuration joint = PlanPromotion(now, ready);
    REQUIRE(IsValid(joint));
    const Configuration after = LeaveJoint(joint);
    REQUIRE(IsValid(after));
    return after;
  };
  // Two for one place: the first takes it, the second is added. One that is left waits for nobody.
  make_wait(4, 3);
  make_wait(5, 3);
  make_wait(6, 3);
  const Configuration two = promoted({4, 5});
  CHECK(two.Find(3) == nullptr);
  CHECK(two.Find(4)->voter);
  CHECK(two.Find(5)->voter);
  CHECK(two.Find(6)->promote);
  CHECK(two.Find(6)->replaces == kNoNode);
  // No request makes a learner wait for the place of another; bytes from a peer could say so.
  make_wait(4, 5);
  make_wait(5, 6);
  make_wait(6, 4);
  CHECK_FALSE(IsValid(now));
  const Configuration ring = promoted({4, 5, 6, 9, 1});
  for (NodeId id = 1; id <= 6; ++id) CHECK(ring.Find(id)->voter);
}

}  // namespace
}  // namespace bandb::raft
