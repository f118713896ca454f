// Restart: what a core is told of the disk when it starts, and the recovery of a group that lost
// its quorum.
#ifndef BANDB_RAFT_RESTART_H_
#define BANDB_RAFT_RESTART_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/cost_trail.h"
#include "raft/types/durable_state.h"
#include "raft/types/entry.h"

namespace bandb::raft {

// From `first` on, entries have this term, up to the next run's first.
struct TermRun {
  Index first = 0;
  Term term = 0;
};

// The log may be of a later term than the hard state: entries and hard state are written apart, and
// either may reach the disk first. The node then starts in the term of its log, in which it cannot
// have voted.
//
// A node that never ran: Restart{} if it is to join a group, FirstStart() if it is one of the first
// members. Otherwise filled from disk: hard_state, floor, applied, then AddEntry() for each entry
// of the log, in order.
struct Restart {
  HardState hard_state;
  // The log begins after this. Its configuration is the one at floor.index.
  SnapshotMeta floor;
  // What the state machine has durably applied; between floor.index and the end of the log.
  Index applied = 0;

  // Made by AddEntry().
  std::vector<TermRun> terms;
  Index last_index = 0;
  std::vector<Configuration> configurations;
  // The cost of each entry after max(floor.index, hard_state.commit, applied).
  std::vector<uint64_t> tail_costs;
  // The cost of all of them, roughly.
  CostTrail costs;

  Term last_term() const { return terms.empty() ? floor.term : terms.back().term; }

  // Takes note of the next entry. Errors: kDataLoss (not the next index, a term that goes back, or
  // no configuration where one should be): the log on disk is not a log.
  absl::Status AddEntry(const Entry& entry);
  // Errors: kDataLoss naming what does not fit together (state older or newer than the log, rule R5
  // of the log).
  absl::Status Validate() const;
};

// The state of each of a new group's first members. All must be given the same valid configuration.
Restart FirstStart(Configuration configuration);

// ---- A quorum is lost for good. ----
//
// Only when a majority of voters will never return. Everything acknowledged that no survivor holds
// is lost. The way: stop all survivors; let each tell its PositionOf(); give all of them the same
// LostQuorum; let each call RecoverLostQuorum() and make durable what it returns before it starts
// again. Only the survivor with the best position adds an entry, which fixes the same configuration
// for everyone; the rest follow it by the usual rules. The new cluster id keeps out the nodes that
// were believed lost.
//
// Every survivor comes to the same result, because what it judges by is in the list: what it knows
// itself of the members plays no part. One that has missed changes takes the list that the others
// take.

struct LogPosition {
  NodeId node = kNoNode;
  Term last_term = 0;
  Index last_index = 0;
  Term hard_state_term = 0;
  // The latest one in its log.
  Configuration configuration;

  friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

// What the survivor `self`, which is stopped, tells of itself.
LogPosition PositionOf(const Restart& state, NodeId self);

struct LostQuorum {
  // All survivors. ALL OF THEM BECOME VOTERS, those that were learners, or on their way in or out,
  // included: a node that is not to vote does not belong on the list.
  std::vector<LogPosition> survivors;
  ClusterId new_cluster = 0;
};

struct QuorumRecovery {
  ClusterId cluster = 0;
  HardState hard_state;
  // To be appended to the log, by one survivor only.
  std::optional<Entry> entry;
  // The survivors that did not vote before, by what the best of them knows, and will from now on.
  // For the operator to see.
  std::vector<NodeId> new_voters;
};

// Errors: kFailedPrecondition (the survivors can elect one of them as they are; one of them does
// not know itself to be a member), kInvalidArgument (`self` is not among the survivors or its
// position is not that of `state`; a node is twice on the list; the cluster id is not new).
absl::StatusOr<QuorumRecovery> RecoverLostQuorum(const Restart& state, NodeId self, GroupId group, ClusterId cluster,
                                                 const LostQuorum& lost);

}  // namespace bandb::raft

#endif  // BANDB_RAFT_RESTART_H_
