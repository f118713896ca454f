#include "cluster_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "arguments.h"
#include "bandb/cluster.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "base/thread_executor.h"
#include "processes/local_cluster.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;
using standard_streams::Write;

// What one says of itself is some hundred bytes.
constexpr uint64_t kSurvivorBytesMax = 1 << 20;
constexpr absl::Duration kWellTimeout = absl::Seconds(60);

constexpr const char* kTryFooter =
    "The nodes are n0, n1, ...; n0 listens for clients at BASE, n1 at the next port, and so on, for peers 1000 higher. "
    "What\n"
    "DIR holds of an earlier try goes on. Their logs are DIR/nN/server.log.\n"
    "\n"
    "Then it takes commands from standard input, until quit or its end, and stops the nodes:\n"
    "  status     the members, as the leader sees them, and which nodes run\n"
    "  stop N     end node nN in order\n"
    "  kill N     end it at once, as a crash would\n"
    "  start N    start it again\n"
    "  await      until all that run are well\n"
    "\n"
    "Examples:\n"
    "  bandb cluster try --dir /tmp/try\n"
    "  bandb --addr 127.0.0.1:8082 put name Alice";

constexpr const char* kRecoverFooter =
    "What was acknowledged and is on none of these nodes is lost. All of them vote from then on, and nodes of the old\n"
    "cluster are refused. If it is cut short, the same command may be given again.\n"
    "\n"
    "Example, on each of the two nodes that are left, both stopped:\n"
    "  bandb cluster describe --data /var/lib/bandb > a.survivor\n"
    "  bandb cluster recover --data /var/lib/bandb --survivors a.survivor b.survivor";

constexpr std::string_view kCommands = "status, stop N, kill N, start N, await, quit";

// The session over the nodes.
class Trial {
 public:
  explicit Trial(processes::LocalCluster* cluster) : cluster_(cluster) {}

  // Returns the exit code: of a script the highest of its commands.
  int Run() {
    std::string line;
    int code = kDone;
    while (std::getline(std::cin, line)) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
      if (words.empty()) continue;
      if (words[0] == "quit" || words[0] == "exit") break;
      code = std::max(code, RunLine(words));
      std::fflush(stdout);
    }
    return code;
  }

  void Show() {
    for (int node = 0; node < cluster_->nodes(); ++node) {
      Print(stdout, "n{}  {}  {}\n", node, cluster_->ClientAddress(node),
            cluster_->IsRunning(node) ? "runs" : "does not run");
    }
    const int leader = cluster_->FindLeader();
    if (leader < 0) return Write(stdout, "no node leads\n");
    const absl::StatusOr<std::string> status = cluster_->Ask(leader, {"status"});
    Print(stdout, "{}\n", status.ok() ? *status : base::Message(status.status()));
  }

 private:
  int RunLine(const std::vector<std::string>& words) {
    if (words[0] == "status" && words.size() == 1) {
      Show();
      return kDone;
    }
    if (words[0] == "await" && words.size() == 1) return Tell(cluster_->AwaitWell(kWellTimeout));
    int node = 0;
    const bool is_known = words[0] == "stop" || words[0] == "kill" || words[0] == "start";
    if (!is_known || words.size() != 2 || !TakeNode(words[1], &node)) {
      Print(stderr, "(error) commands are {}; nodes 0 to {}\n", kCommands, cluster_->nodes() - 1);
      return kUsage;
    }
    if (cluster_->IsRunning(node) == (words[0] == "start")) {
      Print(stderr, "(error) n{} {}\n", node, words[0] == "start" ? "runs" : "does not run");
      return kServerError;
    }
    if (words[0] == "start") return Tell(cluster_->Start(node));
    words[0] == "stop" ? cluster_->Stop(node) : cluster_->Kill(node);
    return Tell(absl::OkStatus());
  }

  bool TakeNode(std::string_view word, int* node) const {
    if (word.starts_with('n')) word.remove_prefix(1);
    if (word.size() != 1 || word[0] < '0' || word[0] > '9') return false;
    *node = word[0] - '0';
    return *node < cluster_->nodes();
  }

  static int Tell(const absl::Status& status) {
    if (status.ok()) {
      Write(stdout, "OK\n");
      return kDone;
    }
    Print(stderr, "(error) {}\n", base::Message(status));
    return kServerError;
  }

  processes::LocalCluster* const cluster_;
};

int Try(processes::LocalClusterOptions options) {
  options.program = processes::ServerProgram();
  base::SystemClock clock;
  base::ThreadExecutor executor(1);
  processes::LocalCluster cluster(&clock, &executor, std::move(options));
  const absl::Status started = cluster.StartAll(kWellTimeout);
  if (!started.ok()) {
    Print(stderr, "(error) {}\n", base::Message(started));
    return kServerError;
  }
  Trial trial(&cluster);
  trial.Show();
  std::fflush(stdout);
  const int code = trial.Run();
  cluster.StopAll();
  return code;
}

int Fail(const absl::Status& status) {
  Print(stderr, "(error) {}\n", base::Message(status));
  return kServerError;
}

ClusterOptions OptionsOf(const std::string& data) {
  ClusterOptions options;
  options.dir = data;
  return options;
}

int Describe(const std::string& data) {
  const absl::StatusOr<std::string> text = Cluster::DescribeSurvivor(OptionsOf(data));
  if (!text.ok()) return Fail(text.status());
  Print(stdout, "{}\n", *text);
  return kDone;
}

std::vector<std::string> SplitLines(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipWhitespace());
}

int Recover(const std::string& data, const std::vector<std::string>& paths) {
  base::PosixFileSystem files;
  std::vector<std::string> survivors;
  for (const std::string& path : paths) {
    const absl::StatusOr<std::string> text = base::ReadFile(&files, path, kSurvivorBytesMax);
    if (!text.ok()) return Fail(text.status());
    for (std::string& line : SplitLines(*text)) survivors.push_back(std::move(line));
  }
  const absl::StatusOr<QuorumRecovery> made = Cluster::RecoverLostQuorum(OptionsOf(data), survivors);
  if (!made.ok()) return Fail(made.status());
  Print(stdout, "cluster  {}\nvoters   {}\n", made->cluster_id, absl::StrJoin(made->voters, " "));
  if (!made->new_voters.empty()) Print(stdout, "did not vote before: {}\n", absl::StrJoin(made->new_voters, " "));
  return kDone;
}

}  // namespace

int RunCluster(std::vector<std::string> arguments) {
  CLI::App app("Clusters on this machine, and what is left of one.", "bandb cluster");
  app.require_subcommand(1);
  processes::LocalClusterOptions options;
  CLI::App* trial = app.add_subcommand("try", "run a cluster on this machine, to stop and kill its nodes and see");
  trial->add_option("--nodes", options.nodes, "how many [3]")->check(CLI::Range(1, 9).description(""))->type_name("N");
  trial->add_option("--dir", options.dir, "where they keep what they have")->required()->type_name("DIR");
  trial->add_option("--port", options.port_base, "port for clients of the first node [8081]")
      ->check(CLI::Range(1024, 64'000).description(""))
      ->type_name("BASE");
  trial->footer(kTryFooter);
  std::string data;
  std::vector<std::string> survivors;
  CLI::App* describe = app.add_subcommand(
      "describe", "when a majority of the voters is lost for good: what the node of a directory is, for recover");
  describe->add_option("--data", data, "the directory of a node that does not run")->required()->type_name("DIR");
  CLI::App* recover = app.add_subcommand(
      "recover", "make a new cluster of the nodes that are left; on each of them, with the same list");
  recover->add_option("--data", data, "the directory of a node that does not run")->required()->type_name("DIR");
  recover->add_option("--survivors", survivors, "what describe has written on all nodes that are left")
      ->required()
      ->type_name("FILE...");
  recover->footer(kRecoverFooter);
  if (const std::optional<int> end = ParseArguments(&app, std::move(arguments)); end.has_value()) return *end;
  if (describe->parsed()) return Describe(data);
  if (recover->parsed()) return Recover(data, survivors);
  return Try(std::move(options));
}

}  // namespace bandb::cli
