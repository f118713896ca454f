// `bandb_bench grpc`: the benchmark of BanDB Flux's gRPC server. A number of clients, each with a
// connection of its own and one call under way, put every key once and then get every key once.
//
// Client and server share the machine, and gRPC's client takes more of it than the server does:
// watch the processor time of both.
#ifndef BANDB_TOOLS_BANDB_BENCH_GRPC_BENCH_H_
#define BANDB_TOOLS_BANDB_BENCH_GRPC_BENCH_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/clock.h"
#include "histogram.h"

namespace bandb::bench {

struct GrpcBenchOptions {
  std::string address = "127.0.0.1:50051";
  int clients = 50;
  uint64_t requests = 100'000;  // of each kind
  uint32_t key_bytes = 16;
  uint32_t value_bytes = 100;
};

// One of the two rounds.
struct GrpcRound {
  HistogramSnapshot latency_nanos;
  uint64_t failures = 0;  // answered without success
  double seconds = 0;
};

struct GrpcFigures {
  GrpcRound puts;
  GrpcRound gets;
};

// Errors: what the first call failed with that gRPC could not make.
absl::Status RunGrpcBench(base::Clock* clock, const GrpcBenchOptions& options, GrpcFigures* figures);

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_GRPC_BENCH_H_
