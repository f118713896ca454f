#include "net/link_acceptor.h"

#include "base/status.h"
#include "net/link_world.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

constexpr uint32_t kFirst = net::kFirstLinkMessage;

// Keeps the links that it is given.
class Keeper final : public net::LinkAcceptorHandler {
 public:
  explicit Keeper(LinkWorld* world, const net::LinkAcceptor::Limits& limits = {})
      : acceptor({.host = &world->serving, .logger = &world->logger, .protocol = &world->protocol}, limits, this) {
    REQUIRE_OK(acceptor.Listen({.address = world->Anywhere()}));
  }
  std::string Hello() override { return "I serve"; }
  absl::Status OnHello(std::string_view hello) override {
    if (close_at_hello) acceptor.Close();
    if (hello == "stranger") return absl::PermissionDeniedError("not a peer");
    return absl::OkStatus();
  }
  void OnLink(std::unique_ptr<net::FrameLink> link, std::string_view hello) override {
    hellos.emplace_back(hello);
    if (drop_links) return;
    link->SetHandler(&recording);
    links.push_back(std::move(link));
  }

  RecordingLink recording;
  std::vector<std::unique_ptr<net::FrameLink>> links;
  std::vector<std::string> hellos;
  bool drop_links = false;
  bool close_at_hello = false;
  net::LinkAcceptor acceptor;
};

struct Dialing {
  Dialing(LinkWorld* world, const std::string& address, std::string hello = "peer")
      : link(world->NewLink(&world->dialing, {}, std::move(hello), &recording)) {
    REQUIRE_OK(link->Connect(address));
  }
  RecordingLink recording;
  std::unique_ptr<net::FrameLink> link;
};

}  // namespace

TEST_CASE("a link is given away once it is up, with its hello, and its first frames follow") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2, 3));
  Keeper keeper(&world);
  Dialing dialing(&world, keeper.acceptor.address());
  dialing.recording.then = [&](std::string_view event) {
    if (event == "up") CHECK(dialing.link->Send(kFirst, "with the accept"));
  };
  REQUIRE(world.RunUntil([&] { return keeper.recording.frames.size() == 1; }));
  CHECK(keeper.hellos == std::vector<std::string>{"peer"});
  CHECK(dialing.recording.hello == "I serve");
  CHECK(keeper.acceptor.handshakes() == 0);
  REQUIRE(keeper.links[0]->Send(kFirst, "back"));
  REQUIRE(world.RunUntil([&] { return dialing.recording.frames.size() == 1; }));
  // What was given away outlives the listening.
  keeper.acceptor.Close();
  REQUIRE(keeper.links[0]->Send(kFirst, "still"));
  CHECK(world.RunUntil([&] { return dialing.recording.frames.size() == 2; }));
}

TEST_CASE("a stranger is refused with the reason, and costs nothing afterwards") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  Keeper keeper(&world);
  Dialing stranger(&world, keeper.acceptor.address(), "stranger");
  REQUIRE(world.RunUntil([&] { return stranger.recording.down(); }));
  CHECK(stranger.recording.ends[0].reason == "not a peer");
  CHECK(keeper.acceptor.handshakes() == 0);
  CHECK(keeper.acceptor.failed_handshakes() == 1);
  CHECK(keeper.hellos.empty());
  CHECK(world.logger.Text().find("refused here: not a peer") != std::string::npos);
}

TEST_CASE("silent connections neither pile up nor keep peers out") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  net::LinkAcceptor::Limits limits;
  limits.handshakes_max = 4;
  Keeper keeper(&world, limits);
  std::vector<std::unique_ptr<RecordingEnd>> silent;
  for (int i = 0; i < 40; i++) {
    silent.push_back(std::make_unique<RecordingEnd>());
    auto stream = world.dialing_loop->Connect(keeper.acceptor.address(), silent.back().get());
    REQUIRE_OK(stream.status());
    silent.back()->Own(*std::move(stream));
  }
  REQUIRE(world.RunUntil([&] {
    CHECK(keeper.acceptor.handshakes() <= 4);
    return keeper.acceptor.accepted() == 40;
  }));
  CHECK(keeper.acceptor.dropped_handshakes() == 36);
  Dialing peer(&world, keeper.acceptor.address());
  REQUIRE(world.RunUntil([&] { return keeper.links.size() == 1; }));
  world.RunFor(4 * kSecond);
  CHECK(keeper.acceptor.handshakes() == 0);
  CHECK(keeper.acceptor.failed_handshakes() == 3);
  CHECK(keeper.links[0]->up());
}

TEST_CASE("who has said hello is not dropped for those who are silent") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  net::LinkAcceptor::Limits limits;
  limits.handshakes_max = 4;
  Keeper keeper(&world, limits);
  const auto connect = [&] {
    auto end = std::make_unique<RecordingEnd>();
    auto stream = world.dialing_loop->Connect(keeper.acceptor.address(), end.get());
    REQUIRE_OK(stream.status());
    end->Own(*std::move(stream));
    return end;
  };
  const std::unique_ptr<RecordingEnd> greeted = connect();
  greeted->Send(LengthFrame(1, "hello"));
  REQUIRE(world.RunUntil([&] { return !greeted->received.empty(); }));
  std::vector<std::unique_ptr<RecordingEnd>> silent;
  for (int i = 0; i < 40; i++) silent.push_back(connect());
  REQUIRE(world.RunUntil([&] { return keeper.acceptor.accepted() == 41; }));
  CHECK(keeper.acceptor.dropped_handshakes() == 37);
  greeted->Send(LengthFrame(2, ""));
  CHECK(world.RunUntil([&] { return keeper.links.size() == 1; }));
}

TEST_CASE("many connections of one host keep nobody of another host out") {
  LinkWorld world(GENERATE(1, 2, 3));
  net::LinkAcceptor::Limits limits;
  limits.handshakes_max = 4;
  Keeper keeper(&world, limits);
  const std::unique_ptr<base::EventLoop> elsewhere = world.network()->MakeLoop(1);
  RecordingEnd slow;
  auto stream = elsewhere->Connect(keeper.acceptor.address(), &slow);
  REQUIRE_OK(stream.status());
  slow.Own(*std::move(stream));
  REQUIRE(world.RunUntil([&] { return keeper.acceptor.accepted() == 1; }));
  std::vector<std::unique_ptr<RecordingEnd>> strangers;
  for (int i = 0; i < 40; i++) {
    strangers.push_back(std::make_unique<RecordingEnd>());
    auto another = world.dialing_loop->Connect(keeper.acceptor.address(), strangers.back().get());
    REQUIRE_OK(another.status());
    strangers.back()->Own(*std::move(another));
  }
  REQUIRE(world.RunUntil([&] { return keeper.acceptor.accepted() == 41; }));
  CHECK(keeper.acceptor.dropped_handshakes() == 37);
  CHECK_FALSE(slow.broken);
  slow.Send(LengthFrame(1, "hello") + LengthFrame(2, ""));
  CHECK(world.RunUntil([&] { return keeper.links.size() == 1; }));
}

TEST_CASE("noise on the port costs few lines in the log") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1));
  Keeper keeper(&world);
  for (uint64_t i = 1; i <= 50; i++) {
    RecordingEnd noise;
    auto stream = world.dialing_loop->Connect(keeper.acceptor.address(), &noise);
    REQUIRE_OK(stream.status());
    noise.Own(*std::move(stream));
    noise.Send("GET / HTTP/1.1\r\n\r\n");
    REQUIRE(world.RunUntil([&] { return keeper.acceptor.failed_handshakes() == i; }));
  }
  const std::string text = world.logger.Text();
  CHECK(std::count(text.begin(), text.end(), '\n') == 4);
  CHECK(text.find("malformed") != std::string::npos);
}

TEST_CASE("out of descriptors, the acceptor pauses and goes on") {
  LinkWorld world(GENERATE(1, 2));
  Keeper keeper(&world);
  world.network()->FailAccepts(3);
  Dialing peer(&world, keeper.acceptor.address());
  REQUIRE(world.RunUntil([&] { return keeper.links.size() == 1; }));
  CHECK(keeper.acceptor.accept_failures() == 3);
  CHECK(world.now_nanos() >= 150 * kMillis);
}

TEST_CASE("an acceptor may be closed in the middle of a handshake, and a link dropped as it is given") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  Keeper keeper(&world);
  keeper.close_at_hello = GENERATE(true, false);
  keeper.drop_links = true;
  Dialing peer(&world, keeper.acceptor.address());
  REQUIRE(world.RunUntil([&] { return peer.recording.down(); }));
  CHECK(peer.recording.ends[0].cause == net::LinkEnd::Cause::kLost);
  CHECK(keeper.hellos.size() == (keeper.close_at_hello ? 0 : 1));
  CHECK(keeper.acceptor.handshakes() == 0);
}

TEST_CASE("an address that is in use is refused") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1));
  Keeper keeper(&world);
  net::LinkAcceptor second({.host = &world.serving, .logger = &world.logger, .protocol = &world.protocol}, {}, &keeper);
  CHECK_CODE(second.Listen({.address = keeper.acceptor.address()}), kFailedPrecondition);
}

}  // namespace bandb::test
