// Which requests are slow, and what is told of them.
#include "server/slow_log.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/socket_loop.h"
#include "server/request_times.h"
#include "server/users.h"
#include "server/wire_client.h"
#include "support/catch.h"
#include "support/manual_clock.h"

namespace bandb::test {
namespace {

using server::Action;
using server::RequestMark;
using server::RequestSource;
using server::SlowLog;

constexpr int64_t kMilli = 1'000'000;

RequestMark MarkOf(std::string_view key, int64_t since_nanos) {
  RequestMark mark{.since_nanos = since_nanos, .action = Action::kPut};
  mark.Keep(key);
  return mark;
}

// A loop whose time is the test's.
struct TimedLoop {
  // One turn that takes so long after `work`.
  void Turn(int64_t nanos, const std::function<void()>& work) {
    loop->Post([&] {
      work();
      clock.Advance(nanos);
    });
    loop->RunOnce(0);
  }
  void Add(const RequestMark& mark) {
    times.Add(mark, [] { return RequestSource{"10.0.0.1:7", "ann"}; });
  }

  ManualClock clock;
  std::unique_ptr<net::SocketLoop> loop = *net::SocketLoop::Create(&clock);
  SlowLog log{absl::Milliseconds(100), 32};
  server::RequestTimes times{loop.get(), &clock, &log};
};

}  // namespace

TEST_CASE("a request that takes as long as the threshold is kept, with what the time went to") {
  TimedLoop world;
  RequestMark mark;
  world.Turn(0, [&] { mark = MarkOf("key", world.loop->NowNanos()); });
  world.clock.Advance(30 * kMilli);
  world.Turn(0, [&] { mark.submitted_nanos = world.loop->NowNanos(); });
  mark.hook_nanos = 5 * kMilli;
  world.clock.Advance(60 * kMilli);
  world.Turn(10 * kMilli, [&] { world.Add(mark); });
  const std::vector<SlowRequest> slow = world.log.List(10);
  REQUIRE(slow.size() == 1);
  CHECK(slow[0].number == 1);
  CHECK(slow[0].duration == absl::Milliseconds(100));
  CHECK(slow[0].hooks == absl::Milliseconds(5));
  CHECK(slow[0].storage == absl::Milliseconds(60));
  CHECK(slow[0].waiting == absl::Milliseconds(35));
  CHECK(slow[0].time == absl::FromUnixMillis(world.clock.WallMillis()));
  CHECK(slow[0].protocol == "bandb");
  CHECK(slow[0].operation == "put");
  CHECK(slow[0].key == "key");
  CHECK(slow[0].key_bytes == 3);
  CHECK(slow[0].user == "ann");
  CHECK(slow[0].address == "10.0.0.1:7");
  CHECK(world.times.slow_requests() == 1);
  // A nanosecond less is not slow.
  world.Turn(100 * kMilli - 1, [&] { world.Add(MarkOf("key", world.loop->NowNanos())); });
  CHECK(world.log.List(10).size() == 1);
  CHECK(world.times.slow_requests() == 1);
}

TEST_CASE("of many slow requests of a turn a few are kept, those slow before it among them, and all are counted") {
  TimedLoop world;
  world.Turn(200 * kMilli, [&] {
    const int64_t now_nanos = world.loop->NowNanos();
    for (int i = 0; i < 1000; i++) world.Add(MarkOf("of this turn", now_nanos));
    for (int i = 0; i < 1000; i++) world.Add(MarkOf("older", now_nanos - 150 * kMilli));
  });
  const std::vector<SlowRequest> slow = world.log.List(SIZE_MAX);
  CHECK(slow.size() == 16);
  CHECK(std::count_if(slow.begin(), slow.end(), [](const SlowRequest& one) { return one.key == "older"; }) == 8);
  CHECK(world.times.slow_requests() == 2000);
}

TEST_CASE("the log is bounded, numbers go on, and a threshold that is infinite keeps nothing") {
  TimedLoop world;
  for (int i = 0; i < 300; i++) {
    world.Turn(100 * kMilli, [&] { world.Add(MarkOf("k", world.loop->NowNanos())); });
  }
  CHECK(world.log.List(SIZE_MAX).size() == SlowLog::kEntriesMax);
  const std::vector<SlowRequest> last = world.log.List(2);
  REQUIRE(last.size() == 2);
  CHECK(last[0].number == 300);
  CHECK(last[1].number == 299);
  world.log.Clear();
  CHECK(world.log.List(SIZE_MAX).empty());
  world.log.Set(absl::InfiniteDuration(), 32);
  CHECK_FALSE(world.times.KeepsKeys());
  world.Turn(1000 * kMilli, [&] { world.Add(MarkOf("k", world.loop->NowNanos())); });
  CHECK(world.log.List(SIZE_MAX).empty());
  world.log.Set(absl::Milliseconds(1), 32);
  world.Turn(1 * kMilli, [&] { world.Add(MarkOf("k", world.loop->NowNanos())); });
  CHECK(world.log.List(SIZE_MAX).at(0).number == 301);
}

TEST_CASE("of a key at most 32 bytes are kept, fewer if that is asked for, and of none not even its length") {
  TimedLoop world;
  const std::string key = std::string(20, 'a') + std::string(80, '\xff');
  const auto logged = [&] {
    world.Turn(100 * kMilli, [&] { world.Add(MarkOf(key, world.loop->NowNanos())); });
    return world.log.List(1).at(0);
  };
  CHECK(logged().key == key.substr(0, 32));
  CHECK(logged().key_bytes == 100);
  world.log.Set(absl::Milliseconds(100), 5);
  CHECK(logged().key == "aaaaa");
  CHECK(logged().key_bytes == 100);
  world.log.Set(absl::Milliseconds(100), 0);
  CHECK(logged().key.empty());
  CHECK(logged().key_bytes == 0);
}

TEST_CASE("of keys that are kept already no more is left than may be kept from now on") {
  TimedLoop world;
  for (const char* key : {"first key", "second key"}) {
    world.Turn(100 * kMilli, [&] { world.Add(MarkOf(key, world.loop->NowNanos())); });
  }
  world.log.Set(absl::Milliseconds(100), 5);
  CHECK(world.log.List(2).at(0).key == "secon");
  CHECK(world.log.List(2).at(0).key_bytes == 10);
  world.log.Set(absl::Milliseconds(100), 0);
  world.log.Set(absl::Milliseconds(100), 32);
  for (const SlowRequest& one : world.log.List(2)) {
    CHECK(one.key.empty());
    CHECK(one.key_bytes == 0);
  }
}

TEST_CASE("of a slow request a user is told the key if that is a key to read for it") {
  server::UserTable table;
  for (const auto& [name, allow] : {std::pair{"reader", "read:a/"}, {"writer", "write"}, {"ops", "admin"}}) {
    server::User user{name, "", {}};
    REQUIRE_OK(user.grants.Add(allow));
    REQUIRE_OK(table.Add(std::move(user)));
  }
  const server::UserRegistry users(std::move(table));
  TimedLoop world;
  for (const std::string& key : {std::string("a/1"), std::string("b/1"), "a/" + std::string(100, 'x')}) {
    world.Turn(100 * kMilli, [&] { world.Add(MarkOf(key, world.loop->NowNanos())); });
  }
  const auto seen = [&](std::string_view user) {
    std::string keys;
    for (const SlowRequest& one : world.log.List(10, &users, user)) {
      keys += one.key.substr(0, 3) + (one.key_bytes == 0 ? "-;" : ";");
    }
    return keys;
  };
  CHECK(seen("reader") == "a/x;-;a/1;");
  CHECK(seen("writer") == "-;-;-;");
  CHECK(seen("ops") == "-;-;-;");
  CHECK(seen("nobody") == "-;-;-;");
  CHECK(world.log.List(10, nullptr, "").at(1).key == "b/1");
}

TEST_CASE("a server keeps what was slow for clients of each protocol, and a new threshold counts at once") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  options.redis_listen = "127.0.0.1:0";
  options.slow_log_threshold = absl::ZeroDuration();
  ServerFixture fixture(options);
  Server& server = *fixture.server;
  WireClient client(fixture.address());
  CHECK(client.Ask(PutFrame("first", "1")) == OkReply());
  WireClient redis(server.RedisAddress());
  REQUIRE(redis.Send("GET first\r\n"));
  CHECK(redis.ReceiveText(7) == "$1\r\n1\r\n");
  CHECK(fixture.Eventually([&] { return server.SlowRequests(10).size() == 2; }));
  const std::vector<SlowRequest> slow = server.SlowRequests(10);
  CHECK(slow[0].protocol == "redis");
  CHECK(slow[0].operation == "get");
  CHECK(slow[1].operation == "put");
  for (const SlowRequest& one : slow) {
    CHECK(one.key == "first");
    CHECK(one.address.starts_with("127.0.0.1:"));
    CHECK(one.waiting + one.hooks + one.storage == one.duration);
  }
  CHECK(server.Stats().slow_requests == 2);
  server.SetSlowLog(absl::InfiniteDuration(), 32);
  server.ClearSlowRequests();
  CHECK(client.Ask(PutFrame("second", "1")) == OkReply());
  // What is answered after it has been counted long since.
  CHECK(client.Ask(PutFrame("third", "1")) == OkReply());
  CHECK(server.SlowRequests(10).empty());
  CHECK(server.Stats().slow_requests == 2);
}

}  // namespace bandb::test
