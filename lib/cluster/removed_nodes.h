// RemovedNodes: the ids of nodes that were members once and are no more.
//
// An id is one node's for good. A node that was removed may have asked to be let in more than once,
// and be heard late by a member that knows nothing of the first time; it would be a member again,
// and votes would be counted on that nobody gives. So an id that was removed is never let in again,
// and that must be remembered for good.
//
// Like the sessions it is a function of the log alone, and lies in space 0: a configuration that is
// applied, and lacks members of the one that was applied before, adds their ids.
//
//   key    := "removed" id:u64 big-endian
//   value  := version:u8 (1)
#ifndef BANDB_CLUSTER_REMOVED_NODES_H_
#define BANDB_CLUSTER_REMOVED_NODES_H_

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bandb/iterator.h"
#include "raft/types/configuration.h"

namespace bandb::cluster {

// Thread safety: one thread at a time.
class RemovedNodes {
 public:
  // Reads what `system`, over space 0, holds of them. Errors: kDataLoss malformed; what the
  // iterator says.
  static absl::StatusOr<RemovedNodes> Load(Iterator* system);

  void Add(absl::Span<const raft::NodeId> ids) { ids_.insert(ids.begin(), ids.end()); }
  bool Contains(raft::NodeId id) const { return ids_.count(id) != 0; }
  size_t size() const { return ids_.size(); }

 private:
  std::set<raft::NodeId> ids_;
};

// The members of `before` that are none of `after`. Both are encoded (raft/types); there are none
// of one that is not.
std::vector<raft::NodeId> LeftBetween(std::string_view before, std::string_view after);
// The encoded operations on space 0 that keep them.
std::string KeepRemoved(absl::Span<const raft::NodeId> ids);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_REMOVED_NODES_H_
