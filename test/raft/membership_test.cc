// From one configuration to the next.
#include "raft/membership.h"

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

}  // namespace
}  // namespace bandb::raft
