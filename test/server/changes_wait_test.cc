// Requests for changes that wait, in virtual time: when they are answered, and what they cost until
// then. The database runs in a world of its own, whose time follows that of the network.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/changes_endpoint.h"
#include "server/feed_server.h"
#include "server/loop_server.h"
#include "storage/db/feed_world.h"
#include "support/catch.h"
#include "support/sim_streams.h"
#include "support/step_executor.h"

namespace bandb::test {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
// Both ways of the network and some turns are less.
constexpr int64_t kAtOnceNanos = 200'000;

// Asks, and notes when each reply came.
class AskingClient final : public base::StreamHandler {
 public:
  AskingClient(SimNetwork* network, base::EventLoop* loop, const std::string& server) : network_(network) {
    auto stream = loop->Connect(server, this);
    REQUIRE(stream.ok());
    stream_ = *std::move(stream);
    stream_->Watch(true, true);
  }

  void Send(const std::string& frame) {
    unsent_ += frame;
    stream_->Watch(true, true);
  }

  std::vector<int64_t> came_nanos;
  std::vector<OwnedReply> replies;

 private:
  void OnWritable() override {
    if (!unsent_.empty()) {
      const std::string_view piece = unsent_;
      const base::IoResult result = stream_->Write(absl::MakeConstSpan(&piece, 1));
      REQUIRE(result.state != base::IoResult::State::kFailed);
      if (result.state == base::IoResult::State::kDone) unsent_.erase(0, result.bytes);
    }
    stream_->Watch(true, !unsent_.empty());
  }
  void OnReadable() override {
    char buffer[3000];
    const base::IoResult result = stream_->Read(buffer, sizeof(buffer));
    if (result.state != base::IoResult::State::kDone) return;
    reader_.Append(std::string_view(buffer, result.bytes));
    proto::Frame frame;
    while (reader_.Next(&frame) == proto::CutResult::kFrame) {
      proto::Reply reply;
      REQUIRE(proto::DecodeReply(frame, &reply));
      came_nanos.push_back(network_->now_nanos());
      replies.push_back({reply.ok, std::string(reply.body), reply.code, std::string(reply.message)});
    }
  }
  void OnBroken() override { FAIL("the connection broke"); }

  SimNetwork* const network_;
  std::unique_ptr<base::Stream> stream_;
  proto::FrameReader reader_{proto::kFrameBytesHardMax};
  std::string unsent_;
};

class WaitingWorld {
 public:
  WaitingWorld()
      : network({.seed = 3, .delay_nanos_min = 1'000, .delay_nanos_max = 20'000}),
        readers(&clock_, 4),
        loop_(network.MakeLoop()),
        clients_(network.MakeLoop()) {
    unit_ = std::make_unique<server::LoopServer>(server::LoopServer::Parts{.loop = loop_,
                                                                           .store = &world.db(),
                                                                           .hooks = &hooks_,
                                                                           .executor = &world.env().executor(),
                                                                           .readers = &readers,
                                                                           .quota = &quota_,
                                                                           .number = 0,
                                                                           .clock = network.clock(),
                                                                           .stats = [] { return std::string(); }},
                                                 ServerOptions());
    REQUIRE_OK(unit_->Listen("server:0"));
  }
  ~WaitingWorld() {
    bool ended = false;
    unit_->End([&] { ended = true; });
    REQUIRE(RunUntil([&] { return ended; }));
  }

  bool RunUntil(const std::function<bool()>& done, int64_t nanos_max = 600 * kSecond) {
    return network.RunUntil(
        [&] {
          readers.RunReady();
          Follow();
          return done();
        },
        nanos_max);
  }
  void RunFor(int64_t nanos) {
    const int64_t end_nanos = network.now_nanos() + nanos;
    RunUntil([&] { return network.now_nanos() >= end_nanos; }, nanos);
    if (network.now_nanos() < end_nanos) network.RunFor(end_nanos - network.now_nanos());
    Follow();
  }
  std::unique_ptr<AskingClient> Client() {
    return std::make_unique<AskingClient>(&network, clients_.get(), unit_->address());
  }

  FeedWorld world;
  SimNetwork network;
  // What requests cost beside the loop.
  ManualClock clock_;
  StepExecutor readers;

 private:
  // The time of the database goes on as that of the network.
  void Follow() {
    const int64_t behind_nanos = network.now_nanos() - followed_nanos_;
    followed_nanos_ = network.now_nanos();
    world.env().executor().RunFor(behind_nanos);
  }

  net::Quota quota_;
  const ServerHooks hooks_;
  const std::shared_ptr<base::EventLoop> loop_;
  const std::unique_ptr<base::EventLoop> clients_;
  std::unique_ptr<server::LoopServer> unit_;
  int64_t followed_nanos_ = 0;
};

}  // namespace

TEST_CASE("a change is on its way to who waits for it as soon as it is durable, and until then nobody looks") {
  WaitingWorld world;
  const auto client = world.Client();
  for (int i = 0; i < 20; ++i) {
    client->Send(ChangesFrame({.wait_ms = kLong}));
    const auto asked = static_cast<size_t>(i);
    world.RunFor(1'300'000 * (i + 1));
    const uint64_t steps = world.readers.steps();
    world.RunFor(10 * kSecond);
    REQUIRE(client->replies.size() == asked);
    CHECK(world.readers.steps() == steps);
    const int64_t written_nanos = world.network.now_nanos();
    world.world.Put("k");
    REQUIRE(world.RunUntil([&] { return client->replies.size() == asked + 1; }));
    CHECK(client->replies.back().body.find('k') != std::string::npos);
    CHECK(client->came_nanos.back() - written_nanos < kAtOnceNanos);
    CHECK(world.readers.steps() <= steps + 2);
  }
}

TEST_CASE("the end of the wait is the one that was asked for") {
  WaitingWorld world;
  const auto client = world.Client();
  for (const uint32_t wait_ms : {1u, 7u, 33u, 1003u}) {
    const size_t before = client->replies.size();
    const int64_t asked_nanos = world.network.now_nanos();
    client->Send(ChangesFrame({.wait_ms = wait_ms}));
    REQUIRE(world.RunUntil([&] { return client->replies.size() > before; }));
    const int64_t took_nanos = client->came_nanos.back() - asked_nanos;
    CHECK(took_nanos >= int64_t{wait_ms} * 1'000'000);
    CHECK(took_nanos < int64_t{wait_ms} * 1'000'000 + kAtOnceNanos);
  }
}

TEST_CASE("what nobody has synced comes to who waits for it, too") {
  WaitingWorld world;
  const auto client = world.Client();
  for (size_t i = 1; i <= 5; ++i) {
    client->Send(ChangesFrame({.wait_ms = kLong}));
    world.RunFor(kSecond);
    const int64_t written_nanos = world.network.now_nanos();
    world.world.Put("k", false);
    REQUIRE(world.RunUntil([&] { return client->replies.size() == i; }));
    CHECK(client->replies.back().body.find('k') != std::string::npos);
    CHECK(client->came_nanos.back() - written_nanos < 200'000'000);
  }
}

TEST_CASE("all that wait are told, whatever they wait for, and those whose change it is not go on waiting") {
  WaitingWorld world;
  std::vector<std::unique_ptr<AskingClient>> clients;
  constexpr size_t kClients = 200;
  for (size_t i = 0; i < kClients; ++i) {
    clients.push_back(world.Client());
    clients.back()->Send(
        ChangesFrame({.wait_ms = kLong, .begin = i % 2 == 0 ? "a" : "m", .limit = i % 2 == 0 ? "m" : ""}));
  }
  world.RunFor(kSecond);
  const auto answered = [&](size_t parity) {
    size_t count = 0;
    for (size_t i = parity; i < kClients; i += 2) count += clients[i]->replies.size();
    return count;
  };
  int64_t written_nanos = world.network.now_nanos();
  world.world.Put("z");
  REQUIRE(world.RunUntil([&] { return answered(1) == kClients / 2; }));
  CHECK(world.network.now_nanos() - written_nanos < kSecond / 100);
  world.RunFor(kSecond);
  CHECK(answered(0) == 0);
  written_nanos = world.network.now_nanos();
  world.world.Put("b");
  REQUIRE(world.RunUntil([&] { return answered(0) == kClients / 2; }));
  CHECK(world.network.now_nanos() - written_nanos < kSecond / 100);
}

}  // namespace bandb::test
