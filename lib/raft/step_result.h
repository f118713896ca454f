// StepResult: what became of an event.
#ifndef BANDB_RAFT_STEP_RESULT_H_
#define BANDB_RAFT_STEP_RESULT_H_

#include "absl/status/status.h"
#include "raft/types/ids.h"

namespace bandb::raft {

// For Propose and ChangeMembership that were accepted: the term and index of the entry. Where an
// event has no errors of its own, anything but kOk says that it was dropped and why; that is not an
// error of the caller.
struct StepResult {
  absl::StatusCode code = absl::StatusCode::kOk;
  // Static text.
  const char* reason = "";
  Term term = 0;
  Index index = 0;

  bool ok() const { return code == absl::StatusCode::kOk; }
};

// The event was dropped, or refused: this is not the time, or not the node, for it.
inline StepResult Refused(const char* reason) { return {absl::StatusCode::kFailedPrecondition, reason}; }

}  // namespace bandb::raft

#endif  // BANDB_RAFT_STEP_RESULT_H_
