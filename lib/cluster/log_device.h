// LogDevice: where a node keeps its hard state and its log.
//
// A seam: the disk that ships is one implementation, the simulator's model of a disk and the
// scripted one of the transcripts are others, and the driver knows no more of any of them than
// this.
#ifndef BANDB_CLUSTER_LOG_DEVICE_H_
#define BANDB_CLUSTER_LOG_DEVICE_H_

#include <cstdint>

#include "raft/output.h"
#include "raft/types/durable_state.h"
#include "raft/types/entry.h"
#include "raft/types/ids.h"

namespace bandb::cluster {

// Thread safety: one thread at a time, the node's.
class LogDevice {
 public:
  // How the device answers; on the node's thread, in later turns, never from inside a call to the
  // device.
  class Listener {
   public:
    virtual ~Listener() = default;
    // This write, and all earlier ones of its kind, survive power loss.
    virtual void OnHardStateDurable(uint64_t write) = 0;
    virtual void OnLogDurable(uint64_t write, raft::Term term, raft::Index index) = 0;
    // A write failed, or it is unknown whether it did. The device takes nothing more from this
    // process, and answers no write that it has not answered yet.
    virtual void OnWriteFailed() = 0;
    // Entries from the first one asked for, in order, at least one; none if not `ok`.
    virtual void OnFetched(uint64_t fetch, bool ok, raft::Entries entries) = 0;
    // Likewise not `ok`, and it never will be: the first of them is damaged or gone, or the system
    // has refused it for long.
    virtual void OnFetchLost(uint64_t fetch) { OnFetched(fetch, false, {}); }
    // The log is durably empty after the snapshot at (index, term).
    virtual void OnReset(raft::Index index, raft::Term term) = 0;
    // The disk is nearly full, or has room again.
    virtual void OnCapacity(bool nearly_full) = 0;
  };

  virtual ~LogDevice() = default;

  // Writes of one kind become durable in the order in which they are given, those of different
  // kinds in any. When the call returns, the bytes have room on the disk.
  virtual void WriteHardState(const raft::HardStateWrite& write) = 0;
  virtual void WriteLog(const raft::LogWrite& write) = 0;
  // Reads entries that were given to WriteLog, durable or not.
  virtual void Fetch(const raft::Fetch& fetch) = 0;
  // Empties the log: it begins after `floor` from now on, and earlier writes of it count no more.
  // What `floor` describes is durable already. The hard state stays.
  virtual void Reset(const raft::SnapshotMeta& floor) = 0;
  // Entries up to here will not be asked for again: they may be deleted.
  virtual void Compact(raft::Index index) = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_LOG_DEVICE_H_
