// Hooks that do not return in time.
#include "server/hook_watch.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

using server::HookSpot;
using server::HookWatch;

constexpr int64_t kSecond = 1'000'000'000;

class Lines final : public Logger {
 public:
  void Log(LogSeverity, std::string_view message) override ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    lines_.emplace_back(message);
  }
  std::vector<std::string> Take() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    return std::exchange(lines_, {});
  }

 private:
  base::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

TEST_CASE("a hook that takes longer than it may is counted once, and told of later and later until it returns") {
  Lines lines;
  HookSpot spot;
  HookWatch watch(absl::Seconds(2), &lines);
  watch.Add(&spot);
  const std::string name = "the hook before_put_1";
  watch.Look(kSecond);
  {
    const HookSpot::Within within(&spot, &name);
    for (int64_t second = 2; second <= 20; second++) watch.Look(second * kSecond);
    CHECK(watch.overruns() == 1);
    const std::vector<std::string> told = lines.Take();
    REQUIRE(told.size() == 4);
    CHECK(told[0] == name + " has not returned for 2.0 s: all that its loop serves waits for it");
    CHECK(told[3] == name + " has not returned for 16.0 s: all that its loop serves waits for it");
  }
  watch.Look(21 * kSecond);
  CHECK(lines.Take() == std::vector<std::string>{name + " returned after about 19.0 s"});
  for (int64_t second = 22; second <= 50; second++) watch.Look(second * kSecond);
  CHECK(watch.overruns() == 1);
}

TEST_CASE("many quick calls are no long one, and each loop is looked at by itself") {
  HookSpot busy, stuck;
  HookWatch watch(absl::Seconds(2), nullptr);
  watch.Add(&busy);
  watch.Add(&stuck);
  const std::string name = "a hook";
  auto call = std::make_unique<HookSpot::Within>(&busy, &name);
  const HookSpot::Within within(&stuck, &name);
  for (int64_t second = 1; second <= 20; second++) {
    watch.Look(second * kSecond);
    call.reset();
    call = std::make_unique<HookSpot::Within>(&busy, &name);
  }
  CHECK(watch.overruns() == 1);
}

TEST_CASE("a server counts and names the hook, on_connect or route that holds a loop up, and serves when it returns") {
  const std::string of_route = std::to_string(kFirstUserMessage);
  const std::map<std::string, std::string> names = {{"hook", "before put 1"},
                                                    {"post-hook", "after operations 1"},
                                                    {"route", "the route " + of_route},
                                                    {"route's hook", "a hook before the route " + of_route},
                                                    {"on_connect", "on_connect"}};
  const std::string where = GENERATE("hook", "post-hook", "route", "route's hook", "on_connect");
  CAPTURE(where);
  base::Event entered, go_on;
  const auto hang = [&] {
    entered.Set();
    go_on.BlockUntilSet(base::kForever);
  };
  ServerHooks hooks;
  if (where == "hook") {
    hooks.before.push_back({kPutMessage, [&](const ServerRequest&) {
                              hang();
                              return HookResult::Pass();
                            }});
  } else if (where == "post-hook") {
    hooks.after_operations.push_back([&](const ServerOperation&, const ServerOutcome&) { hang(); });
  } else if (where == "on_connect") {
    hooks.on_connect = [&](uint64_t, std::string_view) {
      hang();
      return absl::OkStatus();
    };
  } else {
    hooks.routes.push_back({kFirstUserMessage,
                            [&](const ServerRequest&, Responder responder) {
                              if (where == "route") hang();
                              responder.Ok("");
                            },
                            {}});
    hooks.before.push_back({kFirstUserMessage, [&](const ServerRequest&) {
                              if (where != "route") hang();
                              return HookResult::Pass();
                            }});
  }
  Lines lines;
  ServerOptions options;
  options.logger = &lines;
  options.hook_time_limit = absl::Milliseconds(1);
  ServerFixture fixture(options, std::move(hooks));
  WireClient client(fixture.address());
  std::string frame = PutFrame("a", "1");
  if (where.starts_with("route")) {
    frame.clear();
    proto::AppendFrame(&frame, kFirstUserMessage, "");
  }
  REQUIRE(client.Send(frame));
  entered.BlockUntilSet(base::kForever);
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().hook_overruns == 1; }));
  go_on.Set();
  REQUIRE(client.Receive().has_value());
  fixture.server->Stop();
  const std::vector<std::string> told = lines.Take();
  CAPTURE(told);
  CHECK(std::any_of(told.begin(), told.end(), [&](const std::string& line) {
    return line.starts_with(names.at(where) + " has not returned for ");
  }));
}

}  // namespace bandb::test
