#include "sim/lost_quorum.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/assert.h"
#include "raft/restart.h"
#include "raft/types/configuration_codec.h"
#include "sim/kv_machine.h"

namespace bandb::sim {
namespace {

constexpr raft::ClusterId kOldCluster = 0xba;
constexpr raft::ClusterId kNewCluster = 0xbb;

// Some members that are not a quorum of the committed configuration; their disks are intact.
std::vector<raft::NodeId> DrawSurvivors(const Cluster& cluster, const raft::Configuration& members,
                                        base::Random* random) {
  std::vector<raft::NodeId> ids;
  for (raft::NodeId id : cluster.Unwiped()) {
    if (members.Find(id) != nullptr) ids.push_back(id);
  }
  for (size_t i = ids.size(); i-- > 1;) std::swap(ids[i], ids[random->Uniform(i + 1)]);
  const auto in = [&](raft::NodeId id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); };
  while (!ids.empty() && IsQuorum(members, in)) ids.pop_back();
  if (ids.size() > 1 && random->OneIn(3)) ids.resize(1 + random->Uniform(ids.size()));
  std::sort(ids.begin(), ids.end());
  return ids;
}

// Whether the nodes are a quorum of any configuration that one of their disks could bring into
// force.
bool CouldElect(const Cluster& cluster, const std::vector<raft::NodeId>& nodes) {
  const auto in = [&](raft::NodeId id) { return std::find(nodes.begin(), nodes.end(), id) != nodes.end(); };
  for (raft::NodeId id : nodes) {
    const auto disk = cluster.node(id).disk().Read();
    if (!disk.ok()) return true;
    std::vector<raft::Configuration> all = disk->restart.configurations;
    all.push_back(disk->restart.floor.configuration);
    all.push_back(disk->checkpoint.meta.configuration);
    if (std::any_of(all.begin(), all.end(), [&](const raft::Configuration& c) { return IsQuorum(c, in); })) return true;
  }
  return false;
}

// Some of those that are believed lost, too few to elect anybody.
std::vector<raft::NodeId> DrawReturning(const Cluster& cluster, const std::vector<raft::NodeId>& survivors,
                                        base::Random* random) {
  std::vector<raft::NodeId> returning;
  if (random->OneIn(2)) return returning;
  for (raft::NodeId id : cluster.Unwiped()) {
    if (std::find(survivors.begin(), survivors.end(), id) != survivors.end() || random->OneIn(4)) continue;
    returning.push_back(id);
    if (CouldElect(cluster, returning)) returning.pop_back();
  }
  return returning;
}

// What the recovery says must be what the survivors can live by, whatever became of the rest.
void CheckRecovery(Cluster* cluster, raft::NodeId best, const raft::LostQuorum& lost,
                   const raft::QuorumRecovery& recovery) {
  const auto own = std::find_if(lost.survivors.begin(), lost.survivors.end(),
                                [best](const raft::LogPosition& p) { return p.node == best; });
  raft::Configuration forced;
  const bool decoded = raft::DecodeConfiguration(recovery.entry->payload.bytes(), &forced);
  bool exact = decoded && forced.members.size() == lost.survivors.size();
  for (const raft::LogPosition& p : lost.survivors) {
    exact = exact && forced.Votes(p.node);
    if (p.last_term > own->last_term || (p.last_term == own->last_term && p.last_index > own->last_index)) {
      cluster->invariants().Fail("the log of node {} is taken for the best, which ends at {}:{}; {} has {}:{}", best,
                                 own->last_term, own->last_index, p.node, p.last_term, p.last_index);
    }
    if (recovery.entry->term <= std::max(p.hard_state_term, p.last_term)) {
      cluster->invariants().Fail("the recovered group begins in term {}, node {} knows of term {}",
                                 recovery.entry->term, p.node, std::max(p.hard_state_term, p.last_term));
    }
  }
  if (!exact) cluster->invariants().Fail("the voters of the recovered group are not the survivors");
}

std::map<uint64_t, uint64_t> StateAtEnd(const Recovered& disk, uint64_t keys) {
  KvMachine machine;
  if (disk.checkpoint.data != nullptr) {
    const bool loaded = machine.Load(*disk.checkpoint.data);
    BANDB_ASSERT(loaded);
  }
  for (const raft::Entry& entry : disk.entries) {
    if (entry.index > disk.restart.applied && entry.kind == raft::EntryKind::kData)
      machine.Apply(entry.payload.bytes());
  }
  std::map<uint64_t, uint64_t> state;
  for (uint64_t key = 0; key < keys; ++key) state[key] = machine.Get(key);
  return state;
}

}  // namespace

std::optional<QuorumLoss> LoseQuorum(Cluster* cluster, Trace* trace, uint64_t keys, base::Random* random) {
  const raft::Configuration members = cluster->invariants().committed_configuration();
  raft::Index known = 0;
  QuorumLoss loss;
  loss.survivors = DrawSurvivors(*cluster, members, random);
  for (raft::NodeId id : loss.survivors) {
    const Node& node = cluster->node(id);
    if (node.core() == nullptr) continue;
    // It may know of the commit of an entry that only others have durably.
    const raft::Inspect view = node.core()->inspect();
    known = std::max(known, std::min(view.commit, view.durable));
  }
  for (const auto& [id, node] : cluster->nodes()) node->Crash();
  std::map<raft::NodeId, Recovered> disks;
  raft::LostQuorum lost;
  lost.new_cluster = kNewCluster;
  for (raft::NodeId id : loss.survivors) {
    auto disk = cluster->node(id).disk().Read();
    if (!disk.ok()) return std::nullopt;
    lost.survivors.push_back(raft::PositionOf(disk->restart, id));
    disks[id] = *std::move(disk);
  }
  std::map<raft::NodeId, raft::QuorumRecovery> recoveries;
  raft::NodeId best = raft::kNoNode;
  for (raft::NodeId id : loss.survivors) {
    auto recovery = raft::RecoverLostQuorum(disks[id].restart, id, 0, kOldCluster, lost);
    if (!recovery.ok()) {
      trace->Line("node {} is not recovered: {}", id, recovery.status().ToString());
      return std::nullopt;
    }
    if (recovery->entry.has_value() && best != raft::kNoNode) {
      cluster->invariants().Fail("nodes {} and {} both fix the configuration of the recovered group", best, id);
    }
    if (recovery->entry.has_value()) {
      best = id;
      CheckRecovery(cluster, id, lost, *recovery);
    }
    recoveries[id] = *std::move(recovery);
  }
  if (best == raft::kNoNode) return std::nullopt;
  loss.returning = DrawReturning(*cluster, loss.survivors, random);
  for (const auto& [id, node] : cluster->nodes()) {
    if (std::find(loss.returning.begin(), loss.returning.end(), id) != loss.returning.end()) {
      node->disk().Heal();
      cluster->network().LoseUnderWay(id);
      const auto disk = node->disk().Read();
      BANDB_ASSERT(disk.ok());
      cluster->invariants().GiveUp(id, std::max(disk->restart.hard_state.term, disk->restart.last_term()));
      continue;
    }
    if (recoveries.count(id) == 0) {
      node->Wipe();
      continue;
    }
    node->disk().Heal();
    node->disk().Recover(recoveries[id]);
    node->SetCluster(recoveries[id].cluster);
    node->Start();
  }
  loss.state = StateAtEnd(disks[best], keys);
  loss.lost = cluster->invariants().ForgetLost(best, loss.survivors, known);
  trace->Line("QUORUM LOST: survivors {}, best {}, {} committed entries lost; [{}] will return",
              fmt::join(loss.survivors, " "), best, loss.lost, fmt::join(loss.returning, " "));
  return loss;
}

}  // namespace bandb::sim
