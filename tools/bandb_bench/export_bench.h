// `bandb_bench export`: what is in a server, into files and back.
//
// A server in this process is filled. By turns `bandb export` brings all of it over loopback into
// files, as lines of JSON and as raw, `bandb import` brings the raw ones back, and the same entries
// are put in batches of the size that an import makes: what an import costs beside its batches.
#ifndef BANDB_TOOLS_BANDB_BENCH_EXPORT_BENCH_H_
#define BANDB_TOOLS_BANDB_BENCH_EXPORT_BENCH_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/clock.h"

namespace bandb::bench {

struct ExportBenchOptions {
  std::string dir = "bandb-bench-export";
  uint64_t keys = 1'000'000;
  uint32_t value_bytes = 100;
  int rounds = 3;
};

// Entries a second, of the best round.
struct ExportFigures {
  double raw = 0;
  double json_lines = 0;
  double import = 0;
  double batches = 0;
};

// Makes a database and files below `dir`, which must not exist, and removes it. Errors:
// kAlreadyExists `dir` is there; kInternal bandb, which is beside this program, failed, or says of
// other entries; what the server answers.
absl::Status RunExportBench(base::Clock* clock, const ExportBenchOptions& options, ExportFigures* figures);

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_EXPORT_BENCH_H_
