#include "processes/local_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <utility>

#include "base/status.h"
#include "client/client.h"

namespace bandb::processes {

namespace {

constexpr int kPeerPortsHigher = 1000;
constexpr int64_t kAgainNanos = 20'000'000;
constexpr int64_t kAnswerNanos = 2'000'000'000;

// How often the text is in it.
size_t Count(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

LocalCluster::LocalCluster(base::Clock* clock, base::Executor* executor, LocalClusterOptions options)
    : clock_(clock),
      executor_(executor),
      options_(std::move(options)),
      processes_(static_cast<size_t>(options_.nodes)) {}

std::string LocalCluster::NodeDir(int node) const { return fmt::format("{}/n{}", options_.dir, node); }
std::string LocalCluster::LogOf(int node) const { return NodeDir(node) + "/server.log"; }
std::string LocalCluster::ClientAddress(int node) const {
  return fmt::format("127.0.0.1:{}", options_.port_base + node);
}
std::string LocalCluster::PeerAddress(int node) const {
  return fmt::format("127.0.0.1:{}", options_.port_base + kPeerPortsHigher + node);
}

absl::Status LocalCluster::Start(int node) {
  std::error_code error;
  std::filesystem::create_directories(NodeDir(node), error);
  if (error) return base::Error(absl::StatusCode::kInternal, "{}: {}", NodeDir(node), error.message());
  std::vector<std::string> words{options_.program, "--data", NodeDir(node) + "/data", "--listen", ClientAddress(node)};
  std::vector<std::string> settings = options_.settings;
  settings.push_back("cluster.listen=" + PeerAddress(node));
  settings.push_back(fmt::format("cluster.name=n{}", node));
  if (node == 0) settings.emplace_back("cluster.bootstrap=true");
  if (node != 0) settings.push_back("cluster.join=" + PeerAddress(0));
  for (std::string& setting : settings) {
    words.emplace_back("--set");
    words.push_back(std::move(setting));
  }
  BANDB_ASSIGN_OR_RETURN(processes_[static_cast<size_t>(node)], ChildProcess::Start(words, LogOf(node)));
  return absl::OkStatus();
}

absl::Status LocalCluster::StartAll(absl::Duration timeout) {
  for (int node = 0; node < options_.nodes; ++node) BANDB_RETURN_IF_ERROR(Start(node));
  const int64_t begin = clock_->MonotonicNanos();
  while (!IsWell()) {
    for (int node = 0; node < options_.nodes; ++node) {
      if (IsRunning(node)) continue;
      return base::Error(absl::StatusCode::kUnavailable, "node n{} has ended; {} tells why", node, LogOf(node));
    }
    if (absl::Nanoseconds(clock_->MonotonicNanos() - begin) > timeout) return AwaitWell(absl::ZeroDuration());
    base::Event never;
    executor_->Wait(&never, kAgainNanos);
  }
  return absl::OkStatus();
}

absl::Status LocalCluster::AwaitWell(absl::Duration timeout) {
  const int64_t begin = clock_->MonotonicNanos();
  while (!IsWell()) {
    if (absl::Nanoseconds(clock_->MonotonicNanos() - begin) > timeout) {
      return base::Error(absl::StatusCode::kDeadlineExceeded, "the nodes are not well; their logs are in {}",
                         options_.dir);
    }
    base::Event never;
    executor_->Wait(&never, kAgainNanos);
  }
  return absl::OkStatus();
}

bool LocalCluster::IsWell() {
  const int leader = FindLeader();
  if (leader < 0) return false;
  const absl::StatusOr<std::string> members = Ask(leader, {"member", "list", "--json"});
  if (!members.ok() || Count(*members, R"("kind":"voter")") != static_cast<size_t>(options_.nodes)) return false;
  size_t running = 0;
  for (int node = 0; node < options_.nodes; ++node) running += IsRunning(node) ? 1 : 0;
  return Count(*members, R"("trouble":"")") >= running;
}

int LocalCluster::FindLeader() {
  for (int node = 0; node < options_.nodes; ++node) {
    if (!IsRunning(node)) continue;
    const absl::StatusOr<std::string> status = Ask(node, {"status", "--json"});
    if (status.ok() && Count(*status, R"("role":"leader")") == 1) return node;
  }
  return -1;
}

bool LocalCluster::IsRunning(int node) {
  const std::unique_ptr<ChildProcess>& process = processes_[static_cast<size_t>(node)];
  return process != nullptr && process->IsRunning();
}

absl::StatusOr<std::string> LocalCluster::Ask(int node, const std::vector<std::string_view>& words) const {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<client::Client> client,
                         client::Client::Connect(ClientAddress(node), {.connect_timeout_nanos = kAnswerNanos,
                                                                       .reply_timeout_nanos = kAnswerNanos}));
  return client->Administer(words);
}

void LocalCluster::End(int node, bool kills) {
  std::unique_ptr<ChildProcess>& process = processes_[static_cast<size_t>(node)];
  if (process == nullptr) return;
  process->Signal(kills ? SIGKILL : SIGTERM);
  process->Wait();
  process.reset();
}

void LocalCluster::StopAll() {
  for (const std::unique_ptr<ChildProcess>& process : processes_) {
    if (process != nullptr) process->Signal(SIGTERM);
  }
  for (int node = 0; node < options_.nodes; ++node) Stop(node);
}

std::string ServerProgram() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path beside = self.parent_path() / "bandb_server";
  return !error && std::filesystem::exists(beside, error) ? beside.string() : "bandb_server";
}

}  // namespace bandb::processes
