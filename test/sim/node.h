// Node: one machine of the simulated cluster. It has a clock, a device, a place in the network, and
// now and then a process: a core, a state machine, and this driver, which fulfils the duties that
// raft/core.h lays on the caller.
//
// All that happens to a process goes through its inbox. A turn takes everything from the inbox to
// the core, takes one output, and does what it says, action by action; with a planned crash,
// between any two of them.
#ifndef BANDB_TEST_SIM_NODE_H_
#define BANDB_TEST_SIM_NODE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/random.h"
#include "raft/core.h"
#include "sim/knobs.h"
#include "sim/local_clock.h"
#include "sim/log_device.h"
#include "sim/observer.h"
#include "sim/scheduler.h"
#include "sim/sim_disk.h"
#include "sim/state_machine.h"
#include "sim/trace.h"
#include "sim/transport.h"

namespace bandb::sim {

// What a client is told.
struct Reply {
  Outcome outcome = Outcome::kUnknown;
  uint64_t found = kAbsent;
  // Whom to ask instead.
  raft::NodeId leader = raft::kNoNode;
};

struct Request {
  Command command;
  size_t padding = 0;
  std::function<void(const Reply&)> reply;
};

// What all nodes of a run share. Borrowed.
struct World {
  Scheduler* scheduler = nullptr;
  Trace* trace = nullptr;
  Transport* transport = nullptr;
  Observer* observer = nullptr;
  const Knobs* knobs = nullptr;
};

class Node : public LogDevice::Listener, public Transport::Receiver {
 public:
  enum class State : uint8_t { kDown, kUp, kPaused };

  Node(const World& world, raft::NodeId id, raft::ClusterId cluster, uint64_t seed);

  raft::NodeId id() const { return id_; }
  State state() const { return state_; }
  bool up() const { return state_ == State::kUp; }
  // The running core; nullptr if there is none.
  const raft::Core* core() const { return core_.get(); }
  const StateMachine& machine() const { return *machine_; }
  raft::Index applied() const { return applied_; }
  SimDisk& disk() { return disk_; }
  LocalClock& clock() { return clock_; }
  // Lost its disk, for good.
  bool wiped() const { return wiped_; }
  // A write failed: the process waits to be restarted.
  bool failed() const { return failed_; }
  // The last start found the disk damaged: the node stays down.
  const absl::Status& damage() const { return damage_; }
  // How often a process was started.
  uint64_t incarnation() const { return incarnation_; }

  // Does nothing but note damage() if the disk is damaged.
  void Start();
  void Crash();
  // From the next start on the node belongs to another group.
  void SetCluster(raft::ClusterId cluster) { cluster_ = cluster; }
  // The next turns crash with this chance for each action; 0 never.
  void SetMidStepCrash(double chance, std::function<void()> crashed);
  void Pause();
  void Resume();
  void Wipe();
  // To be called after the clock was tampered with: timers are due at other times now.
  void ClockChanged();

  // From clients and operators. `reply` may never be called.
  void Submit(Request request);
  void Administer(raft::Event event, std::function<void(const raft::StepResult&)> then);
  // Takes back changes of membership that the process has not yet looked at.
  void ForgetChanges();

  // Transport::Receiver
  void OnMessage(raft::Message message) override;
  bool OnSnapshot(raft::Message message, Checkpoint checkpoint) override;

  // LogDevice::Listener
  void OnHardStateDurable(uint64_t write) override;
  void OnLogDurable(uint64_t write, raft::Term term, raft::Index index) override;
  void OnWriteFailed() override;
  void OnFetched(uint64_t fetch, bool ok, raft::Entries entries) override;
  void OnInstalled(raft::Index index, raft::Term term) override;
  void OnCheckpointSaved(const Checkpoint& checkpoint) override;
  void OnCapacity(bool nearly_full) override;

 private:
  struct Work {
    raft::Event event;
    std::function<void(const raft::StepResult&)> then;
  };
  struct Proposal {
    raft::Term term = 0;
    std::function<void(const Reply&)> reply;
  };

  raft::Options CoreOptions();
  void Push(raft::Event event, std::function<void(const raft::StepResult&)> then = nullptr);
  void PlanTurn();
  void Turn(uint64_t incarnation);
  // False if the process crashed at this point.
  bool Survives();
  void DeadlineAt(raft::Nanos local);

  // The duties, in the order of raft/core.h. All false if the process crashed on the way.
  bool Execute(const raft::Output& output);
  bool DoWrites(const raft::Output& output);
  bool DoMessages(const raft::Output& output);
  bool DoSnapshots(const raft::Output& output);
  void Note(const raft::Output& output);
  void Leave(const raft::Message& message);
  void ReleaseMessages();
  void Install(const raft::SnapshotMeta& meta);
  void ServeRead(const raft::ReadResult& result);
  void SendSnapshot(const raft::SendSnapshot& send);

  void QueueApply(const raft::Committed& committed);
  void FetchToApply();
  void PlanApply();
  void ApplyReady(uint64_t incarnation);
  void Apply(const raft::Entry& entry);
  // Tells the core how far the state machine is, and makes a checkpoint of it if one is due, or
  // wanted.
  void ReportApplied(bool wanted);

  World world_;
  const raft::NodeId id_;
  raft::ClusterId cluster_;
  base::Random random_;
  LocalClock clock_;
  SimDisk disk_;
  std::unique_ptr<StateMachine> machine_;
  State state_ = State::kDown;
  bool wiped_ = false;
  bool failed_ = false;
  absl::Status damage_;
  uint64_t incarnation_ = 0;
  double crash_chance_ = 0;
  std::function<void()> crashed_;
  Nanos turn_delay_ = 0;

  // The process; all of it goes in a crash.
  std::unique_ptr<raft::Core> core_;
  raft::Output output_;
  std::deque<Work> inbox_;
  bool turn_planned_ = false;
  Nanos deadline_ = 0;
  uint64_t durable_log_write_ = 0;
  uint64_t durable_hard_state_write_ = 0;
  std::deque<raft::Outgoing> kept_;
  raft::Index applied_ = 0;
  std::deque<raft::Committed> to_apply_;
  bool apply_planned_ = false;
  bool apply_fetching_ = false;
  uint64_t apply_epoch_ = 0;
  uint32_t applied_since_checkpoint_ = 0;
  bool checkpointing_ = false;
  uint64_t next_checkpoint_id_ = 1;
  std::map<std::pair<raft::Index, raft::Term>, Checkpoint> received_;
  Checkpoint installing_;
  std::multimap<raft::Index, Proposal> proposals_;
  std::map<uint64_t, Request> reads_;
  uint64_t next_read_ = 1;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_NODE_H_
