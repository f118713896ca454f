// BanNet alone, under a protocol that has nothing to do with keys and values: lines of text, "ID PAYLOAD\n".
#include "net/frame_server.h"

#include <fmt/format.h>

#include <charconv>
#include <functional>
#include <optional>

#include "net/stream_world.h"
#include "support/catch.h"
#include "support/manual_clock.h"
#include "support/step_executor.h"

namespace bandb::test {
namespace {

constexpr size_t kLineBytesMax = 100;

class LineProtocol final : public net::Protocol {
 public:
  net::Cut Next(std::string_view bytes, net::Frame* frame, size_t* frame_bytes) const override {
    const size_t end = bytes.find('\n');
    if (std::min(end, bytes.size()) > kLineBytesMax) return net::Cut::kTooLong;
    *frame_bytes = (end == std::string_view::npos ? bytes.size() : end) + 1;
    if (end == std::string_view::npos) return net::Cut::kIncomplete;
    const char* const id_end = std::from_chars(bytes.data(), bytes.data() + end, frame->message_id).ptr;
    frame->payload = std::string_view(id_end, static_cast<size_t>(bytes.data() + end - id_end));
    if (!frame->payload.empty()) frame->payload.remove_prefix(1);
    return net::Cut::kFrame;
  }
  void AppendError(uint16_t code, std::string_view message, std::string* to) const override {
    *to += fmt::format("error {} {}\n", code, message);
  }
  uint16_t CodeOf(net::Refusal refusal) const override {
    return static_cast<uint16_t>(100 + static_cast<int>(refusal));
  }
  std::string_view MessageOf(net::Refusal) const override { return "refused"; }
  std::string_view OkReply() const override { return "ok\n"; }
};

class FunctionHandler final : public net::Handler {
 public:
  explicit FunctionHandler(std::function<void(net::Call&)> run) : run_(std::move(run)) {}
  void Handle(net::Call& call) override { run_(call); }

 private:
  const std::function<void(net::Call&)> run_;
};

void Echo(net::Call& call) {
  const std::string line = fmt::format("{}\n", call.request().payload);
  call.Answer({.head = line});
}

// A frame server between its loop and its clients, all on this thread.
class LineWorld final : private net::FrameServerObserver {
 public:
  static constexpr uint32_t kEcho = 1;
  static constexpr uint32_t kLater = 2;
  static constexpr uint32_t kHooked = 3;
  static constexpr uint32_t kOnWorker = 4;

  explicit LineWorld(int which, net::Limits limits = {})
      : world_(which == 0 ? MakeSocketWorld() : MakeSimWorld(static_cast<uint64_t>(which))),
        server_loop_(world_->MakeLoop()),
        client_loop_(world_->MakeLoop()),
        executor_(&clock_, 1) {
    router_.Add(kEcho, &echo_, net::kLaneFree);
    router_.Add(kLater, &later_, 1);
    router_.Add(kHooked, &echo_, net::kLaneExclusive);
    router_.AddBefore(kHooked, [](const net::RequestView& request) { return Judge(request.payload); });
    router_.AddAfter(kHooked, [this](const net::RequestView& request, bool ok, uint16_t code) {
      after.push_back(fmt::format("{} {} {}", request.payload, ok, code));
    });
    router_.Add(kOnWorker, &echo_, net::kLaneExclusive, true);
    router_.AddBefore(kOnWorker, [](const net::RequestView& request) { return Judge(request.payload); });
    server.emplace(net::FrameServer::Parts{.loop = server_loop_.get(),
                                           .protocol = &protocol_,
                                           .router = &router_,
                                           .executor = &executor_,
                                           .quota = &quota_,
                                           .observer = this},
                   limits);
    REQUIRE_OK(server->Listen({.address = "127.0.0.1:0"}));
    Connect(&client);
    REQUIRE(RunUntil([this] { return connected.size() == 1; }));
  }
  ~LineWorld() {
    client.Close();
    server->CloseAll();
    CHECK(world_->RunUntil([this] { return server->idle(); }));
    server.reset();
  }

  void Connect(RecordingEnd* end) {
    auto stream = client_loop_->Connect(server->address(), end);
    REQUIRE_OK(stream.status());
    end->Own(*std::move(stream));
    REQUIRE(world_->RunUntil([end] { return end->connected; }));
  }
  // Runs until the client has as many bytes, and gives them.
  std::string Answers(size_t bytes) {
    REQUIRE(RunUntil([&] { return client.received.size() >= bytes; }));
    return client.received;
  }
  // Workers run, too.
  bool RunUntil(const std::function<bool()>& done) {
    return world_->RunUntil([&] {
      executor_.RunReady();
      return done();
    });
  }

  RecordingEnd client;
  std::optional<net::FrameServer> server;
  std::vector<net::ConnectionId> connected;
  std::vector<net::ConnectionId> gone;
  std::vector<net::Ticket> tickets;  // of what kLater was asked
  std::vector<std::string> after;
  std::optional<net::HookDecision> refusal;  // what the next connections are told

 private:
  static net::HookDecision Judge(std::string_view payload) {
    using Verdict = net::HookDecision::Verdict;
    if (payload == "drop") return {.verdict = Verdict::kDrop};
    if (payload == "reject") return {.verdict = Verdict::kReject, .code = 7, .text = "not here"};
    if (payload == "change") return {.verdict = Verdict::kModify, .text = "changed"};
    return {};
  }
  net::HookDecision OnConnect(net::ConnectionId id, std::string_view) override {
    if (refusal.has_value()) return *refusal;
    connected.push_back(id);
    return {};
  }
  void OnDisconnect(net::ConnectionId id) override { gone.push_back(id); }
  void OnTurn() override {}

  const std::unique_ptr<StreamWorld> world_;
  const std::unique_ptr<base::EventLoop> server_loop_;
  const std::unique_ptr<base::EventLoop> client_loop_;
  ManualClock clock_;
  StepExecutor executor_;
  const LineProtocol protocol_;
  net::Quota quota_;
  net::Router router_;
  FunctionHandler echo_{Echo};
  FunctionHandler later_{[this](net::Call& call) { tickets.push_back(call.Defer(call.request().payload.size())); }};
};

}  // namespace

TEST_CASE("frames go to the route of their message id, and replies come in the order of requests") {
  LineWorld world(GENERATE(0, 1, 2, 3));
  world.client.Send("2 first\n2 second\n1 third\n");
  REQUIRE(world.RunUntil([&] { return world.tickets.size() == 2; }));
  CHECK(world.client.received.empty());
  CHECK_OK(world.server->Complete(world.tickets[1], {.head = "B\n"}));
  CHECK_OK(world.server->Complete(world.tickets[0], {.head = "A\n"}));
  CHECK(world.Answers(10) == "A\nB\nthird\n");
  CHECK_CODE(world.server->Complete(world.tickets[0], {.head = "again\n"}), kNotFound);
}

TEST_CASE("a request of another lane does not start before those in front of it are answered") {
  LineWorld world(GENERATE(0, 1, 2));
  world.client.Send("2 one\n2 two\n3 other lane\n");
  REQUIRE(world.RunUntil([&] { return world.tickets.size() == 2; }));
  CHECK_OK(world.server->Complete(world.tickets[0], {.head = "1\n"}));
  CHECK(world.Answers(2) == "1\n");
  CHECK(world.after.empty());
  CHECK_OK(world.server->Complete(world.tickets[1], {.head = "2\n"}));
  CHECK(world.Answers(15) == "1\n2\nother lane\n");
  CHECK(world.after == std::vector<std::string>{"other lane true 0"});
}

TEST_CASE("hooks in front of a handler let pass, change, drop and reject, and those behind it see how it ended") {
  LineWorld world(GENERATE(0, 1, 2));
  world.client.Send("3 pass\n3 change\n3 drop\n3 reject\n");
  CHECK(world.Answers(33) == "pass\nchanged\nok\nerror 7 not here\n");
  // What never came to the handler has no end.
  CHECK(world.after == std::vector<std::string>{"pass true 0", "changed true 0"});
  CHECK(world.server->counters().hook_drops.Get() == 1);
  CHECK(world.server->counters().hook_rejections.Get() == 1);
}

TEST_CASE("a route on a worker answers from there, behind its hooks, and in the order of requests") {
  LineWorld world(GENERATE(0, 1, 2));
  world.client.Send("4 work\n1 behind\n4 reject\n4 drop\n4 change\n1 end\n");
  CHECK(world.Answers(44) == "work\nbehind\nerror 7 not here\nok\nchanged\nend\n");
}

TEST_CASE("an unknown message id is answered, and the connection goes on") {
  LineWorld world(GENERATE(0, 1));
  world.client.Send("99 what\n1 still here\n");
  CHECK(world.Answers(29) == "error 100 refused\nstill here\n");
}

TEST_CASE("a frame that is too long is answered, and closes its connection and no other") {
  LineWorld world(GENERATE(0, 1));
  RecordingEnd other;
  world.Connect(&other);
  world.client.Send("1 fits\n1 " + std::string(kLineBytesMax, 'x') + "\n1 never read\n");
  REQUIRE(world.RunUntil([&] { return world.client.ended || world.client.broken; }));
  CHECK(world.client.received == "fits\nerror 101 refused\n");
  other.Send("1 here\n");
  CHECK(world.RunUntil([&] { return other.received == "here\n"; }));
}

TEST_CASE("a reply that comes when its connection is gone finds nobody") {
  LineWorld world(GENERATE(0, 1));
  world.client.Send("2 wait\n");
  REQUIRE(world.RunUntil([&] { return world.tickets.size() == 1; }));
  world.server->CloseAll();
  REQUIRE(world.RunUntil([&] { return world.gone.size() == 1; }));
  CHECK(world.gone[0] == world.connected[0]);
  CHECK_CODE(world.server->Complete(world.tickets[0], {.head = "late\n"}), kNotFound);
}

TEST_CASE("what one turn answers leaves in one write") {
  LineWorld world(0);
  std::string asked, answered;
  for (int i = 0; i < 100; ++i) {
    asked += fmt::format("1 {}\n", i);
    answered += fmt::format("{}\n", i);
  }
  world.client.Send(asked);
  CHECK(world.Answers(answered.size()) == answered);
  CHECK(world.server->counters().replies.Get() == 100);
  CHECK(world.server->counters().write_calls.Get() == 1);
}

TEST_CASE("a connection that a hook refuses is told why and closed") {
  LineWorld world(GENERATE(0, 1));
  world.refusal = {.verdict = net::HookDecision::Verdict::kReject, .code = 9, .text = "strangers"};
  RecordingEnd stranger;
  world.Connect(&stranger);
  REQUIRE(world.RunUntil([&] { return stranger.ended || stranger.broken; }));
  CHECK(stranger.received == "error 9 strangers\n");
  CHECK(world.gone.empty());
  world.client.Send("1 served\n");
  CHECK(world.Answers(7) == "served\n");
}

TEST_CASE("a server that drains answers what it had read, and then has nobody left") {
  LineWorld world(GENERATE(0, 1));
  world.client.Send("2 wait\n");
  REQUIRE(world.RunUntil([&] { return world.tickets.size() == 1; }));
  std::optional<bool> in_time;
  world.server->Drain(int64_t{60} * 1'000'000'000, [&in_time](bool done) { in_time = done; });
  int turns = 0;
  REQUIRE(world.RunUntil([&turns] { return ++turns == 100; }));
  CHECK_FALSE(in_time.has_value());
  CHECK_OK(world.server->Complete(world.tickets[0], {.head = "done\n"}));
  REQUIRE(world.RunUntil([&] { return world.client.ended; }));
  CHECK(world.client.received == "done\n");
  world.client.Close();
  REQUIRE(world.RunUntil([&] { return in_time.has_value(); }));
  CHECK(*in_time);
  CHECK(world.server->idle());
}

}  // namespace bandb::test
