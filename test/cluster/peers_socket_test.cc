// Peers over real sockets, and names that a thread looks up: the same objects as in memory.
#include "base/thread_executor.h"
#include "cluster/peers.h"
#include "net/stream_world.h"
#include "support/catch.h"
#include "support/memory_logger.h"

namespace bandb::test {

namespace {

// A node that counts what it hears.
class SocketNode final : public cluster::Peers::Listener {
 public:
  SocketNode(StreamWorld* world, base::Executor* executor, raft::NodeId id)
      : id_(id), loop_(world->MakeLoop()), host_(loop_.get()) {
    const cluster::PeerSelf self{.cluster = 0xc1, .node = id, .incarnation = id, .versions = {}};
    peers = std::make_unique<cluster::Peers>(self, cluster::PeersOptions(),
                                             cluster::Peers::Parts{.loop = loop_,
                                                                   .resolver = std::make_shared<net::SystemResolver>(),
                                                                   .host = &host_,
                                                                   .executor = executor,
                                                                   .logger = &logger_,
                                                                   .listener = this,
                                                                   .pin = nullptr,
                                                                   .meta_at = nullptr,
                                                                   .receive = nullptr},
                                             base::Random(id));
    REQUIRE_OK(peers->Listen("127.0.0.1:0"));
  }
  raft::Member AsMember(const std::string& host) const {
    const std::string& address = peers->address();
    raft::Member member;
    member.id = id_;
    member.voter = true;
    member.address =
        cluster::EncodeMemberAddress({.peer = host + address.substr(address.rfind(':')), .client = {}, .name = {}});
    return member;
  }
  bool Up(size_t others) const {
    const auto all = peers->Status();
    return static_cast<size_t>(std::count_if(all.begin(), all.end(), [](const auto& s) { return s.up; })) == others;
  }
  // Outside a turn, so that it leaves in the next.
  void Send(raft::NodeId to, size_t bytes) {
    raft::Message message;
    message.cluster = 0xc1;
    message.from = id_;
    message.to = to;
    message.entries.emplace_back().payload = raft::Payload(std::string(bytes, 'x'));
    peers->Send(message);
    loop_->Post([] {});
  }

  void OnMessage(raft::Message message) override {
    for (const raft::Entry& entry : message.entries) heard_bytes += entry.payload.size();
    ++heard;
  }
  void OnFrame(raft::NodeId, uint32_t, std::string_view) override {}
  void OnSnapshotReceived(raft::Message, std::unique_ptr<storage::IncomingState>) override {}
  void OnSnapshotSent(const raft::SnapshotSent&) override {}
  void OnUnreachable(raft::NodeId) override {}
  void OnJoinRequest(std::string_view, std::function<void(std::string answer)>) override {}

  uint64_t heard = 0;
  uint64_t heard_bytes = 0;

 private:
  const raft::NodeId id_;
  const std::shared_ptr<base::EventLoop> loop_;
  net::LinkHost host_;
  MemoryLogger logger_;

 public:
  std::unique_ptr<cluster::Peers> peers;
};

}  // namespace

TEST_CASE("nodes find each other on sockets, by number or by name, and send large entries") {
  const auto world = MakeWorld(GENERATE(kSockets, kPollSockets));
  base::ThreadExecutor executor(1);
  const std::string host = GENERATE("127.0.0.1", "localhost");
  std::vector<std::unique_ptr<SocketNode>> nodes;
  raft::Configuration members;
  for (raft::NodeId id = 1; id <= 3; ++id) {
    nodes.push_back(std::make_unique<SocketNode>(world.get(), &executor, id));
    members.members.push_back(nodes.back()->AsMember(host));
  }
  for (const auto& node : nodes) node->peers->SetMembers(members);
  REQUIRE(world->RunUntil([&] { return nodes[0]->Up(2) && nodes[1]->Up(2) && nodes[2]->Up(2); }));
  nodes[0]->Send(2, 20 << 20);
  nodes[1]->Send(1, 20 << 20);
  nodes[2]->Send(1, 5);
  REQUIRE(world->RunUntil([&] { return nodes[0]->heard == 2 && nodes[1]->heard == 1; }));
  CHECK(nodes[0]->heard_bytes == (20 << 20) + 5);
  CHECK(nodes[1]->heard_bytes == 20 << 20);
  // One goes without a word, one with.
  nodes[2]->peers.reset();
  REQUIRE(world->RunUntil([&] { return nodes[0]->Up(1) && nodes[1]->Up(1); }));
  nodes[1]->peers->Close("the end");
  REQUIRE(world->RunUntil([&] { return nodes[0]->Up(0); }));
}

}  // namespace bandb::test
