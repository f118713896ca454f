// Observer: what the checks hear of a node, at the instant at which it happens.
#ifndef BANDB_TEST_SIM_OBSERVER_H_
#define BANDB_TEST_SIM_OBSERVER_H_

#include <cstdint>

#include "raft/core.h"
#include "raft/output.h"
#include "raft/types/message.h"
#include "sim/sim_disk.h"

namespace bandb::sim {

class Observer {
 public:
  virtual ~Observer() = default;

  // A process opened its device, and a core was made of it.
  virtual void OnStart(raft::NodeId node, const Recovered& recovered, const raft::Core& core) = 0;
  // The process died.
  virtual void OnStop(raft::NodeId node) = 0;
  // A turn is over; nothing of `output` is done yet.
  virtual void OnOutput(raft::NodeId node, const raft::Core& core, const raft::Output& output) = 0;
  virtual void OnHardStateDurable(raft::NodeId node, uint64_t write) = 0;
  virtual void OnLogDurable(raft::NodeId node, uint64_t write) = 0;
  virtual void OnInstalled(raft::NodeId node, const Checkpoint& checkpoint) = 0;
  virtual void OnCheckpoint(raft::NodeId node, const Checkpoint& checkpoint) = 0;
  // The core was told that a write failed.
  virtual void OnDiskFailed(raft::NodeId node) = 0;
  // The message leaves the node now.
  virtual void OnSend(raft::NodeId node, const raft::Message& message) = 0;
  virtual void OnReceive(raft::NodeId node, const raft::Message& message) = 0;
  // Before the state machine takes it.
  virtual void OnApply(raft::NodeId node, const raft::Entry& entry) = 0;
  // The node begins a linearizable read, and answers it from its state machine, which is at
  // `applied`.
  virtual void OnReadAsked(raft::NodeId node, uint64_t read) = 0;
  virtual void OnReadServed(raft::NodeId node, uint64_t read, raft::Index index, raft::Index applied) = 0;
  // The node accepted a proposal of this cost.
  virtual void OnProposed(raft::NodeId node, const raft::Core& core, uint64_t cost_bytes) = 0;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_OBSERVER_H_
