// `bandb_bench changes --wire`: the change feed of a server, as its clients have it.
//
// Puts, many under way, fill the feed. All of them are read back, one request after the other. At
// last one client puts one at a time, and another waits for each: how long after its
// acknowledgement the change is there.
#ifndef BANDB_TOOLS_BANDB_BENCH_CHANGES_WIRE_BENCH_H_
#define BANDB_TOOLS_BANDB_BENCH_CHANGES_WIRE_BENCH_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/clock.h"
#include "histogram.h"

namespace bandb::bench {

struct ChangesWireOptions {
  // Of a server with a change feed that keeps all of it. Empty: one in this process, over a
  // database in `dir`, which must not exist and is removed again.
  std::string address;
  std::string dir = "bandb-bench-changes";
  uint64_t puts = 1'000'000;
  uint64_t synced = 2'000;
  uint32_t value_bytes = 100;
  int rounds = 3;  // of reading back
};

struct ChangesWireFigures {
  double puts = 0;       // a second
  double read_back = 0;  // changes a second, of the best round
  uint64_t changes_read = 0;
  HistogramSnapshot behind_nanos;
};

// Errors: what the server answers; kInternal the feed did not give what was written.
absl::Status RunChangesWireBench(base::Clock* clock, const ChangesWireOptions& options, ChangesWireFigures* figures);

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_CHANGES_WIRE_BENCH_H_
