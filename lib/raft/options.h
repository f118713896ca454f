// Options of one core. The timeouts and `clock_drift_percent` must be the same on all members of a
// group: the promise that a follower gives (no other leader for one election timeout) is the one
// that a leader relies on.
#ifndef BANDB_RAFT_OPTIONS_H_
#define BANDB_RAFT_OPTIONS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "raft/types/ids.h"

namespace bandb::raft {

inline constexpr uint32_t kPriorityMax = 10;

struct Options {
  // Which node this is. `cluster` is compared with every message's.
  NodeId self = kNoNode;
  GroupId group = 0;
  ClusterId cluster = 0;
  // Of all random choices. Must be another one at each start of a node, since the numbers by which
  // it recognises the answers to its own questions are drawn from it.
  uint64_t seed = 0;

  // A follower that heard no leader for a random time in [election_timeout, 2 * election_timeout)
  // stands for election; a leader that heard no quorum for election_timeout steps down.
  Nanos election_timeout_nanos = 1'000'000'000;
  // At most a third of the election timeout.
  Nanos heartbeat_interval_nanos = 100'000'000;
  // 0 to kPriorityMax. Each step below kPriorityMax adds half an election timeout to the wait
  // before an election, so the preferred node usually wins. The lowest still stands: priority
  // orders, it never forbids.
  uint32_t priority = kPriorityMax;
  // A node one of whose own writes, of the log or of term and vote, has been under way for this
  // long gives up leadership and does not stand for election. Its heartbeats alone must not keep a
  // cluster hostage to a hung disk. At least the election timeout, which is how long a node waits
  // for the write of its own vote before it stands again.
  Nanos disk_stall_timeout_nanos = 3'000'000'000;

  // Entries in one message, by cost in bytes; a single larger entry travels alone.
  uint64_t message_bytes_max = 1 << 20;
  // Sent and not yet acknowledged, for each peer. Few messages at a time let the next batch form
  // meanwhile, which is what makes batches large under load without waiting when there is none.
  uint64_t inflight_bytes_max = 8 << 20;
  uint32_t inflight_messages_max = 8;
  // Proposals are refused while this much is in the log and not committed, whichever node proposed
  // it and in whichever term.
  uint64_t uncommitted_bytes_max = 64 << 20;
  // Entries kept in memory beyond what is not yet durable, for peers that are a little behind.
  uint64_t cached_bytes_max = 16 << 20;
  // Committed entries handed out and not yet reported applied.
  uint64_t applying_bytes_max = 16 << 20;
  // Reads that wait, in all.
  uint32_t pending_reads_max = 1 << 16;

  // A learner that is to be promoted counts as caught up at most this many entries behind.
  uint64_t promotion_lag_entries = 1000;
  // A snapshot is asked for when the log since the last one has grown to this.
  uint64_t snapshot_log_bytes = 64 << 20;
  // How much of the log before a snapshot is kept for followers that are not far behind.
  uint64_t retained_log_bytes = 64 << 20;

  // How long a commit index that nothing else has to travel with waits for company: new entries or
  // a heartbeat. It costs a message for each peer and commit otherwise. 0: it does not wait. At
  // most the heartbeat interval.
  Nanos commit_delay_nanos = 0;

  // Serve reads under a lease, without a round. Assumes that no member's clock drifts by more than
  // clock_drift_percent and that clocks count the time of a suspended machine. Off: every read
  // costs (a share of) one quorum round.
  bool lease_reads = false;
  uint32_t clock_drift_percent = 1;

  // Errors: kInvalidArgument naming every rule that is violated.
  absl::Status Validate() const;
};

// How long after the start of a quorum round a lease read may be served: the followers' promise,
// less the drift of two clocks in opposite directions and one percent for the arithmetic.
inline Nanos LeaseDurationNanos(const Options& options) {
  return options.election_timeout_nanos / 100 * (99 - 2 * static_cast<Nanos>(options.clock_drift_percent));
}

}  // namespace bandb::raft

#endif  // BANDB_RAFT_OPTIONS_H_
