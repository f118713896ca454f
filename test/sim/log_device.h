// LogDevice: where a node keeps what must survive it: hard state, log, and one checkpoint of the
// state machine.
//
// A seam. The simulator's own device (sim_disk.h) models a disk and the rules of the single log;
// the production log over simulated files can take its place, since nothing else knows more of it
// than this.
//
// The device outlives the processes of its node: a process opens it, and when the process dies
// whatever had not been reported is resolved one way or the other before the next one opens it.
#ifndef BANDB_TEST_SIM_LOG_DEVICE_H_
#define BANDB_TEST_SIM_LOG_DEVICE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "raft/output.h"
#include "raft/restart.h"
#include "raft/types/durable_state.h"

namespace bandb::sim {

// The state machine as it was at meta.index.
struct Checkpoint {
  raft::SnapshotMeta meta;
  std::shared_ptr<const std::string> data;
};

// What a process finds when it opens its device. Without a checkpoint (data == nullptr) the state
// machine is empty.
struct Recovered {
  raft::Restart restart;
  Checkpoint checkpoint;
  // All entries behind the floor, for the checks.
  raft::Entries entries;
};

class LogDevice {
 public:
  // Completions, in later turns, never from inside a call to the device.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnHardStateDurable(uint64_t write) = 0;
    virtual void OnLogDurable(uint64_t write, raft::Term term, raft::Index index) = 0;
    // A write failed. The device takes nothing more from this process.
    virtual void OnWriteFailed() = 0;
    virtual void OnFetched(uint64_t fetch, bool ok, raft::Entries entries) = 0;
    virtual void OnInstalled(raft::Index index, raft::Term term) = 0;
    virtual void OnCheckpointSaved(const Checkpoint& checkpoint) = 0;
    virtual void OnCapacity(bool nearly_full) = 0;
  };

  virtual ~LogDevice() = default;

  // What the disk holds; `listener` hears of all that this process starts from now on. Errors:
  // kDataLoss.
  virtual absl::StatusOr<Recovered> Open(Listener* listener) = 0;
  // The process died: resolves what was under way, and forgets the listener.
  virtual void Abandon() = 0;

  virtual void WriteHardState(const raft::HardStateWrite& write) = 0;
  virtual void WriteLog(const raft::LogWrite& write) = 0;
  virtual void Fetch(const raft::Fetch& fetch) = 0;
  // Replaces state machine and log by a snapshot.
  virtual void Install(const Checkpoint& checkpoint) = 0;
  virtual void SaveCheckpoint(const Checkpoint& checkpoint) = 0;
  // Entries up to here may go.
  virtual void Compact(raft::Index index) = 0;
  // The newest durable checkpoint.
  virtual const Checkpoint& checkpoint() const = 0;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_LOG_DEVICE_H_
