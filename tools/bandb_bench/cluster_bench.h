// `bandb_bench cluster`: three nodes of BanDB and three of etcd on this machine, one system after
// the other, with fsync on; the leader of each is asked, over the same number of connections with
// the same number of requests under way on each.
#ifndef BANDB_TOOLS_BANDB_BENCH_CLUSTER_BENCH_H_
#define BANDB_TOOLS_BANDB_BENCH_CLUSTER_BENCH_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "net_bench.h"

namespace bandb::bench {

struct ClusterBenchOptions {
  std::string dir = ".";  // a folder in it is made, and removed again
  std::vector<std::string> systems{"bandb", "etcd"};
  std::string server_program{};  // empty: bandb_server beside this program
  std::string etcd_program = "etcd";
  int port_base = 18'081;
  std::vector<int> in_flight{1, 64, 256};
  int depth = 1;  // requests under way on each connection
  double duration_seconds = 10;
  double warm_up_seconds = 2;
  uint32_t value_bytes = 100;
  uint64_t keys = 100'000;
};

// One line of the result.
struct ClusterFigure {
  std::string system;
  std::string operation;
  int in_flight = 0;
  int connections = 0;
  double seconds = 0;
  Measured measured;
};

// Tells each figure as it is there. Errors: what a node or a connection failed with.
absl::Status RunClusterBench(base::Clock* clock, const ClusterBenchOptions& options,
                             const std::function<void(const ClusterFigure&)>& tell);

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_CLUSTER_BENCH_H_
