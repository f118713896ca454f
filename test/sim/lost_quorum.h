// The loss of a quorum, and what an operator does about it: all disks but a few are gone for good,
// and the rest is made a new group by raft::RecoverLostQuorum().
#ifndef BANDB_TEST_SIM_LOST_QUORUM_H_
#define BANDB_TEST_SIM_LOST_QUORUM_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/random.h"
#include "raft/types/ids.h"
#include "sim/cluster.h"
#include "sim/trace.h"

namespace bandb::sim {

struct QuorumLoss {
  std::vector<raft::NodeId> survivors;
  // Believed lost, and intact. They are down, and nothing is on its way to them; together they are
  // no quorum of any configuration that they know.
  std::vector<raft::NodeId> returning;
  // What clients will find from now on: the state after the last entry of the survivor with the
  // best log.
  std::map<uint64_t, uint64_t> state;
  // Committed entries that are lost.
  uint64_t lost = 0;
};

// Kills all processes, chooses survivors, destroys all other disks but those of the returning,
// recovers the survivors and starts them. Empty if these nodes cannot be recovered so (they are a
// quorum, or not all of them are members for all of them): then all are down, and nothing else has
// happened.
std::optional<QuorumLoss> LoseQuorum(Cluster* cluster, Trace* trace, uint64_t keys, base::Random* random);

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_LOST_QUORUM_H_
