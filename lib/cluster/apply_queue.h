// ApplyQueue: committed entries on their way to the state machine, in order.
//
// The core hands out ranges: most with their entries; some, after a restart or far back, without,
// and these are read from the log when they come to the front. No more than one read is under way,
// so what waits here is what the core gave out and one read's worth.
#ifndef BANDB_CLUSTER_APPLY_QUEUE_H_
#define BANDB_CLUSTER_APPLY_QUEUE_H_

#include <cstdint>
#include <deque>
#include <optional>

#include "raft/output.h"
#include "raft/types/entry.h"

namespace bandb::cluster {

class ApplyQueue {
 public:
  // Takes a range that follows on the last one.
  void Push(raft::Committed range);

  // Whether the entries at the front are here.
  bool ready() const { return !ranges_.empty() && !ranges_.front().entries.empty(); }
  // Replaces `*entries` by those of the front range. False if they are not here.
  bool TakeReady(raft::Entries* entries);

  // What is to be read from the log, once for each need. Its number is one that the core never
  // gives.
  std::optional<raft::Fetch> NextFetch();
  // Whether a read of this number is the queue's.
  static bool Owns(uint64_t fetch);
  // Whether it is the one that is under way. After Clear() none is.
  bool Awaits(uint64_t fetch) const;
  // The entries that the read under way brought, from the first one asked for, at least one.
  void OnFetched(uint64_t fetch, raft::Entries entries);

  // A snapshot takes the place of all that waits.
  void Clear();

 private:
  std::deque<raft::Committed> ranges_;
  bool fetching_ = false;
  uint64_t fetches_ = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_APPLY_QUEUE_H_
