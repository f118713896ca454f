// Node: one machine of the simulated cluster. It has a clock, a device, a place in the network, and
// now and then a process: a driver with its core, and a state machine. Towards the driver the node
// is host, log device, state machine and transport.
//
// All that happens to a process goes through its inbox. A turn takes everything from the inbox to
// the core, and has the driver do what comes out, action by action; with a planned crash, between
// any two of them. A process that died amid a turn is torn down at its end; until then whatever it
// still does reaches nobody.
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
#include "cluster/driver.h"
#include "cluster/state_machine.h"
#include "cluster/transport.h"
#include "raft/core.h"
#include "sim/coverage.h"
#include "sim/knobs.h"
#include "sim/kv_machine.h"
#include "sim/local_clock.h"
#include "sim/network.h"
#include "sim/observer.h"
#include "sim/scheduler.h"
#include "sim/sim_disk.h"
#include "sim/trace.h"

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

// Instants at which a crash hurts more than at others.
enum class Moment : uint8_t {
  kInstall,        // a snapshot is about to be installed
  kLeadsJoint,     // a joint configuration is in the log of a leader
  kSendsSnapshot,  // a leader gives a peer a snapshot
};

class Node;

// What all nodes of a run share. Borrowed.
struct World {
  Scheduler* scheduler = nullptr;
  Trace* trace = nullptr;
  Network* network = nullptr;
  Observer* observer = nullptr;
  const Knobs* knobs = nullptr;
  const std::function<void(Node*, Moment)>* on_moment = nullptr;
};

class Node : public SimDisk::Listener,
             public Network::Receiver,
             private cluster::Driver::Host,
             private cluster::LogDevice,
             private cluster::StateMachine,
             private cluster::Transport {
 public:
  enum class State : uint8_t { kDown, kUp, kPaused };

  Node(const World& world, raft::NodeId id, raft::ClusterId cluster, uint64_t seed);

  raft::NodeId id() const { return id_; }
  State state() const { return state_; }
  bool up() const { return state_ == State::kUp; }
  // The running core; nullptr if there is none.
  const raft::Core* core() const { return driver_ == nullptr ? nullptr : &driver_->core(); }
  const KvMachine& machine() const { return machine_; }
  raft::Index applied() const { return applied_; }
  SimDisk& disk() { return disk_; }
  LocalClock& clock() { return clock_; }
  // Lost its disk, for good.
  bool wiped() const { return wiped_; }
  // A write failed: the process waits to be restarted.
  bool failed() const { return driver_ != nullptr && driver_->failed(); }
  // The last start found the disk damaged: the node stays down.
  const absl::Status& damage() const { return damage_; }
  Coverage coverage() const;
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

  // Network::Receiver
  void OnMessage(raft::Message message) override;
  bool OnSnapshot(raft::Message message, Checkpoint checkpoint) override;

  // SimDisk::Listener
  void OnHardStateDurable(uint64_t write) override;
  void OnLogDurable(uint64_t write, raft::Term term, raft::Index index) override;
  void OnWriteFailed() override;
  void OnFetched(uint64_t fetch, bool ok, raft::Entries entries) override;
  void OnReset(raft::Index index, raft::Term term) override;
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
  void CoverCrash();
  void Reach(Moment moment);
  // Where the process may crash.
  void MayCrash();
  void Note(const raft::Output& output);
  void ServeRead(const raft::ReadResult& result);

  // cluster::Driver::Host
  void Post(raft::Event event) override;
  void OnOutput(const raft::Output& output) override;
  void OnRead(const raft::ReadResult& result) override;
  void OnDeadline(raft::Nanos local) override;
  // cluster::LogDevice
  void WriteHardState(const raft::HardStateWrite& write) override;
  void WriteLog(const raft::LogWrite& write) override;
  void Fetch(const raft::Fetch& fetch) override;
  void Reset(const raft::SnapshotMeta& floor) override;
  void Compact(raft::Index index) override;
  // cluster::StateMachine
  void ApplyReady() override;
  void Install(const raft::SnapshotMeta& meta) override;
  void TakeSnapshot() override;
  // cluster::Transport
  void Send(const raft::Message& message) override;
  void SendSnapshot(const raft::SendSnapshot& send) override;

  void ApplyAll(uint64_t epoch);
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
  KvMachine machine_;
  State state_ = State::kDown;
  bool wiped_ = false;
  absl::Status damage_;
  uint64_t incarnation_ = 0;
  double crash_chance_ = 0;
  std::function<void()> crashed_;
  Nanos turn_delay_ = 0;
  Coverage coverage_;

  // The process; all of it goes in a crash.
  std::unique_ptr<cluster::Driver> driver_;
  // Died amid a turn, which is not over.
  std::unique_ptr<cluster::Driver> dead_;
  std::deque<Work> inbox_;
  bool turn_planned_ = false;
  bool in_turn_ = false;
  // Of the present output, those messages that are yet to be sent and wait for nothing.
  size_t immediate_messages_ = 0;
  Nanos deadline_ = 0;
  raft::Index applied_ = 0;
  bool apply_planned_ = false;
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
