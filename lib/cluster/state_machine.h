// StateMachine: what the log drives. A seam: the storage engine in what ships, a small map in the
// simulator.
#ifndef BANDB_CLUSTER_STATE_MACHINE_H_
#define BANDB_CLUSTER_STATE_MACHINE_H_

#include "raft/types/durable_state.h"

namespace bandb::cluster {

// Thread safety: one thread at a time, the node's.
class StateMachine {
 public:
  virtual ~StateMachine() = default;

  // Committed entries are there to be taken with Driver::TakeReady, now or later. Says so more than
  // once for the same entries.
  virtual void ApplyReady() = 0;
  // Replaces the state by the snapshot that was received as `meta`, durably, its description
  // included; the log is the driver's to empty after that. Ends with Driver::StateInstalled, which
  // may be called from inside; `ok` is false if nothing was changed. Until then no entries are
  // given out.
  virtual void Install(const raft::SnapshotMeta& meta) = 0;
  // A snapshot is wanted soon: the log has grown, or a follower needs one. Ends with SnapshotTaken,
  // when one that can be sent is durable.
  virtual void TakeSnapshot() = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_STATE_MACHINE_H_
