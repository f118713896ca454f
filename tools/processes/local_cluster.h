// A cluster of bandb_server processes on this machine, to try things and to measure.
#ifndef BANDB_TOOLS_PROCESSES_LOCAL_CLUSTER_H_
#define BANDB_TOOLS_PROCESSES_LOCAL_CLUSTER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "processes/child_process.h"

namespace bandb::processes {

struct LocalClusterOptions {
  std::string program = "bandb_server";
  std::string dir;  // node I has DIR/nI, with data and server.log
  int nodes = 3;
  // Node I listens for clients at 127.0.0.1, on port base + I, counted from 0; for peers 1000
  // higher.
  int port_base = 8081;
  std::vector<std::string> settings{};  // KEY=VALUE, of all nodes
};

// Thread safety: one thread at a time.
class LocalCluster {
 public:
  // Lifetime: borrows clock and executor.
  LocalCluster(base::Clock* clock, base::Executor* executor, LocalClusterOptions options);

  // Starts all nodes and waits until all vote and are well. Errors: kDeadlineExceeded; kUnavailable
  // a node has ended, and its log is named.
  absl::Status StartAll(absl::Duration timeout);
  // Of one node, counted from 0. Errors: as ChildProcess::Start.
  absl::Status Start(int node);
  // Until one node leads and all that run vote and are well.
  absl::Status AwaitWell(absl::Duration timeout);
  // In order, or at once; waits for its end.
  void Stop(int node) { End(node, /*kills=*/false); }
  void Kill(int node) { End(node, /*kills=*/true); }
  // In order, all at once.
  void StopAll();

  int nodes() const { return options_.nodes; }
  bool IsRunning(int node);
  std::string ClientAddress(int node) const;
  // What the node says to these words of an operator.
  absl::StatusOr<std::string> Ask(int node, const std::vector<std::string_view>& words) const;
  // The first node that says it leads, or -1.
  int FindLeader();
  std::string LogOf(int node) const;

 private:
  void End(int node, bool kills);
  bool IsWell();
  std::string NodeDir(int node) const;
  std::string PeerAddress(int node) const;

  base::Clock* const clock_;
  base::Executor* const executor_;
  const LocalClusterOptions options_;
  std::vector<std::unique_ptr<ChildProcess>> processes_;
};

// bandb_server, in the folder of the program that runs if it is there.
std::string ServerProgram();

}  // namespace bandb::processes

#endif  // BANDB_TOOLS_PROCESSES_LOCAL_CLUSTER_H_
