// SimDisk: the simulated log device. The fault model is in knobs.h.
//
// Two images: what is durable, and what has been written, which is the durable one with all writes
// under way applied. Writes become durable in order, each after a random time; a crash keeps a
// random prefix of them, the last one cut between two of its entries. Hard state and log are one
// stream or two, by a knob: the core may rely on neither.
#ifndef BANDB_TEST_SIM_SIM_DISK_H_
#define BANDB_TEST_SIM_SIM_DISK_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/random.h"
#include "cluster/log_device.h"
#include "raft/restart.h"
#include "sim/knobs.h"
#include "sim/log_image.h"
#include "sim/scheduler.h"

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
  // All entries after the floor, for the checks.
  raft::Entries entries;
};

// The device outlives the processes of its node: a process opens it, and when the process dies
// whatever had not been reported is resolved one way or the other before the next one opens it.
class SimDisk : public cluster::LogDevice {
 public:
  class Listener : public cluster::LogDevice::Listener {
   public:
    virtual void OnCheckpointSaved(const Checkpoint& checkpoint) = 0;
  };

  SimDisk(Scheduler* scheduler, const DiskKnobs& knobs, Nanos checkpoint_mean, uint64_t seed);

  // The disk of a first member of a group.
  void Format(const raft::Configuration& configuration);

  // What the disk holds; `listener` hears of all that this process starts from now on. Errors:
  // kDataLoss.
  absl::StatusOr<Recovered> Open(Listener* listener);
  // The process died: resolves what was under way, and forgets the listener.
  void Abandon();
  void WriteHardState(const raft::HardStateWrite& write) override;
  void WriteLog(const raft::LogWrite& write) override;
  void Fetch(const raft::Fetch& fetch) override;
  void Reset(const raft::SnapshotMeta& floor) override;
  void Compact(raft::Index index) override;
  // The data of the snapshot that the next Reset() empties the log for. It becomes durable with
  // that, and just before it.
  void Stage(std::shared_ptr<const std::string> data) { staged_ = std::move(data); }
  void SaveCheckpoint(const Checkpoint& checkpoint);
  // The newest durable checkpoint.
  const Checkpoint& checkpoint() const { return checkpoint_; }

  // Faults.
  void HangUntil(Nanos when) { hang_until_ = std::max(hang_until_, when); }
  void FailNextWrite() { fail_next_ = true; }
  void SetFull(bool full);
  // Full to the last byte: log writes fail, and checkpoints wait.
  void SetNoSpace(bool none);
  // Damages an entry that is durable. False if there is none to damage.
  bool Rot();
  // Ends hangs and fullness, and from now on there are no stalls.
  void Heal();

  // What a process would find. Errors: kDataLoss, naming a damaged entry.
  absl::StatusOr<Recovered> Read() const;
  // Makes the outcome of RecoverLostQuorum() durable, while no process runs.
  void Recover(const raft::QuorumRecovery& recovery);

  // Truncations that came while writes of the log were under way.
  uint64_t truncations_under_way() const { return truncations_under_way_; }

  uint64_t log_bytes() const { return written_.bytes; }

 private:
  enum class WriteKind : uint8_t { kHardState, kLog, kInstall };
  struct Write {
    WriteKind kind = WriteKind::kLog;
    uint64_t number = 0;
    Nanos due = 0;
    raft::HardState hard_state;
    raft::Entries entries;
    Checkpoint checkpoint;
  };
  // Writes of one order. `armed`: an event is planned for the first of them.
  struct Stream {
    std::deque<Write> writes;
    Nanos last_due = 0;
    bool armed = false;
  };

  Nanos Latency();
  Stream& StreamOf(WriteKind kind);
  void Enqueue(Write write);
  void Arm(Stream* stream);
  void Pump(Stream* stream, uint64_t generation);
  void Report(const Write& write);
  void Fail();
  // Makes `write` durable, or the part of it that `entries_kept` says.
  void Settle(const Write& write, size_t entries_kept);
  void SettlePrefix(Stream* stream);
  void CompleteCheckpoint(raft::Index index);
  void UpdateCapacity();

  Scheduler* const scheduler_;
  DiskKnobs knobs_;
  const Nanos checkpoint_mean_;
  base::Random random_;
  const bool one_stream_;
  Listener* listener_ = nullptr;
  // One more with every process, so that the completions of a dead one are void.
  uint64_t generation_ = 0;
  LogImage durable_;
  LogImage written_;
  Checkpoint checkpoint_;
  std::optional<Checkpoint> pending_checkpoint_;
  std::shared_ptr<const std::string> staged_;
  Stream main_;
  Stream hard_states_;
  Nanos hang_until_ = 0;
  bool fail_next_ = false;
  bool failed_ = false;
  bool full_ = false;
  bool no_space_ = false;
  // Damaged entries, and the checksums that were written with them.
  struct Damage {
    raft::Index index = 0;
    raft::Term term = 0;
    uint64_t checksum = 0;
  };
  std::vector<Damage> damaged_;
  bool told_full_ = false;
  uint64_t truncations_under_way_ = 0;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_SIM_DISK_H_
