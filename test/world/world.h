// World: machines, the network between them, and one virtual time for all; and what is checked of
// them at every moment, whatever happens.
//
// The same seed and the same calls give the same run.
//
// Checked by looking into the nodes, which they do not know of:
//   * in one term one node leads;
//   * two replicas that have applied the same entries are equal, key by key, expiry and sessions
//     included, in any life of their processes;
//   * the time of the log never goes back;
//   * a log keeps what the manifest does not have yet, and the manifest has nothing that the log
//     might still lose;
//   * the change feed reaches as far back as the log, where no disk failed;
//   * no node ends by itself whose disk did not fail.
#ifndef BANDB_TEST_WORLD_WORLD_H_
#define BANDB_TEST_WORLD_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/trace.h"
#include "support/sim_streams.h"
#include "world/machine.h"

namespace bandb::world {

struct WorldOptions {
  test::SimNetworkOptions network;
  MachineOptions machine;
  // Of the steps in which a replica has gone on, one in so many is looked at.
  uint64_t looks_one_in = 16;
};

// Small enough that a few hundred writes rotate logs, flush, merge, and let followers fall behind.
WorldOptions SmallWorld();

// Thread safety: one thread.
class World final : private Machine::Events {
 public:
  struct Counters {
    uint64_t starts = 0;
    uint64_t deaths = 0;
    uint64_t deaths_while_installing = 0;
    uint64_t deaths_of_leaders = 0;
    uint64_t installs = 0;
    uint64_t joins = 0;
    uint64_t leaders = 0;  // terms that had one
    uint64_t looks = 0;
    uint64_t comparisons = 0;
    uint64_t removals = 0;
    uint64_t failures = 0;  // nodes that ended by themselves
  };

  World(uint64_t seed, const WorldOptions& options, sim::Trace::Sink sink = nullptr, size_t recent_lines = 0);
  ~World() override;

  // A machine that is down, with an empty disk.
  Machine* Add();
  const std::vector<std::unique_ptr<Machine>>& machines() const { return machines_; }
  Machine& machine(size_t i) { return *machines_[i]; }
  // Starts a machine; one that is no node yet asks all others to be let in, or begins a cluster if
  // it is the first.
  void Start(Machine* machine, const std::string& replaces = "");
  // The one that leads in the highest term; null if none does.
  Machine* Leader();

  // Something happens, somewhere.
  void Step();
  // False if it takes longer, or something is wrong.
  bool RunUntil(const std::function<bool()>& done, Nanos nanos_max = 60 * kSecond);
  void RunFor(Nanos nanos);
  // In a turn of the world's own.
  void After(Nanos delay, std::function<void()> what);

  Nanos now() const { return network_.now_nanos(); }
  test::SimNetwork& network() { return network_; }
  base::Random& random() { return random_; }
  sim::Trace& trace() { return trace_; }
  const Counters& counters() const { return counters_; }
  // How often another state has taken the place of that of a machine.
  uint64_t installs_of(const Machine& machine) const;
  // Called when a machine begins to install a snapshot, in no turn of it.
  void SetOnInstall(std::function<void(Machine*)> what) { on_install_ = std::move(what); }
  // The largest time of the log that any replica has come to.
  uint64_t log_time_ms() const { return log_time_ms_; }
  // Since a disk was damaged on purpose, nodes may find that.
  void ExpectDataLoss(bool expected) { data_loss_expected_ = expected; }

  const std::optional<std::string>& violation() const { return violation_; }
  void Fail(std::string what);
  // Looks at a replica now: compares it with all that were seen at the same place of the log.
  void Look(Machine* machine);
  // What a replica holds at what it has applied, as text: for tests and reports.
  static absl::StatusOr<std::string> Dump(Machine* machine);

 private:
  // What was seen of the state after an entry.
  struct Seen {
    uint64_t digest = 0;
    uint64_t commit_time_ms = 0;
    int host = 0;
    uint64_t life = 0;
    std::string dump;
  };
  struct Watched {
    raft::Index applied = 0;
    bool installing = false;
    uint64_t installs = 0;
    std::optional<raft::Index> feed_begin;  // where the change feed began when it was looked at first
  };

  // Machine::Events
  void OnLeader(Machine* machine, raft::Term term, raft::NodeId leader) override;
  void OnRemoved(Machine* machine) override;
  void OnUp(Machine* machine) override;
  void OnDown(Machine* machine, std::string_view why) override;
  void OnDataLoss(Machine* machine, const absl::Status& status) override;

  void Watch(Machine* machine);
  // A node that was removed is never a member again.
  void NoteCommitted(const raft::Configuration& committed);
  void CheckTime(raft::Index index, uint64_t commit_time_ms);
  void CheckBounds(Machine* machine);

  const WorldOptions options_;
  base::Random random_;
  sim::Nanos trace_now_ = 0;
  sim::Trace trace_;
  test::SimNetwork network_;
  const std::unique_ptr<base::EventLoop> loop_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::map<int, Watched> watched_;
  std::map<raft::Term, raft::NodeId> leaders_;
  std::map<raft::Index, Seen> seen_;
  std::map<raft::Index, uint64_t> times_;  // of the log, where it was looked at
  bool bootstrapped_ = false;
  uint64_t log_time_ms_ = 0;
  raft::Configuration committed_;  // the latest that any node knew to be
  std::set<raft::NodeId> ids_;     // that ever served
  std::set<raft::NodeId> gone_;    // that were members before
  std::function<void(Machine*)> on_install_;
  bool data_loss_expected_ = false;
  std::optional<std::string> violation_;
  Counters counters_;
};

}  // namespace bandb::world

#endif  // BANDB_TEST_WORLD_WORLD_H_
