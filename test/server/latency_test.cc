// How long requests and hooks take, from the buckets to what a server tells.
#include "bandb/latency.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "net/socket_loop.h"
#include "server/hook_timer.h"
#include "server/request_times.h"
#include "server/wire_client.h"
#include "support/catch.h"
#include "support/manual_clock.h"

namespace bandb::test {
namespace {

using server::Action;
using server::RequestMark;

constexpr int64_t kMilli = 1'000'000;

const LatencyHistogram* Find(const std::vector<OperationLatency>& all, std::string_view protocol,
                             std::string_view operation) {
  for (const OperationLatency& one : all) {
    if (one.protocol == protocol && one.operation == operation) return &one.histogram;
  }
  return nullptr;
}

uint64_t CountOf(const Server& server, std::string_view protocol, std::string_view operation) {
  const ServerLatencies latencies = server.Latencies();
  const LatencyHistogram* const found = Find(latencies.operations, protocol, operation);
  return found == nullptr ? 0 : found->count();
}

// A loop whose time is the test's.
struct TimedLoop {
  TimedLoop() : loop(*net::SocketLoop::Create(&clock)), times(loop.get(), &clock, &slow_log) {}

  // One turn that takes so long after `work`.
  void Turn(int64_t nanos, const std::function<void()>& work) {
    loop->Post([&] {
      work();
      clock.Advance(nanos);
    });
    loop->RunOnce(0);
  }
  std::vector<OperationLatency> Latencies() const {
    std::vector<OperationLatency> latencies;
    times.AddTo(&latencies);
    return latencies;
  }

  void Add(const RequestMark& mark) {
    times.Add(mark, [] { return server::RequestSource{"10.0.0.1:7", "ann"}; });
  }

  ManualClock clock;
  server::SlowLog slow_log{absl::Milliseconds(100), 32};
  std::unique_ptr<net::SocketLoop> loop;
  server::RequestTimes times;
};

}  // namespace

TEST_CASE("each duration is in the bucket whose limit is the first that is not below it") {
  for (size_t i = 0; i < LatencyHistogram::kBuckets; i++) {
    const uint64_t limit = LatencyHistogram::LimitNanos(i);
    REQUIRE(LatencyHistogram::BucketOf(limit) == i);
    if (i > 0) REQUIRE(limit > LatencyHistogram::LimitNanos(i - 1));
    if (i + 1 < LatencyHistogram::kBuckets) REQUIRE(LatencyHistogram::BucketOf(limit + 1) == i + 1);
    // A sixteenth of the duration, or a nanosecond.
    const uint64_t below = i == 0 ? 0 : LatencyHistogram::LimitNanos(i - 1);
    REQUIRE(limit - below <= std::max<uint64_t>(1, (below + 15) / 16));
  }
  CHECK(LatencyHistogram::BucketOf(0) == 0);
  CHECK(LatencyHistogram::BucketOf(UINT64_MAX) == LatencyHistogram::kBuckets - 1);
}

TEST_CASE("quantiles are those of the sorted durations, at most a sixteenth too long") {
  base::Random random(11);
  for (int round = 0; round < 50; round++) {
    std::vector<uint64_t> sorted;
    LatencyHistogram histogram;
    for (uint64_t i = 0; i <= random.Uniform(300); i++) {
      sorted.push_back(random.Uniform(uint64_t{1} << (1 + random.Uniform(36))));
      histogram.Add(sorted.back());
    }
    std::sort(sorted.begin(), sorted.end());
    CHECK(histogram.count() == sorted.size());
    CHECK(absl::ToInt64Nanoseconds(histogram.max()) == static_cast<int64_t>(sorted.back()));
    for (const double share : {0.0, 0.5, 0.9, 0.99, 1.0}) {
      const auto rank =
          static_cast<size_t>(std::max(1.0, std::ceil(share * static_cast<double>(sorted.size()) - 1e-6)));
      const uint64_t exact = sorted[rank - 1];
      const auto found = static_cast<uint64_t>(absl::ToInt64Nanoseconds(histogram.Quantile(share)));
      CHECK(found >= exact);
      CHECK(found <= exact + exact / 16 + 1);
    }
  }
  CHECK(LatencyHistogram().Quantile(0.5) == absl::ZeroDuration());
}

TEST_CASE("what came after an earlier state is the difference") {
  LatencyHistogram histogram;
  histogram.Add(1000, 3);
  const LatencyHistogram before = histogram;
  histogram.Add(5 * kMilli, 2);
  const LatencyHistogram since = histogram.Since(before);
  CHECK(since.count() == 2);
  CHECK(since.sum() == absl::Milliseconds(10));
  CHECK(since.max() == absl::Milliseconds(5));
  CHECK(since.Quantile(0) == absl::Milliseconds(5));
  CHECK(histogram.Since(histogram).count() == 0);
}

TEST_CASE("a request takes from the turn in which it was there to the end of that of its reply") {
  TimedLoop world;
  RequestMark put{.action = Action::kPut};
  put.since_nanos = 0;
  // Three gets are answered in the turn that reads them, which takes 2 ms; a put comes with them.
  world.Turn(2 * kMilli, [&] {
    put.since_nanos = world.loop->NowNanos();
    for (int i = 0; i < 3; i++) world.Add({.since_nanos = world.loop->NowNanos(), .action = Action::kGet});
  });
  world.clock.Advance(5 * kMilli);
  // Its reply comes 5 ms later, in a turn of 1 ms, with one of a later put.
  world.Turn(kMilli, [&] {
    world.Add(put);
    world.Add({.since_nanos = world.loop->NowNanos(), .action = Action::kPut});
    world.Add(put);
  });
  const std::vector<OperationLatency> latencies = world.Latencies();
  const LatencyHistogram* const gets = Find(latencies, "bandb", "get");
  REQUIRE(gets != nullptr);
  CHECK(gets->count() == 3);
  CHECK(gets->sum() == absl::Milliseconds(6));
  CHECK(gets->max() == absl::Milliseconds(2));
  const LatencyHistogram* const puts = Find(latencies, "bandb", "put");
  REQUIRE(puts != nullptr);
  CHECK(puts->count() == 3);
  CHECK(puts->sum() == absl::Milliseconds(8 + 8 + 1));
  CHECK(latencies.size() == 2);
}

TEST_CASE("however many requests of different age a turn answers, each is counted once") {
  TimedLoop world;
  constexpr uint64_t kCount = 5000;
  world.Turn(kMilli, [&] {
    for (uint64_t i = 0; i < kCount; i++) {
      world.Add({.since_nanos = world.loop->NowNanos() - static_cast<int64_t>(i), .action = Action::kScan});
    }
    // Asked to wait: not measured.
    world.Add({.since_nanos = 0, .action = Action::kWait});
  });
  const std::vector<OperationLatency> latencies = world.Latencies();
  REQUIRE(latencies.size() == 1);
  CHECK(latencies[0].histogram.count() == kCount);
}

TEST_CASE("of a quick hook one call in eight is timed and counts for the others, of a slow one each") {
  server::HookTimer timer("before put 1");
  const auto counted = [&timer] {
    LatencyHistogram histogram;
    timer.recorder().AddTo(&histogram);
    return histogram.count();
  };
  const auto timed_of = [&timer](int calls, int64_t nanos) {
    int timed = 0;
    for (int i = 0; i < calls; i++) {
      if (!timer.IsDue()) continue;
      timer.Add(nanos);
      timed++;
    }
    return timed;
  };
  CHECK(timed_of(1, 500) == 1);
  CHECK(counted() == 1);
  CHECK(timed_of(16, 500) == 2);
  CHECK(counted() == 17);
  // It becomes slow: noticed at the eighth call at the latest, and timed at each from then on.
  CHECK(timed_of(8, kMilli) == 1);
  CHECK(timed_of(10, kMilli) == 10);
  CHECK(counted() == 35);
  CHECK(timed_of(1, 500) == 1);
  CHECK(timed_of(7, 500) == 0);
}

TEST_CASE("a server tells how long requests took by protocol and operation, and hooks by name") {
  ServerHooks hooks;
  hooks.before.push_back({kPutMessage, [](const ServerRequest&) { return HookResult::Pass(); }});
  hooks.before.push_back({kPutMessage, [](const ServerRequest&) { return HookResult::Pass(); }});
  hooks.after_operations.push_back([](const ServerOperation&, const ServerOutcome&) {});
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  options.redis_listen = "127.0.0.1:0";
  ServerFixture fixture(options, std::move(hooks));
  std::string batch;
  proto::BatchBuilder builder;
  builder.Add({proto::BatchKind::kPut, "c", "1"});
  builder.AppendTo(&batch);
  // Over several connections, so that several loops have a share.
  for (int i = 0; i < 4; i++) {
    WireClient client(fixture.address());
    CHECK(client.Ask(PutFrame("a", "1")) == OkReply());
    CHECK(client.Ask(GetFrame("a")) == ValueReply("1"));
    CHECK(client.Ask(GetFrame("nothing")).has_value());
    CHECK(client.Ask(batch) == OkReply());
    WireClient redis(fixture.server->RedisAddress());
    REQUIRE(redis.Send("SET b 1\r\nGET b\r\nINCR b\r\n"));
    CHECK(redis.ReceiveText(16) == "+OK\r\n$1\r\n1\r\n:2\r\n");
  }
  // They are counted at the end of the turn, once the reply has left.
  const auto has = [&](std::string_view protocol, std::string_view operation, uint64_t count) {
    return fixture.Eventually([&] { return CountOf(*fixture.server, protocol, operation) >= count; }) &&
           CountOf(*fixture.server, protocol, operation) == count;
  };
  CHECK(has("bandb", "put", 4));
  CHECK(has("bandb", "get", 8));
  CHECK(has("bandb", "batch", 4));
  CHECK(has("redis", "put", 4));
  CHECK(has("redis", "get", 4));
  CHECK(has("redis", "transaction", 4));
  std::vector<std::string> names;
  for (const HookLatency& one : fixture.server->Latencies().hooks) {
    names.push_back(one.hook);
    CHECK(one.histogram.count() > 0);
  }
  CHECK(names == std::vector<std::string>{"before put 1", "before put 2", "after operations 1"});
}

}  // namespace bandb::test
