// Nodes of a cluster in one process, over loopback, as an application sees them.
#ifndef BANDB_TEST_CLUSTER_CLUSTER_RIG_H_
#define BANDB_TEST_CLUSTER_CLUSTER_RIG_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "bandb/cluster.h"
#include "base/executor.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace bandb::test {

// What the only node of a cluster starts with.
inline ClusterOptions Alone(const TempDir& dir) {
  ClusterOptions options;
  options.dir = dir.File("node");
  options.bootstrap = true;
  options.log_file_bytes = 8 << 20;
  options.storage.write_buffer_bytes = 1 << 20;
  return options;
}

inline std::unique_ptr<Cluster> MustStart(const ClusterOptions& options) {
  auto node = Cluster::Start(options);
  REQUIRE_OK(node.status());
  return *std::move(node);
}

// Told of every change, so that a test waits for one instead of sleeping.
struct Changes final : ClusterListener {
  void OnLeaderChanged(uint64_t, uint64_t, bool) override { changed.Set(); }
  void OnMembersChanged(uint64_t) override { changed.Set(); }
  void OnRemoved() override {
    ++removals;
    changed.Set();
  }
  void OnFailed(const absl::Status&) override {
    ++failures;
    changed.Set();
  }
  base::Event changed;
  std::atomic<int> removals{0};
  std::atomic<int> failures{0};
};

// Nodes are called by a letter, which is their name and that of their directory.
class Nodes {
 public:
  // What is to be different of the options of a node.
  using Adjust = std::function<void(const std::string& name, ClusterOptions* options)>;

  // `voters` of them, from "a" on, which leads.
  explicit Nodes(size_t voters, Adjust adjust = nullptr) : adjust_(std::move(adjust)) {
    for (size_t i = 0; i < voters; ++i) Start(std::string(1, static_cast<char>('a' + i)));
    AwaitVoters("a", voters);
  }

  Cluster& operator[](const std::string& name) { return *nodes_.at(name).cluster; }
  Changes& changes(const std::string& name) { return *nodes_.at(name).changes; }

  // What a node that is new starts with: the first one begins the cluster, the others join it.
  ClusterOptions OptionsOf(const std::string& name) {
    ClusterOptions options;
    options.dir = dir_.File(name);
    options.name = name;
    options.listen = "127.0.0.1:0";
    options.election_timeout = absl::Milliseconds(300);
    options.heartbeat_interval = absl::Milliseconds(50);
    options.log_file_bytes = 8 << 20;
    options.log_retained_bytes = 8 << 20;
    options.storage.write_buffer_bytes = 1 << 20;
    auto& changes = nodes_[name].changes;
    if (changes == nullptr) changes = std::make_unique<Changes>();
    options.listener = changes.get();
    if (first_.empty()) {
      options.bootstrap = true;
    } else {
      options.join = {first_};
    }
    if (adjust_ != nullptr) adjust_(name, &options);
    return options;
  }
  void Start(const std::string& name) { StartWith(name, OptionsOf(name)); }
  void StartWith(const std::string& name, const ClusterOptions& options) {
    nodes_[name].cluster = MustStart(options);
    if (first_.empty()) first_ = AddressOf(name);
  }
  void Kill(const std::string& name) { nodes_.at(name).cluster.reset(); }

  // How the node itself knows a member; REQUIREs that it does.
  MemberStatus Member(const std::string& at, const std::string& name) {
    for (const MemberStatus& member : (*this)[at].GetStatus().members) {
      if (member.name == name) return member;
    }
    FAIL("no member " << name);
    return {};
  }
  uint64_t IdOf(const std::string& name) { return (*this)[name].GetStatus().node_id; }
  std::string AddressOf(const std::string& name) { return Member(name, name).peer_address; }
  const TempDir& dir() const { return dir_; }

  // Until `what` holds of the status that the node gives; looked at whenever something changes, and
  // now and then.
  void Await(const std::string& at, const std::function<bool(const ClusterStatus&)>& what) {
    base::Event& changed = nodes_.at(at).changes->changed;
    while (!what((*this)[at].GetStatus())) {
      changed.BlockUntilSet(10'000'000);
      changed.Reset();
    }
  }
  void AwaitVoters(const std::string& at, size_t count) {
    Await(at, [count](const ClusterStatus& status) {
      size_t voters = 0;
      for (const MemberStatus& member : status.members) voters += member.voter ? 1 : 0;
      return voters == count && !status.members_changing;
    });
  }
  // The name of a node that says it leads.
  std::string AwaitLeader() {
    for (;;) {
      for (auto& [name, node] : nodes_) {
        if (node.cluster != nullptr && node.cluster->GetStatus().role == NodeRole::kLeader) return name;
      }
      base::Event pause;
      pause.BlockUntilSet(10'000'000);
    }
  }

 private:
  struct Node {
    std::unique_ptr<Changes> changes;
    std::unique_ptr<Cluster> cluster;
  };

  const Adjust adjust_;
  TempDir dir_;
  std::string first_;
  std::map<std::string, Node> nodes_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_CLUSTER_CLUSTER_RIG_H_
