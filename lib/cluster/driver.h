// Driver: fulfils the duties that raft/core.h lays on the owner of a core, over three seams: log
// device, state machine and transport.
//
// It holds the core, and with it what must be kept between the parts: messages until the writes
// that they rest on are durable, committed entries until the state machine takes them, and the
// order of an install. It has no queue of events, no clock and no threads; these are the host's,
// which turns it:
//
//   driver->Step(now, event);     // for each event that has arrived, what Post() brought included
//   driver->Turn();               // one output for all of them, done in the order of core.h
//
// and which passes on what log device and state machine answer. The same driver runs in the node
// that ships, in the simulator, under the scripts of the transcripts and in the fuzz target.
#ifndef BANDB_CLUSTER_DRIVER_H_
#define BANDB_CLUSTER_DRIVER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "cluster/apply_queue.h"
#include "cluster/held_messages.h"
#include "cluster/log_device.h"
#include "cluster/state_machine.h"
#include "cluster/transport.h"
#include "raft/core.h"

namespace bandb::cluster {

// Thread safety: one thread at a time.
class Driver {
 public:
  // The owner of the events and timers that the driver works with; it speaks with clients.
  class Host {
   public:
    virtual ~Host() = default;
    // An event for a Step() after the present call has returned.
    virtual void Post(raft::Event event) = 0;
    // Before anything of `output` is done: who leads, who belongs, what went wrong (duty 1).
    virtual void OnOutput(const raft::Output& output) = 0;
    virtual void OnRead(const raft::ReadResult& result) = 0;
    // A Tick is due then, and no longer when it was due before.
    virtual void OnDeadline(raft::Nanos deadline) = 0;
  };
  // Borrowed; they outlive the driver.
  struct Parts {
    Host* host = nullptr;
    LogDevice* log = nullptr;
    StateMachine* machine = nullptr;
    Transport* transport = nullptr;
  };

  // Errors: as raft::Core::Create.
  static absl::StatusOr<std::unique_ptr<Driver>> Create(const raft::Options& options, const raft::Restart& restart,
                                                        raft::Nanos now, const Parts& parts);
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  const raft::Core& core() const { return *core_; }
  // A write failed: nothing that was held will be said.
  bool failed() const { return failed_; }

  raft::StepResult Step(raft::Nanos now, raft::Event event) { return core_->Step(now, std::move(event)); }
  // Takes one output of the core and does what it says.
  void Turn();

  // What the log device answers. After a write has become durable the host calls SendReady(),
  // unless the process is stopped.
  void HardStateDurable(uint64_t write);
  void LogDurable(uint64_t write, raft::Term term, raft::Index index);
  void WriteFailed();
  void Fetched(uint64_t fetch, bool ok, raft::Entries entries, bool lost = false);
  void LogReset();
  void LogCapacity(bool nearly_full, bool lacks_space = true);
  // Sends the held messages whose writes are durable.
  void SendReady();

  // For the state machine. Replaces `*entries` by the next ones to apply; false if none are here
  // now. When all that is here was taken, ContinueApply() sees to the rest.
  bool TakeReady(raft::Entries* entries);
  void ContinueApply();
  // The end of StateMachine::Install.
  void StateInstalled(bool ok);

 private:
  Driver(const Parts& parts, std::unique_ptr<raft::Core> core);

  void DoWrites(const raft::Output& output);
  void DoMessages(raft::Output* output);
  void DoInstall(const raft::SnapshotMeta& meta);
  void DoRest(const raft::Output& output);

  const Parts parts_;
  const std::unique_ptr<raft::Core> core_;
  raft::Output output_;
  bool turning_ = false;
  bool failed_ = false;
  HeldMessages held_;
  std::vector<raft::Message> ready_;
  ApplyQueue apply_;
  std::optional<raft::SnapshotMeta> installing_;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_DRIVER_H_
