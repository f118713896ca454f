// What a node must find on its disk again after a crash, besides the entries of its log.
#ifndef BANDB_RAFT_TYPES_DURABLE_STATE_H_
#define BANDB_RAFT_TYPES_DURABLE_STATE_H_

#include <cstdint>

#include "raft/types/configuration.h"
#include "raft/types/ids.h"

namespace bandb::raft {

// Term and vote must be durable before anything that follows from them is said. The commit index is
// a hint: an old one costs a longer wait after a restart, never correctness.
struct HardState {
  Term term = 0;
  NodeId vote = kNoNode;
  Index commit = 0;

  friend bool operator==(const HardState&, const HardState&) = default;
};

// What a snapshot replaces: the log up to and including `index`, whose entry has `term`. The
// configuration is the one in force at that index, never a later one that might still be truncated.
struct SnapshotMeta {
  Index index = 0;
  Term term = 0;
  Configuration configuration;
  // Which of the owner's snapshots it is; opaque to the core.
  uint64_t id = 0;

  friend bool operator==(const SnapshotMeta&, const SnapshotMeta&) = default;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_TYPES_DURABLE_STATE_H_
