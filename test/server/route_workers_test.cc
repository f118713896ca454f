// Routes on workers that do not return, or do not answer, in their time.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bandb/logger.h"
#include "base/mutex.h"
#include "server/route_workers.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

constexpr uint32_t kHanging = kFirstUserMessage;
constexpr uint32_t kQuick = kFirstUserMessage + 1;
constexpr uint16_t kOverloaded = proto::ToCode(proto::ErrorCode::kOverloaded);
constexpr uint16_t kHookFailed = proto::ToCode(proto::ErrorCode::kHookFailed);

class Lines final : public Logger {
 public:
  void Log(LogSeverity, std::string_view message) override ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    lines_.emplace_back(message);
  }
  size_t size() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    return lines_.size();
  }
  bool Has(const std::string& line) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    return std::find(lines_.begin(), lines_.end(), line) != lines_.end();
  }

 private:
  base::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

std::string Frame(uint32_t message_id) {
  std::string frame;
  proto::AppendFrame(&frame, message_id, "");
  return frame;
}

// Until a worker had come to it when its time had passed.
uint16_t AskUntilBegun(WireClient* client) {
  for (;;) {
    const std::optional<OwnedReply> reply = client->Ask(Frame(kHanging));
    if (!reply.has_value() || reply->ok) return 0;
    if (reply->code != kOverloaded) return reply->code;
  }
}

}  // namespace

TEST_CASE("a route that hangs is refused in its time, another thread takes its place, and its answer comes too late") {
  const bool in_hook = GENERATE(false, true);
  CAPTURE(in_hook);
  base::Event go_on;
  std::atomic<int> begun{0}, told{0};
  const auto hang = [&] {
    begun++;
    go_on.BlockUntilSet(base::kForever);
  };
  ServerHooks hooks;
  hooks.routes.push_back({kHanging,
                          [&](const ServerRequest&, Responder responder) {
                            if (!in_hook) hang();
                            responder.Ok("late");
                          },
                          {.on_worker = true, .time_limit = absl::Milliseconds(50)}});
  hooks.before.push_back({kHanging, [&](const ServerRequest&) {
                            if (in_hook) hang();
                            return HookResult::Pass();
                          }});
  hooks.after.push_back({kHanging, [&](const ServerRequest&, const ServerOutcome& outcome) {
                           if (outcome.code == kHookFailed) told++;
                         }});
  hooks.routes.push_back(
      {kQuick, [](const ServerRequest&, Responder responder) { responder.Ok("quick"); }, {.on_worker = true}});
  Lines lines;
  ServerOptions options;
  options.worker_threads = 1;
  options.logger = &lines;
  ServerFixture fixture(options, std::move(hooks));
  WireClient first(fixture.address()), second(fixture.address()), third(fixture.address()), other(fixture.address());
  CHECK(AskUntilBegun(&first) == kHookFailed);
  // Its connection goes on, and there is a worker for others.
  CHECK(first.Ask(PutFrame("a", "1")) == OkReply());
  CHECK(other.Ask(Frame(kQuick)) == OkReply("quick"));
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().workers_lost == 1; }));
  CHECK(AskUntilBegun(&second) == kHookFailed);
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().workers_lost == 2; }));
  CHECK(begun == 2);
  // There is no third thread.
  CHECK(third.Ask(Frame(kHanging))->code == kOverloaded);
  REQUIRE(other.Send(Frame(kQuick)));
  CHECK(third.Ask(GetFrame("a")) == ValueReply("1"));
  CHECK(fixture.server->Stats().hook_overruns == 2);
  go_on.Set();
  CHECK(other.Receive() == OkReply("quick"));
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().workers_lost == 0; }));
  // What was not begun is not done, and what came late went nowhere.
  CHECK(begun == 2);
  for (WireClient* client : {&first, &second, &third}) CHECK(client->Ask(GetFrame("a")) == ValueReply("1"));
  CHECK(told == (in_hook ? 0 : 2));
  CHECK(fixture.server->Stats().in_flight == 0);
  CHECK_OK(fixture.server->Drain());
  fixture.server->Stop();
  const std::string lost = fmt::format("the route {} has not returned from its worker within 0.050 s; ", kHanging);
  CHECK(lines.Has(lost + "another thread takes its place, 1 lost now"));
  CHECK(lines.Has(lost + "no further thread takes its place, 2 lost now"));
  CHECK(lines.Has(fmt::format("the route {} has returned from its worker, late; 0 lost now", kHanging)));
}

TEST_CASE("a route that returned and does not answer in its time is refused, and its responder answers nobody") {
  base::Mutex mutex;
  std::vector<Responder> kept;
  ServerHooks hooks;
  hooks.routes.push_back({kHanging,
                          [&](const ServerRequest&, Responder responder) {
                            base::MutexLock lock(&mutex);
                            kept.push_back(std::move(responder));
                          },
                          {.on_worker = true, .time_limit = absl::Milliseconds(50)}});
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address()), gone(fixture.address());
  CHECK(AskUntilBegun(&client) == kHookFailed);
  REQUIRE(gone.Send(Frame(kHanging)));
  gone.Close();
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().connections_open == 1; }));
  CHECK(client.Ask(PutFrame("a", "1")) == OkReply());
  {
    base::MutexLock lock(&mutex);
    for (Responder& responder : kept) responder.Ok("late");
    kept.clear();
  }
  CHECK(client.Ask(GetFrame("a")) == ValueReply("1"));
  CHECK(fixture.server->Stats().hook_overruns >= 1);
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().workers_lost == 0; }));
  client.Close();
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes == 0; }));
}

TEST_CASE("of routes that come late again and again one line a second is logged, with how many were left out") {
  Lines lines;
  server::RouteWorkers workers(1, 1, &lines);
  constexpr int64_t kMilli = 1'000'000;
  for (int i = 1; i <= 500; i++) {
    workers.Lose(7, absl::Seconds(1), 1000 * kMilli + i * kMilli);
    workers.TakeBack(8, 1000 * kMilli + i * kMilli);
  }
  CHECK(lines.size() == 8);
  CHECK(workers.lost() == 0);
  workers.Lose(7, absl::Seconds(1), 2000 * kMilli);
  CHECK(lines.size() == 9);
  CHECK(
      lines.Has("the route 7 has not returned from its worker within 1.000 s; another thread takes its place, 1 lost "
                "now; 496 lines like this were left out"));
  workers.TakeBack(8, 2000 * kMilli);
  CHECK(lines.Has("the route 8 has returned from its worker, late; 0 lost now; 496 lines like this were left out"));
}

TEST_CASE("a limit is for routes on workers, and is long enough for anything") {
  base::ThreadExecutor executor(1);
  MemoryStore store(&executor);
  ServerHooks hooks;
  const RouteHandler handler = [](const ServerRequest&, const Responder&) {};
  hooks.routes.push_back({kHanging, handler, {.on_worker = true, .time_limit = absl::ZeroDuration()}});
  hooks.routes.push_back({kQuick, handler, {.time_limit = absl::Seconds(1)}});
  const absl::Status status = Server::Start(store, {.listen = "127.0.0.1:0"}, std::move(hooks)).status();
  CHECK_CODE(status, kInvalidArgument);
  CHECK(status.message() ==
        fmt::format("server hooks: the time limit of the route {} is 0, less than 1ms; the route {} "
                    "has a time limit, but is not on a worker",
                    kHanging, kQuick));
}

}  // namespace bandb::test
