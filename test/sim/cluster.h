// Cluster: the nodes of a run, their network, and the checks that watch them.
#ifndef BANDB_TEST_SIM_CLUSTER_H_
#define BANDB_TEST_SIM_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/random.h"
#include "sim/coverage.h"
#include "sim/invariants.h"
#include "sim/knobs.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/scheduler.h"
#include "sim/trace.h"

namespace bandb::sim {

class Cluster {
 public:
  using Nodes = std::map<raft::NodeId, std::unique_ptr<Node>>;

  // The first members, formatted and not yet started.
  Cluster(Scheduler* scheduler, Trace* trace, const Knobs& knobs, uint64_t seed);

  const Nodes& nodes() const { return nodes_; }
  Node& node(raft::NodeId id) const { return *nodes_.at(id); }
  Network& network() { return network_; }
  Invariants& invariants() { return invariants_; }

  // What hears of the moments of all nodes.
  void SetOnMoment(std::function<void(Node*, Moment)> on_moment) { on_moment_ = std::move(on_moment); }
  // Of all nodes together.
  Coverage coverage() const;

  // A node with an empty disk, not yet started, for joining. nullptr if there have been too many.
  Node* Spawn();
  // The running node that leads in the highest term; nullptr if none believes to lead.
  Node* Leader() const;
  // All that satisfy nothing more than not having lost their disk.
  std::vector<raft::NodeId> Unwiped() const;
  // Every configuration that some node's log could still bring into force.
  std::vector<raft::Configuration> PossibleConfigurations() const;

 private:
  static constexpr size_t kNodesMax = 24;

  Node* Make(raft::NodeId id);

  base::Random random_;
  std::function<void(Node*, Moment)> on_moment_;
  Invariants invariants_;
  Network network_;
  World world_;
  Nodes nodes_;
  raft::NodeId next_id_ = 1;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_CLUSTER_H_
