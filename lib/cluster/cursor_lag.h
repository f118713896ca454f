// How far consumers of a cluster's change feed are behind what this node has applied, counted in
// its change index.
#ifndef BANDB_CLUSTER_CURSOR_LAG_H_
#define BANDB_CLUSTER_CURSOR_LAG_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "cluster/change_index.h"

namespace bandb::cluster {

struct CursorLag {
  uint64_t after = 0;  // a place in the feed, by its sequence
  // Of what comes after it: commits, bytes of log, and the time of the first commit.
  uint64_t commits = 0;
  uint64_t bytes = 0;
  uint64_t oldest_ms = 0;
};

// Fills all but the places. Reads the index from the lowest of them on. Errors: kOutOfRange some of
// that was let go meanwhile; as the reads of ChangeIndex.
absl::Status MeasureLags(const ChangeIndex& index, absl::Span<CursorLag> lags);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_CURSOR_LAG_H_
