// Machine: a computer of a simulated world, on which one node of a cluster runs: the node that
// ships, with its log, engine, applier, sessions, links and snapshots, over a disk that crashes.
//
// The disk, the clock and the address last; the process comes and goes. It dies at any call to the
// file system, or in between, with nothing said; what it had not synced may be lost.
#ifndef BANDB_TEST_WORLD_MACHINE_H_
#define BANDB_TEST_WORLD_MACHINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "cluster/join.h"
#include "cluster/node.h"
#include "support/crash_file_system.h"
#include "support/memory_logger.h"
#include "support/scarce_memory.h"
#include "support/sim_executor.h"
#include "support/sim_streams.h"

namespace bandb::world {

// Nanoseconds of virtual time.
using Nanos = int64_t;
inline constexpr Nanos kMilli = 1'000'000;
inline constexpr Nanos kSecond = 1000 * kMilli;

// How a process ends that was not asked to.
struct Death {
  // Nothing: the process alone, so that all is there which the operating system was handed.
  std::optional<test::Damage> power_loss;
};

struct MachineOptions {
  cluster::NodeOptions node;
  int executor_workers = 2;
  Nanos sync_nanos_min = 100'000;
  Nanos sync_nanos_max = 2 * kMilli;
};

// Thread safety: one thread. Lifetime: network and events outlive it.
class Machine {
 public:
  // Told by the machine; in turns of its process unless said otherwise.
  class Events {
   public:
    virtual ~Events() = default;
    virtual void OnLeader(Machine* machine, raft::Term term, raft::NodeId leader) = 0;
    virtual void OnRemoved(Machine* machine) = 0;
    // Not in a turn of anybody: the process has begun to serve, or is gone. `why`: for people.
    virtual void OnUp(Machine* machine) = 0;
    virtual void OnDown(Machine* machine, std::string_view why) = 0;
    // The node found damage where none was done.
    virtual void OnDataLoss(Machine* machine, const absl::Status& status) = 0;
  };
  enum class State : uint8_t { kDown, kJoining, kUp };

  Machine(int host, test::SimNetwork* network, const MachineOptions& options, uint64_t seed, Events* events);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  int host() const { return host_; }
  std::string name() const { return "m" + std::to_string(host_); }
  std::string address() const { return name() + ":7400"; }
  State state() const { return state_; }
  // Null unless the state is kUp.
  cluster::Node* node() const { return process_ == nullptr || state_ != State::kUp ? nullptr : process_->node.get(); }
  // The node's; 0 until it has one.
  raft::NodeId id() const { return id_; }
  bool leads() const;
  // The node has ended by itself, and its process is to end.
  bool failed() const { return failed_; }
  bool removed() const { return removed_; }
  bool frozen() const { return frozen_; }
  // It was killed: nobody hears what it says now.
  bool dying() const { return death_.has_value() || dying_; }
  const MachineOptions& options() const { return options_; }
  // Once for each failure.
  bool TakeFailure() { return std::exchange(failure_new_, false); }
  // Its disk was made to fail or to be full, since it was new.
  void NoteFault() { faulty_ = true; }
  bool faulty() const { return faulty_; }
  // Power was lost, since its disk was new: what was removed may be there again, in part.
  bool lost_power() const { return lost_power_; }
  // Why it has failed.
  const absl::Status& failure() const { return failure_; }

  // Of a machine that is down, not in a turn: begins a cluster with `bootstrap`, or asks the
  // addresses to be let in, in the place of the one named so, if any; one that is a node already
  // goes on.
  void Start(bool bootstrap, std::vector<std::string> join, const std::string& replaces = "");
  // At the end of the present step of the world, with nothing said.
  void Kill(const Death& death);
  // At the call to the file system that changes something, after so many others.
  void KillAtCall(uint64_t calls, const Death& death);
  // What was planned does not happen.
  void Spare() { kill_at_ = UINT64_MAX; }
  // As it is asked to; not in a turn.
  void Stop();
  // A new disk, of a machine that is down.
  void Wipe();
  // SIGSTOP and SIGCONT.
  void Freeze(bool frozen);
  // After each step of the world: what a death, a join or a failure brings.
  void AfterStep();

  // The process alone may use them, or a test that knows what it does.
  test::CrashFileSystem& files() { return *files_; }
  test::SimExecutor* executor() { return process_ == nullptr ? nullptr : &process_->executor; }
  test::SimExecutor* syncs() { return process_ == nullptr ? nullptr : &process_->syncs; }
  base::EventLoop* loop() { return process_ == nullptr ? nullptr : process_->loop.get(); }
  void SetWallOffsetMillis(int64_t millis) { clock_.offset_ms = millis; }
  int64_t wall_offset_millis() const { return clock_.offset_ms; }
  int64_t WallMillis() { return clock_.WallMillis(); }
  // So much more has passed by the clock than when the turn of the loop began. May be less again
  // only once that time has come.
  void SetTurnNanos(int64_t nanos);
  base::Clock* clock() { return &clock_; }
  // How often the process has begun.
  uint64_t lives() const { return lives_; }
  // What the process has logged; the last lines.
  std::string LogText() const { return logger_.Text(); }
  // A snapshot is taking the place of the node's state.
  bool installing() const;

 private:
  struct WallClock final : base::Clock {
    explicit WallClock(test::SimNetwork* network) : network(network) {}
    int64_t MonotonicNanos() override { return network->now_nanos() + turn_nanos; }
    int64_t WallMillis() override { return 1'700'000'000'000 + network->now_nanos() / kMilli + offset_ms; }

    test::SimNetwork* const network;
    int64_t offset_ms = 0;
    int64_t turn_nanos = 0;
  };
  class NodeListener;
  struct Process {
    Process(Machine* machine, uint64_t seed);

    base::Random random;
    test::SimExecutor executor;
    test::SimExecutor syncs;
    test::ScarceMemory memory;
    std::shared_ptr<base::EventLoop> loop;
    std::unique_ptr<NodeListener> listener;
    std::unique_ptr<cluster::NodeDirectory> directory;
    std::unique_ptr<cluster::JoinTask> join;
    std::unique_ptr<cluster::Node> node;
  };

  base::Env EnvOf(Process* process);
  cluster::SingleLogOptions CreationLog();
  absl::Status Begin(bool bootstrap, std::vector<std::string> join, const std::string& replaces);
  absl::Status OpenNode();
  absl::Status FinishJoin();
  // What did not work: the process ends.
  void HandleError(const absl::Status& status);
  void ArmCrashHook();
  void Die();
  void EndProcess();

  const int host_;
  test::SimNetwork* const network_;
  const MachineOptions options_;
  Events* const events_;
  base::Random random_;
  WallClock clock_;
  test::MemoryLogger logger_;
  std::unique_ptr<test::CrashFileSystem> files_;
  std::unique_ptr<Process> process_;
  State state_ = State::kDown;
  raft::NodeId id_ = raft::kNoNode;
  uint64_t lives_ = 0;
  bool frozen_ = false;
  bool failed_ = false;
  bool removed_ = false;
  bool dying_ = false;
  bool faulty_ = false;
  bool lost_power_ = false;
  absl::Status failure_;
  bool failure_new_ = false;
  // Set by whatever kills it; done after the step.
  std::optional<Death> death_;
  uint64_t kill_at_ = UINT64_MAX;
  Death planned_;
};

}  // namespace bandb::world

#endif  // BANDB_TEST_WORLD_MACHINE_H_
