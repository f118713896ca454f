// A quorum that is lost for good: the nodes that are left, stopped, become a cluster of their own.
//
// Each survivor says where it is (DescribeSurvivor); all that is decided, is decided by the list of
// what they have said, so that each comes to the same result, the id of the new cluster included
// (raft/restart.h says how). A survivor first moves to the new cluster and then writes what the
// recovery asks of it: if it dies in between it cannot elect anybody, and the same call goes on.
//
//   position := version:u8 (1) cluster:u64 node:u64 last_term:u64 last_index:u64 hard_state_term:u64
//               length:varint configuration[length] checksum:u64            as hexadecimal digits
#ifndef BANDB_CLUSTER_LOST_QUORUM_H_
#define BANDB_CLUSTER_LOST_QUORUM_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/cluster.h"
#include "base/env.h"

#include "cluster/node.h"
#include "net/socket_loop.h"
#include "raft/restart.h"

namespace bandb::cluster {

struct SurvivorPosition {
  raft::ClusterId cluster = 0;
  raft::LogPosition log;

  friend bool operator==(const SurvivorPosition&, const SurvivorPosition&) = default;
};
std::string EncodeSurvivor(const SurvivorPosition& position);
// Errors: kInvalidArgument it is not what EncodeSurvivor has made.
absl::StatusOr<SurvivorPosition> DecodeSurvivor(std::string_view text);
// The cluster that these survivors will be; the order in which they are named makes no difference.
raft::ClusterId RecoveredClusterId(std::vector<SurvivorPosition> survivors);

// What both calls work with; the loop is run by them.
struct StoppedNodeParts {
  base::Env env;
  std::shared_ptr<net::SocketLoop> loop;
  std::string dir;
  NodeOptions node;
};

// As bandb::Cluster has them. Wait for the disk.
absl::StatusOr<std::string> DescribeSurvivor(const StoppedNodeParts& parts);
absl::StatusOr<QuorumRecovery> RecoverLostQuorum(const StoppedNodeParts& parts,
                                                 const std::vector<std::string>& survivors);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_LOST_QUORUM_H_
