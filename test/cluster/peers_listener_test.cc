// What is dialed may be anything, too.
#include <algorithm>

#include "cluster/raw_peer.h"
#include "net/link_acceptor.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

// Takes every link, and says one thing.
class EvilListener final : public net::LinkAcceptorHandler {
 public:
  EvilListener(PeerWorld* world, raft::NodeId id, uint32_t frame, std::string payload)
      : frame_(frame),
        payload_(std::move(payload)),
        hello_(proto::EncodePeerHello(HelloOf(id))),
        loop_(world->network.MakeLoop()),
        host_(loop_.get()),
        acceptor_({.host = &host_, .logger = &world->logger, .protocol = &protocol_}, {}, this) {
    REQUIRE_OK(acceptor_.Listen({.address = "node" + std::to_string(id) + ":7400"}));
  }
  std::string Hello() override { return hello_; }
  absl::Status OnHello(std::string_view) override { return absl::OkStatus(); }
  void OnLink(std::unique_ptr<net::FrameLink> link, std::string_view) override {
    ++links;
    link->Send(frame_, payload_);
    link->SetHandler(&quiet_);
    links_.push_back(std::move(link));
  }
  uint64_t links = 0;

 private:
  class Quiet final : public net::LinkHandler {
   public:
    absl::Status OnHello(std::string_view) override { return absl::OkStatus(); }
    void OnUp() override {}
    void OnFrame(const net::Frame&) override {}
    void OnWritable() override {}
    void OnDown(const net::LinkEnd&) override {}
  };

  const uint32_t frame_;
  const std::string payload_;
  const std::string hello_;
  const cluster::PeerProtocol protocol_;
  const std::unique_ptr<base::EventLoop> loop_;
  net::LinkHost host_;
  Quiet quiet_;
  std::vector<std::unique_ptr<net::FrameLink>> links_;
  net::LinkAcceptor acceptor_;
};

}  // namespace

TEST_CASE("a peer that sends nonsense as soon as it is dialed is not dialed as fast as it answers") {
  PeerWorld world(GENERATE(1, 2));
  PeerNode a(&world, GENERATE(1, 9));
  PeerNode b(&world, 2);  // of which only the address is used
  EvilListener evil(&world, 2, GENERATE(16u, 20u, 35u), "nonsense");
  a.Start();
  a.peers->SetMembers(MembersOf({&a, &b}));
  world.RunFor(20 * kSecond);
  CHECK(evil.links >= 4);
  CHECK(evil.links <= 90);
  CHECK(a.messages.empty());
  const std::string log = world.logger.Text();
  CHECK(std::count(log.begin(), log.end(), '\n') < 20);
}

TEST_CASE("strangers under many names do not fill the log, and are not reported to the core") {
  PeerWorld world(1);
  PeerNode a(&world, 1);
  a.Start();
  for (raft::NodeId id = 100; id < 300; ++id) {
    RawPeer stranger(&world, a.PeerAddress(), HelloOf(id));
    REQUIRE(world.RunUntil([&] { return stranger.up; }));
    stranger.Say(cluster::PeerFrame::kMessage, "nonsense");
    REQUIRE(world.RunUntil([&] { return stranger.down; }));
  }
  const std::string log = world.logger.Text();
  CHECK(std::count(log.begin(), log.end(), '\n') < 20);
  CHECK(a.unreachable.empty());
}

TEST_CASE("a message of a version that the peer does not know is not sent") {
  PeerWorld world(1);
  PeerNode a(&world, 1);
  PeerNode b(&world, 2);
  a.self.versions = {.min = 1, .max = 2};
  for (PeerNode* node : {&a, &b}) {
    node->Start();
    node->peers->SetMembers(MembersOf({&a, &b}));
  }
  REQUIRE(world.RunUntil([&] { return a.Up(2) && b.Up(1); }));
  raft::Message message = a.Append(2, 1);
  message.version = 2;
  a.peers->Send(message);
  message.entries.clear();
  a.peers->Send(message);
  a.peers->Send(a.Append(2));
  REQUIRE(world.RunUntil([&] { return b.messages.size() == 1; }));
  CHECK(b.messages[0].version == 1);
  CHECK(a.StatusOf(2).dropped_messages == 2);
  CHECK(a.Up(2));
}

}  // namespace bandb::test
