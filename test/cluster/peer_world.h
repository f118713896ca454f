// Peers of several nodes over streams in memory, under virtual time.
#ifndef BANDB_TEST_CLUSTER_PEER_WORLD_H_
#define BANDB_TEST_CLUSTER_PEER_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/peers.h"
#include "net/link_host.h"
#include "support/manual_clock.h"
#include "support/memory_logger.h"
#include "support/plain_resolver.h"
#include "support/sim_streams.h"
#include "support/step_executor.h"

namespace bandb::test {

inline constexpr int64_t kMillis = 1'000'000;
inline constexpr int64_t kSecond = 1000 * kMillis;
inline constexpr raft::ClusterId kTestCluster = 0xc1;

// A loop for peers over this one: itself, or one whose connections are all TLS, by the program.
std::shared_ptr<base::EventLoop> OverLayer(std::shared_ptr<base::EventLoop> below);

// Its loops may be under others, by which they are called here.
class PeerNetwork final : public SimNetwork {
 public:
  explicit PeerNetwork(const SimNetworkOptions& options) : SimNetwork(options) {}

  std::shared_ptr<base::EventLoop> MakePeerLoop() {
    std::shared_ptr<base::EventLoop> below = MakeLoop();
    std::shared_ptr<base::EventLoop> over = OverLayer(below);
    below_[over.get()] = below.get();
    return over;
  }
  void Cut(const base::EventLoop* from, const base::EventLoop* to, bool cut) {
    SimNetwork::Cut(Below(from), Below(to), cut);
  }
  void Hold(const base::EventLoop* loop, bool held) { SimNetwork::Hold(Below(loop), held); }
  void Kill(const base::EventLoop* loop) { SimNetwork::Kill(Below(loop)); }

 private:
  const base::EventLoop* Below(const base::EventLoop* loop) const {
    const auto found = below_.find(loop);
    return found == below_.end() ? loop : found->second;
  }
  std::map<const base::EventLoop*, const base::EventLoop*> below_;
};

class PeerWorld {
 public:
  explicit PeerWorld(uint64_t seed, const SimNetworkOptions& options = {})
      : network([&] {
          SimNetworkOptions seeded = options;
          seeded.seed = seed;
          return seeded;
        }()),
        executor(&executor_clock, seed) {}

  // Time passes until `done`, a minute at most; what the executor has to do is done meanwhile.
  bool RunUntil(const std::function<bool()>& done, int64_t nanos_max = 60 * kSecond) {
    return network.RunUntil(
        [&] {
          if (!executor_held) executor.RunReady();
          return done();
        },
        nanos_max);
  }
  void RunFor(int64_t nanos) {
    const int64_t end = network.now_nanos() + nanos;
    // So that something happens at that time.
    timer_loop->After(nanos, [] {});
    RunUntil([&] { return network.now_nanos() >= end; }, nanos);
  }

  PeerNetwork network;
  const std::unique_ptr<base::EventLoop> timer_loop = network.MakeLoop();
  ManualClock executor_clock;
  StepExecutor executor;
  bool executor_held = false;
  MemoryLogger logger;
  const std::shared_ptr<PlainResolver> resolver = std::make_shared<PlainResolver>();
};

// One node: what it hears, in order.
class PeerNode final : public cluster::Peers::Listener {
 public:
  struct Heard {
    raft::NodeId from = 0;
    uint32_t id = 0;
    std::string payload;
  };

  PeerNode(PeerWorld* world, raft::NodeId id, raft::ClusterId cluster = kTestCluster);
  ~PeerNode() override;

  // Another process of the same node, or the same directory elsewhere; what was there is gone
  // without a word.
  void Restart();
  std::string PeerAddress() const { return "node" + std::to_string(self.node) + ":7400"; }
  cluster::Peers::PeerStatus StatusOf(raft::NodeId peer) const;
  bool Up(raft::NodeId peer) const { return StatusOf(peer).up; }
  // An append with this many entries of so many bytes.
  raft::Message Append(raft::NodeId to, size_t entries = 0, size_t bytes = 100) const;

  void OnMessage(raft::Message message) override;
  void OnFrame(raft::NodeId from, uint32_t id, std::string_view payload) override;
  void OnSnapshotReceived(raft::Message message, std::unique_ptr<storage::IncomingState> state) override;
  void OnSnapshotSent(const raft::SnapshotSent& sent) override { snapshots_sent.push_back(sent); }
  void OnOwnDamage(const absl::Status& status) override { damage.push_back(status); }
  void OnUnreachable(raft::NodeId peer) override { unreachable.push_back(peer); }
  void OnJoinRequest(std::string_view request, std::function<void(std::string answer)> reply) override;

  cluster::PeerSelf self;
  cluster::PeersOptions options;
  cluster::Peers::Parts parts;
  std::vector<raft::Message> messages;
  std::vector<Heard> frames;
  std::vector<raft::NodeId> unreachable;
  std::vector<raft::SnapshotSent> snapshots_sent;
  std::vector<absl::Status> damage;
  std::vector<std::pair<raft::Message, std::unique_ptr<storage::IncomingState>>> snapshots;
  std::vector<std::string> join_requests;
  std::vector<std::function<void(std::string)>> join_replies;
  // Called after something was heard.
  std::function<void()> then;

 private:
  const std::shared_ptr<base::EventLoop> loop_;

 public:
  net::LinkHost host;
  std::unique_ptr<cluster::Peers> peers;  // null until Start

  void Start(bool listen = true);
};

// Members with the addresses of these nodes.
raft::Configuration MembersOf(const std::vector<const PeerNode*>& nodes);

}  // namespace bandb::test

#endif  // BANDB_TEST_CLUSTER_PEER_WORLD_H_
