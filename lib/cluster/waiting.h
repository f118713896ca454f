// Waiting: the writes that were proposed, by the place in the log that they were given.
//
// There are three ends. An entry of the same term is applied at that index: the write is done, and
// its result is the entry's. An entry of another term is applied there, or one of a later term
// before it, perhaps as the last one for long: it was not done, for certain, and may be proposed
// again. A snapshot jumps over the index, or the time has passed, or the node ends: nobody here
// knows, and that is what is said.
#ifndef BANDB_CLUSTER_WAITING_H_
#define BANDB_CLUSTER_WAITING_H_

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "cluster/client_write.h"
#include "cluster/sessions.h"
#include "raft/types/entry.h"

namespace bandb::cluster {

// Thread safety: the node's thread.
class Waiting {
 public:
  // They are the commands of the entry that was proposed as (term, index), in their order.
  void Add(raft::Term term, raft::Index index, std::vector<ClientWritePtr> writes);
  // The entry (term, index) was applied, with these results; of a data entry one for each command.
  // Returns those that were certainly not done.
  std::vector<ClientWritePtr> Applied(raft::Term term, raft::Index index, absl::Span<const CommandResult> results);
  // The state jumped to `index`.
  void Skipped(raft::Index index);
  // Ends those past their deadline with kUnknown.
  void Expire(int64_t now_nanos);
  // Ends all with kUnknown, which says `why`.
  void GiveUp(std::string_view why);

  bool empty() const { return by_index_.empty(); }

 private:
  struct Place {
    raft::Term term = 0;
    std::vector<ClientWritePtr> writes;
  };

  // One index may be given more than once, in different terms.
  std::multimap<raft::Index, Place> by_index_;
  raft::Term applied_term_ = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_WAITING_H_
