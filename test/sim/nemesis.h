// Nemesis: what goes wrong, when, for how long; and what an operator does meanwhile. Draws from the
// knobs, keeps to the fault model, and counts what it did.
#ifndef BANDB_TEST_SIM_NEMESIS_H_
#define BANDB_TEST_SIM_NEMESIS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "sim/cluster.h"
#include "sim/knobs.h"
#include "sim/scheduler.h"
#include "sim/trace.h"

namespace bandb::sim {

class Nemesis {
 public:
  struct Counters {
    std::array<uint64_t, kFaultKinds> faults = {};
    uint64_t changes = 0;
    uint64_t changes_refused = 0;
    uint64_t transfers = 0;
    uint64_t total() const;
  };

  Nemesis(Scheduler* scheduler, Trace* trace, const Knobs& knobs, Cluster* cluster, uint64_t seed);

  void Start();
  // From now on nothing new goes wrong, and nothing is repaired either: what is broken stays so.
  void Stop() { ++epoch_; }
  const Counters& counters() const { return counters_; }
  // Something that a crash may be aimed at happens to the node.
  void OnMoment(Node* node, Moment moment);
  // Has the leader, if there is one, enter a joint configuration.
  void AskForJoint();
  void Count(FaultKind kind) { ++counters_.faults[static_cast<size_t>(kind)]; }

 private:
  using Links = std::vector<std::pair<raft::NodeId, raft::NodeId>>;

  // Runs `what` after about `mean`, unless stopped by then.
  void Later(Nanos mean, std::function<void()> what);
  // Exactly after `delay`, unless stopped by then.
  void After(Nanos delay, std::function<void()> what);
  Nanos Duration();
  void PlanFault();
  FaultKind DrawKind();
  // False if the fault found nothing to strike.
  bool Inject(FaultKind kind);
  bool InjectProcess(FaultKind kind);
  bool InjectNetwork(FaultKind kind);
  bool InjectDisk(FaultKind kind);
  bool InjectClock(FaultKind kind);

  Node* PickUp();
  void RestartLater(raft::NodeId id);
  void CutLinks(Links links, Nanos duration);
  bool Isolate();
  bool Split(bool bridge);
  bool SomeLinks(bool slow);
  bool MayWipe(raft::NodeId id) const;
  // `rot`: not the whole disk is lost; one entry of it is damaged, and the node must notice.
  bool WipeOne(bool rot);
  // Processes whose disk failed are restarted, nodes that wait to join are started.
  void Tend();

  void PlanChange();
  void ChangeMembership();
  bool DrawChange(const raft::Configuration& now, raft::Change* change);
  // Whether the group survives the change, given who is wiped.
  bool Survivable(const raft::Configuration& now, const std::vector<raft::Change>& changes) const;
  raft::NodeId PickMember(const raft::Configuration& now, bool voter);
  raft::NodeId PickStranger(const raft::Configuration& now);
  void PlanTransfer();
  // All but the leader restart and hold an election at once, while the leader hears nothing.
  void Ambush();
  // Nobody hears the leader any more, while it still hears late answers to what it said before.
  void Fade();
  void PlanAimed();
  // The voters beside the leader that run, in random order.
  std::vector<raft::NodeId> OtherVoters(const Node& leader);
  std::vector<raft::NodeId> AllBut(raft::NodeId id) const;
  Links LinksBetween(raft::NodeId one, const std::vector<raft::NodeId>& others, bool from_others) const;
  void Bid(raft::NodeId id);
  void RotateQuorum();
  void LateBid();
  void AppendSomething(Node* leader);
  void Strand();
  void CrashWithin(raft::NodeId id, Nanos span);
  void Readmit(raft::NodeId id);
  // Nothing reaches the node for a while.
  void Deafen(raft::NodeId id);
  // Now and then a message of another cluster, that happens to have a node of the same id, goes
  // astray.
  void PlanStray();
  void SendStray();

  Scheduler* const scheduler_;
  Trace* const trace_;
  const Knobs& knobs_;
  Cluster* const cluster_;
  base::Random random_;
  uint64_t epoch_ = 0;
  uint32_t wipes_ = 0;
  Counters counters_;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_NEMESIS_H_
