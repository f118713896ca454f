// Membership: from one configuration to the next. Pure functions; when a leader may take a step is
// decided elsewhere.
//
//            changes of learners only
//   simple ----------------------------> simple
//   simple --EnterJoint--> joint --LeaveJoint--> simple      any change of voters
#ifndef BANDB_RAFT_MEMBERSHIP_H_
#define BANDB_RAFT_MEMBERSHIP_H_

#include <vector>

#include "absl/status/status.h"
#include "raft/event.h"
#include "raft/types/configuration.h"

namespace bandb::raft {

// The outcome of a request, or why there is none.
struct ChangePlan {
  absl::StatusCode code = absl::StatusCode::kOk;
  const char* reason = "";
  Configuration next;

  bool ok() const { return code == absl::StatusCode::kOk; }
};

// What `changes`, taken together, make of `now`, which is not joint. Joint if any voter comes or
// goes. Version and index of the result are the caller's to set. kPromote is not checked for having
// caught up. Errors: as ChangeMembership.
ChangePlan PlanChange(const Configuration& now, const std::vector<Change>& changes);

// The joint configuration in which the learners `ready` (with `promote` set) become voters, each in
// the place of the voter that it replaces, if there is one. A member of `ready` that is no such
// learner is left as it is.
Configuration PlanPromotion(const Configuration& now, const std::vector<NodeId>& ready);

// The configuration after a joint one.
Configuration LeaveJoint(const Configuration& joint);

}  // namespace bandb::raft

#endif  // BANDB_RAFT_MEMBERSHIP_H_
