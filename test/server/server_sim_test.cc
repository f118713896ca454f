// The server in the simulator: the same objects, on a network that delays, splits and breaks, in
// virtual time.
#include <deque>
#include <memory>
#include <string>

#include "server/loop_server.h"
#include "server/wire_client.h"
#include "support/catch.h"
#include "support/manual_clock.h"
#include "support/memory_store.h"
#include "support/sim_streams.h"
#include "support/step_executor.h"

namespace bandb::test {
namespace {

constexpr int64_t kSecond = 1000000000;

// A server on a simulated network.
class SimServer {
 public:
  explicit SimServer(const SimNetworkOptions& network_options, const ServerOptions& options = {})
      : network(network_options),
        executor_(&clock_, network_options.seed),
        store(&executor_),
        loop_(network.MakeLoop()) {
    unit = std::make_unique<server::LoopServer>(server::LoopServer::Parts{.loop = loop_,
                                                                          .store = &store,
                                                                          .hooks = &hooks_,
                                                                          .executor = &executor_,
                                                                          .readers = &executor_,
                                                                          .quota = &quota,
                                                                          .number = 0,
                                                                          .clock = network.clock(),
                                                                          .snapshots = &snapshots,
                                                                          .stats = [] { return std::string(); }},
                                                options);
    REQUIRE_OK(unit->Listen("server:0"));
  }
  ~SimServer() {
    bool ended = false;
    unit->End([&] { ended = true; });
    REQUIRE(RunUntil([&] { return ended; }));
  }

  // The network and the store's threads, step by step.
  bool RunUntil(const std::function<bool()>& done, int64_t nanos_max = 600 * kSecond) {
    return network.RunUntil(
        [&] {
          executor_.RunReady();
          return done();
        },
        nanos_max);
  }
  ServerStats Stats() const {
    ServerStats stats;
    unit->AddTo(&stats);
    return stats;
  }

  SimNetwork network;
  net::Quota quota;
  // Apart from the time of the network.
  ManualClock lease_clock;
  server::SnapshotLeases snapshots{&lease_clock, 7};

 private:
  ManualClock clock_;
  StepExecutor executor_;
  const ServerHooks hooks_;

 public:
  MemoryStore store;

 private:
  const std::shared_ptr<base::EventLoop> loop_;

 public:
  std::unique_ptr<server::LoopServer> unit;
};

// Counts up one key through a pipeline of PUTs and GETs, and checks every reply. A connection that
// breaks is made again, and what it had asked for must have happened up to some point not before
// the last acknowledgement.
class CountingClient final : public base::StreamHandler {
 public:
  CountingClient(base::EventLoop* loop, std::string server, std::string key, uint64_t seed)
      : loop_(loop), server_(std::move(server)), key_(std::move(key)), random_(seed) {
    Connect();
  }

  uint64_t replies() const { return replies_; }
  uint64_t breaks() const { return breaks_; }

 private:
  struct Expected {
    bool is_put = false;
    uint64_t value = 0;  // of a PUT; what a GET must find
  };

  void Connect() {
    reader_ = std::make_unique<proto::FrameReader>(proto::kFrameBytesHardMax);
    unsent_.clear();
    expected_.clear();
    recovering_ = replies_ > 0 || breaks_ > 0;
    auto stream = loop_->Connect(server_, this);
    REQUIRE(stream.ok());
    stream_ = *std::move(stream);
    stream_->Watch(true, true);
  }
  void OnBroken() override {
    breaks_++;
    Connect();
  }
  void OnWritable() override {
    if (recovering_ && expected_.empty()) {
      unsent_ += GetFrame(key_);
      expected_.push_back({});
    }
    if (!recovering_) AskMore();
    if (unsent_.empty()) return stream_->Watch(true, false);
    const std::string_view piece = unsent_;
    const base::IoResult result = stream_->Write(absl::MakeConstSpan(&piece, 1));
    if (result.state == base::IoResult::State::kFailed) return OnBroken();
    unsent_.erase(0, result.bytes);
    stream_->Watch(true, !unsent_.empty());
  }
  void AskMore() {
    while (expected_.size() < 16) {
      if (random_.OneIn(2) || sent_ == 0) {
        unsent_ += PutFrame(key_, std::to_string(++sent_));
        expected_.push_back({true, sent_});
      } else {
        unsent_ += GetFrame(key_);
        expected_.push_back({false, sent_});
      }
    }
  }
  void OnReadable() override {
    char buffer[3000];
    const base::IoResult result = stream_->Read(buffer, sizeof(buffer));
    if (result.state == base::IoResult::State::kWouldBlock) return;
    if (result.state != base::IoResult::State::kDone) return OnBroken();
    reader_->Append(std::string_view(buffer, result.bytes));
    proto::Frame frame;
    while (reader_->Next(&frame) == proto::CutResult::kFrame) {
      proto::Reply reply;
      REQUIRE(proto::DecodeReply(frame, &reply));
      Check(reply);
    }
    stream_->Watch(true, true);
  }
  void Check(const proto::Reply& reply) {
    REQUIRE(!expected_.empty());
    const Expected expected = expected_.front();
    expected_.pop_front();
    replies_++;
    std::string_view value;
    if (recovering_) {
      const uint64_t found =
          reply.ok && proto::DecodeValueBody(reply.body, &value) ? std::stoull(std::string(value)) : 0;
      REQUIRE((reply.ok || reply.code == proto::ToCode(absl::StatusCode::kNotFound)));
      REQUIRE(found >= acknowledged_);
      REQUIRE(found <= sent_);
      sent_ = acknowledged_ = found;
      recovering_ = false;
      return;
    }
    REQUIRE(reply.ok);
    if (expected.is_put) {
      acknowledged_ = expected.value;
      return;
    }
    REQUIRE(proto::DecodeValueBody(reply.body, &value));
    REQUIRE(value == std::to_string(expected.value));
  }

  base::EventLoop* const loop_;
  const std::string server_;
  const std::string key_;
  base::Random random_;
  std::unique_ptr<base::Stream> stream_;
  std::unique_ptr<proto::FrameReader> reader_;
  std::string unsent_;
  std::deque<Expected> expected_;
  uint64_t sent_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t replies_ = 0;
  uint64_t breaks_ = 0;
  bool recovering_ = false;
};

// Connects, says some bytes now and then, and remembers whether it was cut off.
class DrippingClient final : public base::StreamHandler {
 public:
  DrippingClient(base::EventLoop* loop, const std::string& server, int64_t every_nanos)
      : loop_(loop), every_nanos_(every_nanos) {
    auto stream = loop_->Connect(server, this);
    REQUIRE(stream.ok());
    stream_ = *std::move(stream);
    stream_->Watch(true, true);
  }
  ~DrippingClient() { loop_->Cancel(timer_); }

  bool cut_off() const { return stream_ == nullptr; }

 private:
  void OnWritable() override {
    stream_->Watch(true, false);
    Drip();
  }
  void Drip() {
    const std::string_view byte("\0", 1);
    if (stream_ == nullptr || stream_->Write(absl::MakeConstSpan(&byte, 1)).state == base::IoResult::State::kFailed) {
      return;
    }
    timer_ = loop_->After(every_nanos_, [this] { Drip(); });
  }
  void OnReadable() override {
    char buffer[100];
    const auto state = stream_->Read(buffer, sizeof(buffer)).state;
    if (state == base::IoResult::State::kEnd || state == base::IoResult::State::kFailed) stream_.reset();
  }
  void OnBroken() override { stream_.reset(); }

  base::EventLoop* const loop_;
  const int64_t every_nanos_;
  std::unique_ptr<base::Stream> stream_;
  base::TimerId timer_ = base::kNoTimer;
};

// Sends some bytes, and takes nothing.
class SendingClient final : public base::StreamHandler {
 public:
  SendingClient(base::EventLoop* loop, const std::string& server, std::string bytes) : unsent_(std::move(bytes)) {
    auto stream = loop->Connect(server, this);
    REQUIRE(stream.ok());
    stream_ = *std::move(stream);
    stream_->Watch(false, true);
  }

 private:
  void OnWritable() override {
    const std::string_view piece = unsent_;
    const base::IoResult result = stream_->Write(absl::MakeConstSpan(&piece, 1));
    REQUIRE(result.state != base::IoResult::State::kFailed);
    unsent_.erase(0, result.bytes);
    stream_->Watch(false, !unsent_.empty());
  }
  void OnReadable() override {}
  void OnBroken() override { stream_.reset(); }

  std::string unsent_;
  std::unique_ptr<base::Stream> stream_;
};

ServerStats RunCounting(uint64_t seed, ServerOptions options, uint64_t replies_wanted, bool with_breaks) {
  base::Random random(seed);
  options.in_flight_requests_max = 1 + static_cast<int>(random.Uniform(20));
  options.output_bytes_max = 4096;
  options.in_flight_bytes_max = 4096;
  SimServer world({.seed = seed}, options);
  const auto loop = world.network.MakeLoop();
  std::vector<std::unique_ptr<CountingClient>> clients;
  for (uint64_t i = 0; i < 5; i++) {
    clients.push_back(
        std::make_unique<CountingClient>(loop.get(), world.unit->address(), "key" + std::to_string(i), seed + i));
  }
  for (uint64_t goal = 100; goal <= replies_wanted; goal += 100) {
    REQUIRE(world.RunUntil([&] {
      return std::all_of(clients.begin(), clients.end(), [goal](const auto& c) { return c->replies() >= goal; });
    }));
    if (with_breaks && random.OneIn(2)) world.network.BreakAll();
  }
  const ServerStats stats = world.Stats();
  clients.clear();
  // What the store was just told counts until it is done; then there is no connection and no byte.
  REQUIRE(world.RunUntil([&] { return world.quota.connections == 0 && world.quota.memory_bytes == 0; }));
  CHECK(world.Stats().in_flight == 0);
  return stats;
}

}  // namespace

TEST_CASE("on any network every reply is right, in order, and a broken connection loses nothing acknowledged") {
  for (uint64_t seed = 1; seed <= 30; seed++) {
    CAPTURE(seed);
    ServerOptions options;
    options.reads_inline = seed % 2 == 0;
    RunCounting(seed, options, 1000, seed % 3 != 0);
  }
}

TEST_CASE("the same seed gives the same run") {
  for (uint64_t seed = 100; seed < 103; seed++) {
    const ServerStats first = RunCounting(seed, {}, 500, true);
    const ServerStats second = RunCounting(seed, {}, 500, true);
    CHECK(first.turns == second.turns);
    CHECK(first.read_calls == second.read_calls);
    CHECK(first.write_calls == second.write_calls);
    CHECK(first.bytes_read == second.bytes_read);
    CHECK(first.write_groups == second.write_groups);
  }
}

TEST_CASE("hundreds of clients that send a byte every ten seconds are cut off, and a busy one does not notice") {
  // A slow network, so that half a minute is not too many steps.
  SimServer world({.seed = 5, .delay_nanos_min = 5000000, .delay_nanos_max = 50000000});
  const auto loop = world.network.MakeLoop();
  CountingClient busy(loop.get(), world.unit->address(), "busy", 5);
  REQUIRE(world.RunUntil([&] { return busy.replies() >= 100; }));
  constexpr int kCrowd = 500;
  std::vector<std::unique_ptr<DrippingClient>> crowd;
  for (int i = 0; i < kCrowd; i++) {
    crowd.push_back(std::make_unique<DrippingClient>(loop.get(), world.unit->address(), 10 * kSecond));
  }
  REQUIRE(world.RunUntil([&] { return world.quota.connections == kCrowd + 1; }));
  CHECK(world.quota.memory_bytes < (kCrowd + 1) * 1024);
  const int64_t since = world.network.now_nanos();
  REQUIRE(world.RunUntil(
      [&] { return std::all_of(crowd.begin(), crowd.end(), [](const auto& c) { return c->cut_off(); }); }));
  // The frame timeout, a sweep, and the crowd's own slowness.
  CHECK(world.network.now_nanos() - since < 35 * kSecond);
  CHECK(world.Stats().connections_timed_out == kCrowd);
  CHECK(busy.breaks() == 0);
}

TEST_CASE("a silent client is cut off by the idle timeout, and a busy one is not") {
  ServerOptions options;
  options.idle_timeout = absl::Seconds(60);
  options.frame_timeout = absl::InfiniteDuration();
  SimServer world({.seed = 7, .delay_nanos_min = 50000000, .delay_nanos_max = 500000000}, options);
  const auto loop = world.network.MakeLoop();
  CountingClient busy(loop.get(), world.unit->address(), "busy", 7);
  // One byte of a frame, and then nothing.
  DrippingClient silent(loop.get(), world.unit->address(), 1000 * kSecond);
  REQUIRE(world.RunUntil([&] { return silent.cut_off(); }));
  CHECK(world.Stats().connections_timed_out == 1);
  CHECK(busy.breaks() == 0);
}

TEST_CASE("a snapshot that nobody uses any more is let go of without anybody asking") {
  SimServer world({.seed = 8});
  const auto loop = world.network.MakeLoop();
  std::string request;
  proto::AppendSnapshot(&request, {.lease_ms = 5000});
  SendingClient client(loop.get(), world.unit->address(), request);
  REQUIRE(world.RunUntil([&] { return world.snapshots.size() == 1; }));
  CHECK(world.store.snapshots() == 1);
  const int64_t since = world.network.now_nanos();
  world.lease_clock.Advance(5 * kSecond);
  REQUIRE(world.RunUntil([&] { return world.store.snapshots() == 0; }));
  CHECK(world.network.now_nanos() - since < 6 * kSecond);
  CHECK(world.snapshots.size() == 0);
}

TEST_CASE("a short lease ends in its time, though a longer one was there first, or it was longer itself") {
  SimServer world({.seed = 9});
  const auto loop = world.network.MakeLoop();
  std::string request;
  for (const uint32_t lease_ms : {3'600'000u, 5000u}) proto::AppendSnapshot(&request, {.lease_ms = lease_ms});
  SendingClient client(loop.get(), world.unit->address(), request);
  REQUIRE(world.RunUntil([&] { return world.snapshots.size() == 2; }));
  const int64_t since = world.network.now_nanos();
  world.lease_clock.Advance(5 * kSecond);
  REQUIRE(world.RunUntil([&] { return world.store.snapshots() == 1; }));
  CHECK(world.network.now_nanos() - since < 6 * kSecond);
}

TEST_CASE("accepting goes on by itself after it failed") {
  SimServer world({.seed = 6});
  world.network.FailAccepts(10);
  const auto loop = world.network.MakeLoop();
  CountingClient client(loop.get(), world.unit->address(), "k", 6);
  CHECK(world.RunUntil([&] { return client.replies() >= 10; }));
  CHECK(world.Stats().accept_failures == 10);
}

}  // namespace bandb::test
