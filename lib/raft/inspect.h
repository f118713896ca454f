// What can be seen of a core from outside: for checks after every step, for metrics, and for a
// person who asks why a group is slow or stuck.
#ifndef BANDB_RAFT_INSPECT_H_
#define BANDB_RAFT_INSPECT_H_

#include <cstdint>
#include <vector>

#include "raft/output.h"
#include "raft/types/ids.h"

namespace bandb::raft {

enum class PeerState : uint8_t { kProbe = 0, kReplicate = 1, kSnapshot = 2 };

// How a leader sees one peer.
struct PeerView {
  NodeId id = kNoNode;
  PeerState state = PeerState::kProbe;
  // Everything up to `match` is durable on the peer; `next` is what will be sent next. match <
  // next.
  Index match = 0;
  Index next = 0;
  uint64_t inflight_bytes = 0;
  uint32_t inflight_messages = 0;
  uint64_t session = 0;
  uint64_t acknowledged_round = 0;
  bool log_full = false;
};

struct Inspect {
  NodeId self = kNoNode;
  Role role = Role::kFollower;
  Term term = 0;
  NodeId vote = kNoNode;
  NodeId leader = kNoNode;
  // floor <= applied <= handed_out <= commit; durable <= last.
  Index floor = 0;
  Term floor_term = 0;
  Index applied = 0;
  Index handed_out = 0;
  Index commit = 0;
  Index durable = 0;
  Index last = 0;
  Term last_term = 0;
  // Term and vote that are known to be on disk.
  Term durable_term = 0;
  NodeId durable_vote = kNoNode;
  uint64_t uncommitted_bytes = 0;
  uint64_t cached_bytes = 0;
  uint32_t pending_reads = 0;
  bool transferring = false;
  bool installing = false;
  // This node knows that it belongs to the group no more, unless it is added again.
  bool removed = false;
  bool failed = false;
  bool lease_valid = false;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_INSPECT_H_
