// A stranger that speaks the protocol of links and then says what it likes.
#ifndef BANDB_TEST_CLUSTER_RAW_PEER_H_
#define BANDB_TEST_CLUSTER_RAW_PEER_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/peer_protocol.h"
#include "cluster/peer_world.h"
#include "net/frame_link.h"
#include "proto/peer_hello.h"
#include "support/catch.h"

namespace bandb::test {

// The hello of a correct node.
inline proto::PeerHello HelloOf(raft::NodeId node, proto::LinkClass link_class = proto::LinkClass::kBulk) {
  return {.kind = proto::HelloKind::kMember,
          .link_class = link_class,
          .versions = {},
          .cluster = kTestCluster,
          .node = node,
          .expected = raft::kNoNode,
          .incarnation = node * 1000 + 1};
}

class RawPeer final : public net::LinkHandler {
 public:
  RawPeer(PeerWorld* world, const std::string& address, std::string hello)
      : loop_(world->network.MakePeerLoop()),
        host_(loop_.get()),
        link_(std::make_unique<net::FrameLink>(&host_, net::LinkOptions(), protocol_.NewCodec(), std::move(hello),
                                               static_cast<net::LinkHandler*>(this))) {
    REQUIRE_OK(link_->Connect(address));
  }
  RawPeer(PeerWorld* world, const std::string& address, const proto::PeerHello& hello)
      : RawPeer(world, address, proto::EncodePeerHello(hello)) {}

  absl::Status OnHello(std::string_view said) override {
    hello = said;
    return absl::OkStatus();
  }
  void OnUp() override {
    up = true;
    SayAlive();
  }
  void OnFrame(const net::Frame& frame) override {
    if (frame.message_id != static_cast<uint32_t>(cluster::PeerFrame::kPing)) {
      frames.emplace_back(frame.message_id, frame.payload);
    }
  }
  void OnWritable() override {}
  void OnDown(const net::LinkEnd& e) override {
    end = net::ToString(e);
    down = true;
  }

  void Say(cluster::PeerFrame id, std::string_view payload) { Say(static_cast<uint32_t>(id), payload); }
  void Say(uint32_t id, std::string_view payload) {
    link_->Send(id, payload);
    loop_->Post([] {});
  }
  net::FrameLink& link() { return *link_; }
  const base::EventLoop* loop() const { return loop_.get(); }

  bool up = false;
  bool down = false;
  std::string end;
  std::string hello;
  std::vector<std::pair<uint32_t, std::string>> frames;

 private:
  void SayAlive() {
    link_->Send(static_cast<uint32_t>(cluster::PeerFrame::kPing), {});
    loop_->After(kSecond, [this] { SayAlive(); });
  }

  const cluster::PeerProtocol protocol_;
  const std::shared_ptr<base::EventLoop> loop_;
  net::LinkHost host_;
  const std::unique_ptr<net::FrameLink> link_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_CLUSTER_RAW_PEER_H_
