#include "net/link_host.h"

#include "net/link_world.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

constexpr uint32_t kFirst = net::kFirstLinkMessage;

// Sends at the end of a turn.
class Sender final : public base::TurnHandler {
 public:
  explicit Sender(base::EventLoop* loop) : loop_(loop) { loop_->AddTurnHandler(this); }
  ~Sender() { loop_->RemoveTurnHandler(this); }
  void OnTurnEnd() override {
    if (link != nullptr && !std::exchange(sent, true)) CHECK(link->Send(kFirst, "late"));
  }
  net::FrameLink* link = nullptr;
  bool sent = false;

 private:
  base::EventLoop* const loop_;
};

}  // namespace

TEST_CASE("what is sent at the end of a turn, after the links were flushed, leaves without another event") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  LinkPair pair(&world);
  // Comes after the host.
  Sender sender(world.dialing_loop.get());
  pair.ConnectUp();
  world.RunFor(10 * kMillis);
  sender.link = pair.dialer.get();
  CHECK(world.RunUntil([&] { return pair.at_acceptor.frames.size() == 1; }));
  CHECK(sender.sent);
  CHECK(pair.dialer->output_bytes() == 0);
}

TEST_CASE("no more streams take leave at a time than may, and none for long") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  RecordingListener listener;
  REQUIRE_OK(listener.Listen(world.serving_loop.get(), world.Anywhere()));
  // Peers that accept, read, and never close.
  constexpr size_t kLinks = 20;
  RecordingLink recording[kLinks];
  std::vector<std::unique_ptr<net::FrameLink>> links;
  for (RecordingLink& one : recording) {
    links.push_back(world.NewLink(&world.dialing, {}, "hello", &one));
    REQUIRE_OK(links.back()->Connect(listener.address()));
  }
  REQUIRE(world.RunUntil([&] {
    return listener.ends.size() == kLinks && std::all_of(listener.ends.begin(), listener.ends.end(),
                                                         [](const auto& end) { return !end->received.empty(); });
  }));
  for (auto& link : links) link->Close("the end");
  links.clear();
  CHECK(world.dialing.leaving() == 16);
  const std::string last_words = LengthFrame(1, "hello") + LengthFrame(3, "the end");
  REQUIRE(world.RunUntil([&] {
    return std::count_if(listener.ends.begin(), listener.ends.end(),
                         [&](const auto& end) { return end->ended && end->received == last_words; }) == 16;
  }));
  world.RunFor(3 * kSecond);
  CHECK(world.dialing.leaving() == 0);
}

TEST_CASE("a link with much that its peer does not read takes no leave") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  LinkPair pair(&world);
  pair.ConnectUp();
  pair.acceptor->SetReading(false);
  for (int idle = 0; idle < 20; idle++) {
    while (pair.dialer->Send(kFirst, std::string(1 << 20, 'm'))) idle = 0;
    world.RunUntil([turns = 0]() mutable { return ++turns > 5; });
  }
  pair.dialer->Close("too much");
  CHECK(world.dialing.leaving() == 0);
  CHECK(pair.dialer->output_bytes() == 0);
}

TEST_CASE("a host may go while streams take leave") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1));
  auto host = std::make_unique<net::LinkHost>(world.dialing_loop.get());
  RecordingListener listener;
  REQUIRE_OK(listener.Listen(world.serving_loop.get(), world.Anywhere()));
  RecordingLink recording;
  auto link = world.NewLink(host.get(), {}, "hello", &recording);
  REQUIRE_OK(link->Connect(listener.address()));
  REQUIRE(world.RunUntil([&] { return listener.ends.size() == 1 && !listener.ends[0]->received.empty(); }));
  link->Close("the end");
  link.reset();
  CHECK(host->leaving() == 1);
  host.reset();
  CHECK(world.RunUntil([&] { return listener.ends[0]->ended || listener.ends[0]->broken; }));
  world.RunFor(3 * kSecond);
}

}  // namespace bandb::test
