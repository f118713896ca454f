#include "sim/cluster.h"

namespace bandb::sim {
namespace {
constexpr raft::ClusterId kCluster = 0xba;
}  // namespace

Cluster::Cluster(Scheduler* scheduler, Trace* trace, const Knobs& knobs, uint64_t seed)
    : random_(seed),
      invariants_(*scheduler, knobs),
      network_(scheduler, trace, knobs.network, random_.Next()),
      world_{scheduler, trace, &network_, &invariants_, &knobs, &on_moment_} {
  std::vector<raft::NodeId> voters;
  std::vector<raft::NodeId> learners;
  for (uint32_t i = 1; i <= knobs.voters + knobs.learners; ++i) (i <= knobs.voters ? voters : learners).push_back(i);
  const raft::Configuration configuration = raft::MakeConfiguration(voters, learners);
  invariants_.SetFirstConfiguration(configuration);
  invariants_.SetLeaseProbe([this](raft::NodeId id) {
    Node& asked = node(id);
    return asked.core() != nullptr && asked.core()->LeaseValid(asked.clock().now());
  });
  for (uint32_t i = 1; i <= knobs.voters + knobs.learners; ++i) Make(next_id_++)->disk().Format(configuration);
}

Node* Cluster::Make(raft::NodeId id) {
  auto node = std::make_unique<Node>(world_, id, kCluster, random_.Next());
  network_.Attach(id, node.get());
  return (nodes_[id] = std::move(node)).get();
}

Node* Cluster::Spawn() { return nodes_.size() >= kNodesMax ? nullptr : Make(next_id_++); }

Coverage Cluster::coverage() const {
  Coverage sum;
  for (const auto& [id, node] : nodes_) sum.Add(node->coverage());
  return sum;
}

Node* Cluster::Leader() const {
  Node* leader = nullptr;
  raft::Term term = 0;
  for (const auto& [id, node] : nodes_) {
    if (!node->up()) continue;
    const raft::Inspect now = node->core()->inspect();
    if (now.role != raft::Role::kLeader || now.term <= term) continue;
    leader = node.get();
    term = now.term;
  }
  return leader;
}

std::vector<raft::NodeId> Cluster::Unwiped() const {
  std::vector<raft::NodeId> ids;
  for (const auto& [id, node] : nodes_) {
    if (!node->wiped()) ids.push_back(id);
  }
  return ids;
}

std::vector<raft::Configuration> Cluster::PossibleConfigurations() const {
  std::vector<raft::Configuration> all = {invariants_.committed_configuration()};
  for (raft::NodeId id : Unwiped()) {
    for (raft::Configuration& c : invariants_.PossibleConfigurations(id)) {
      if (c.index >= all.front().index && !(c == all.back())) all.push_back(std::move(c));
    }
  }
  return all;
}

}  // namespace bandb::sim
