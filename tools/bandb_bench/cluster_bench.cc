#include "cluster_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>

#include "base/status.h"
#include "base/thread_executor.h"
#include "etcd_bench.h"
#include "processes/child_process.h"
#include "processes/local_cluster.h"

namespace bandb::bench {

namespace {

constexpr int kNodes = 3;
constexpr absl::Duration kStartTimeout = absl::Seconds(60);

NetBenchOptions RoundOptions(const ClusterBenchOptions& options, const std::string& leader, int in_flight, Mode mode) {
  NetBenchOptions round;
  round.address = leader;
  round.mode = mode;
  round.depth = std::min(options.depth, in_flight);
  round.connections = std::max(1, in_flight / round.depth);
  round.duration_seconds = options.duration_seconds;
  round.warm_up_seconds = options.warm_up_seconds;
  round.value_bytes = options.value_bytes;
  round.keys = options.keys;
  return round;
}

// Puts, then gets of what all of the keys were filled with.
template <typename Bench>
absl::Status RunRounds(base::Clock* clock, const ClusterBenchOptions& options, const std::string& system,
                       const std::string& leader, const std::function<void(const ClusterFigure&)>& tell) {
  for (const int in_flight : options.in_flight) {
    for (const Mode mode : {Mode::kPut, Mode::kGet}) {
      const NetBenchOptions round = RoundOptions(options, leader, in_flight, mode);
      Bench bench(clock, round);
      BANDB_RETURN_IF_ERROR(bench.Run());
      const bool puts = mode == Mode::kPut;
      const Measured measured = puts ? bench.puts() : bench.gets();
      tell({.system = system,
            .operation = puts ? "put" : "get",
            .in_flight = round.connections * round.depth,
            .connections = round.connections,
            .seconds = bench.measured_seconds(),
            .measured = measured});
      if (measured.errors > 0) return base::Error(absl::StatusCode::kUnavailable, "{} error replies", measured.errors);
    }
  }
  return absl::OkStatus();
}

absl::Status RunBandb(base::Clock* clock, base::Executor* executor, const ClusterBenchOptions& options,
                      const std::string& dir, const std::function<void(const ClusterFigure&)>& tell) {
  processes::LocalCluster cluster(
      clock, executor,
      {.program = options.server_program.empty() ? processes::ServerProgram() : options.server_program,
       .dir = dir,
       .nodes = kNodes,
       .port_base = options.port_base});
  BANDB_RETURN_IF_ERROR(cluster.StartAll(kStartTimeout));
  const int leader = cluster.FindLeader();
  if (leader < 0) return base::Error(absl::StatusCode::kUnavailable, "no node leads");
  return RunRounds<NetBench>(clock, options, "bandb", cluster.ClientAddress(leader), tell);
}

#ifdef BANDB_BENCH_GRPC
// Three members, which end with it.
class EtcdCluster {
 public:
  EtcdCluster(const ClusterBenchOptions& options, std::string dir) : options_(options), dir_(std::move(dir)) {}

  absl::Status Start() {
    std::string all;
    for (int i = 0; i < kNodes; ++i) all += fmt::format("{}n{}=http://{}", i == 0 ? "" : ",", i, PeerAddress(i));
    for (int i = 0; i < kNodes; ++i) {
      const std::string clients = "http://" + ClientAddress(i);
      const std::string peers = "http://" + PeerAddress(i);
      const std::vector<std::string> words{options_.etcd_program,
                                           "--name",
                                           fmt::format("n{}", i),
                                           "--data-dir",
                                           fmt::format("{}/n{}", dir_, i),
                                           "--listen-client-urls",
                                           clients,
                                           "--advertise-client-urls",
                                           clients,
                                           "--listen-peer-urls",
                                           peers,
                                           "--initial-advertise-peer-urls",
                                           peers,
                                           "--initial-cluster",
                                           all,
                                           "--initial-cluster-state",
                                           "new"};
      BANDB_ASSIGN_OR_RETURN(auto member, processes::ChildProcess::Start(words, fmt::format("{}/n{}.log", dir_, i)));
      members_.push_back(std::move(member));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> AwaitLeader(base::Clock* clock, base::Executor* executor) {
    const int64_t begin = clock->MonotonicNanos();
    while (absl::Nanoseconds(clock->MonotonicNanos() - begin) < kStartTimeout) {
      for (int i = 0; i < kNodes; ++i) {
        if (!members_[static_cast<size_t>(i)]->IsRunning()) {
          return base::Error(absl::StatusCode::kUnavailable, "etcd has ended; {}/n{}.log tells why", dir_, i);
        }
        const absl::StatusOr<bool> leads = EtcdLeads(ClientAddress(i));
        if (leads.ok() && *leads) return ClientAddress(i);
      }
      base::Event never;
      executor->Wait(&never, 50'000'000);
    }
    return base::Error(absl::StatusCode::kDeadlineExceeded, "no member of etcd leads");
  }

 private:
  std::string ClientAddress(int i) const { return fmt::format("127.0.0.1:{}", options_.port_base + 100 + i); }
  std::string PeerAddress(int i) const { return fmt::format("127.0.0.1:{}", options_.port_base + 200 + i); }

  const ClusterBenchOptions& options_;
  const std::string dir_;
  std::vector<std::unique_ptr<processes::ChildProcess>> members_;
};

absl::Status RunEtcd(base::Clock* clock, base::Executor* executor, const ClusterBenchOptions& options,
                     const std::string& dir, const std::function<void(const ClusterFigure&)>& tell) {
  EtcdCluster cluster(options, dir);
  BANDB_RETURN_IF_ERROR(cluster.Start());
  BANDB_ASSIGN_OR_RETURN(const std::string leader, cluster.AwaitLeader(clock, executor));
  return RunRounds<EtcdBench>(clock, options, "etcd", leader, tell);
}
#else
absl::Status RunEtcd(base::Clock*, base::Executor*, const ClusterBenchOptions&, const std::string&,
                     const std::function<void(const ClusterFigure&)>&) {
  return base::Error(absl::StatusCode::kUnimplemented, "this build has no gRPC, which etcd is asked through");
}
#endif

}  // namespace

absl::Status RunClusterBench(base::Clock* clock, const ClusterBenchOptions& options,
                             const std::function<void(const ClusterFigure&)>& tell) {
  base::ThreadExecutor executor(1);
  for (const std::string& system : options.systems) {
    const std::string dir = options.dir + "/bandb-bench-cluster";
    std::error_code error;
    if (!std::filesystem::create_directories(dir, error)) {
      return base::Error(absl::StatusCode::kAlreadyExists, "{}: it is there, or cannot be made", dir);
    }
    const absl::Status done = system == "etcd" ? RunEtcd(clock, &executor, options, dir, tell)
                                               : RunBandb(clock, &executor, options, dir, tell);
    // What went wrong is in the logs there.
    if (!done.ok()) return done;
    std::filesystem::remove_all(dir, error);
  }
  return absl::OkStatus();
}

}  // namespace bandb::bench
