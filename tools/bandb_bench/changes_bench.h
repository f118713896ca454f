// `bandb_bench changes`: the change feed of the embedded store.
//
// Rounds of unsynced puts, with and without a reader that follows them, by turns: what a reader
// costs writers. Then all changes that are kept are read back from the logs. At last synced puts,
// one at a time, and how long after its acknowledgement a waiting reader has each.
#ifndef BANDB_TOOLS_BANDB_BENCH_CHANGES_BENCH_H_
#define BANDB_TOOLS_BANDB_BENCH_CHANGES_BENCH_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/clock.h"
#include "histogram.h"

namespace bandb::bench {

struct ChangesBenchOptions {
  std::string dir = "bandb-bench-changes";
  uint64_t puts = 1'000'000;  // of each round
  uint64_t synced = 2'000;
  uint32_t value_bytes = 100;
  int rounds = 3;  // of each kind
};

struct ChangesFigures {
  // The best round of each.
  double puts_alone = 0;  // a second
  double puts_followed = 0;
  double read_back = 0;  // changes a second
  uint64_t changes_read = 0;
  HistogramSnapshot behind_nanos;
};

// Makes a database in `dir`, which must not exist, and removes it. Errors: what the database
// answers; kInternal the feed did not give what was written.
absl::Status RunChangesBench(base::Clock* clock, const ChangesBenchOptions& options, ChangesFigures* figures);

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_CHANGES_BENCH_H_
