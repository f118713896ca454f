// The host's code between clients and the store.
#include <atomic>
#include <stdexcept>
#include <string>

#include "base/mutex.h"
#include "base/thread.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

constexpr uint32_t kRoute = kFirstUserMessage + 7;

std::string RouteFrame(std::string_view payload, uint32_t id = kRoute) {
  std::string frame;
  proto::AppendFrame(&frame, id, payload);
  return frame;
}

PreHook Always(const std::function<HookResult()>& result) {
  return [result](const ServerRequest&) { return result(); };
}

}  // namespace

TEST_CASE("hooks in front run in their order, and a modified payload is what the next one and the store see") {
  ServerHooks hooks;
  hooks.before.push_back({kPutMessage, [](const ServerRequest& request) {
                            std::string_view key, value;
                            if (!DecodePutPayload(request.payload, &key, &value)) return HookResult::Pass();
                            return HookResult::Modify(EncodePutPayload(key, std::string(value) + "+one"));
                          }});
  hooks.before.push_back({kPutMessage, [](const ServerRequest& request) {
                            std::string_view key, value;
                            if (!DecodePutPayload(request.payload, &key, &value)) return HookResult::Pass();
                            return HookResult::Modify(EncodePutPayload(key, std::string(value) + "+two"));
                          }});
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address());
  CHECK(client.Ask(PutFrame("k", "v")) == OkReply());
  CHECK(client.Ask(GetFrame("k")) == ValueReply("v+one+two"));
}

TEST_CASE("a hook drops with an OK reply or rejects with its code and text, and the store sees nothing") {
  ServerHooks hooks;
  hooks.before.push_back({kPutMessage, [](const ServerRequest& request) {
                            std::string_view key, value;
                            DecodePutPayload(request.payload, &key, &value);
                            if (key == "drop") return HookResult::Drop();
                            if (key == "reject") return HookResult::Reject(40000, "not today");
                            if (key == "low") return HookResult::Reject(3, "a code below the hooks'");
                            return HookResult::Pass();
                          }});
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address());
  CHECK(client.Ask(PutFrame("drop", "x")) == OkReply());
  CHECK(client.Ask(PutFrame("reject", "x")) == OwnedReply{false, {}, 40000, "not today"});
  CHECK(client.Ask(PutFrame("low", "x"))->code == kFirstHookErrorCode);
  CHECK(fixture.store.size() == 0);
  CHECK(client.Ask(PutFrame("pass", "x")) == OkReply());
  CHECK(fixture.server->Stats().hook_drops == 1);
  CHECK(fixture.server->Stats().hook_rejections == 2);
}

TEST_CASE("a hook that makes a payload malformed or too long is answered as if the client had") {
  ServerHooks hooks;
  hooks.before.push_back({kPutMessage, Always([] { return HookResult::Modify("nonsense"); })});
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address());
  const auto reply = client.Ask(PutFrame("k", "v"));
  REQUIRE(reply.has_value());
  CHECK(reply->code == ToCode(proto::ErrorCode::kMalformed));
}

TEST_CASE("a payload that a hook makes larger than a frame is too large, and nothing is stored") {
  ServerHooks hooks;
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  options.frame_bytes_max = 1000;
  hooks.before.push_back({kPutMessage, [](const ServerRequest& request) {
                            std::string_view key, value;
                            DecodePutPayload(request.payload, &key, &value);
                            const size_t bytes = 1000 - 8 - key.size() + (value == "too large" ? 1 : 0);
                            return HookResult::Modify(EncodePutPayload(key, std::string(bytes, 'x')));
                          }});
  ServerFixture fixture(options, std::move(hooks));
  WireClient client(fixture.address());
  CHECK(client.Ask(PutFrame("a", "too large"))->code == ToCode(proto::ErrorCode::kTooLarge));
  CHECK_CODE(fixture.store.Get("a").status(), kNotFound);
  CHECK(client.Ask(PutFrame("b", "fits")) == OkReply());
}

TEST_CASE("post-hooks of a route on a worker see what pre-hooks made of the request, and only what got that far") {
  const bool on_worker = GENERATE(true, false);
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  ServerHooks hooks;
  hooks.before.push_back({kRoute, [](const ServerRequest& request) {
                            if (request.payload == "drop") return HookResult::Drop();
                            if (request.payload == "reject") return HookResult::Reject(41000, "no");
                            if (request.payload == "modify") return HookResult::Modify("modified");
                            return HookResult::Pass();
                          }});
  base::Mutex mutex;
  std::vector<std::string> seen;
  hooks.after.push_back({kRoute, [&](const ServerRequest& request, const ServerOutcome&) {
                           base::MutexLock lock(&mutex);
                           seen.emplace_back(request.payload);
                         }});
  hooks.routes.push_back({kRoute,
                          [](const ServerRequest& request, Responder responder) { responder.Ok(request.payload); },
                          {.on_worker = on_worker}});
  ServerFixture fixture(options, std::move(hooks));
  WireClient client(fixture.address());
  for (const char* payload : {"drop", "pass", "reject", "modify"}) REQUIRE(client.Send(RouteFrame(payload)));
  REQUIRE(client.ReceiveMany(4).size() == 4);
  base::MutexLock lock(&mutex);
  CHECK(seen == std::vector<std::string>{"pass", "modified"});
}

TEST_CASE("a route that throws is answered \"hook failed\", wherever it runs") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  ServerHooks hooks;
  hooks.routes.push_back({kRoute,
                          [](const ServerRequest&, const Responder&) { throw std::runtime_error("out of luck"); },
                          {.on_worker = GENERATE(true, false)}});
  ServerFixture fixture(options, std::move(hooks));
  WireClient client(fixture.address());
  CHECK(client.Ask(RouteFrame("x"))->code == ToCode(proto::ErrorCode::kHookFailed));
  // A worker may count it after the reply has left.
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().hook_failures == 1; }));
  CHECK(client.Ask(PutFrame("a", "1")) == OkReply());
}

TEST_CASE("a hook or route that throws rejects its request and harms nobody else") {
  ServerHooks hooks;
  hooks.before.push_back({kPutMessage, [](const ServerRequest&) -> HookResult { throw std::runtime_error("hook"); }});
  hooks.after.push_back({kDeleteMessage, [](const ServerRequest&, const ServerOutcome&) { throw 42; }});
  hooks.routes.push_back({kRoute, [](const ServerRequest&, Responder) { throw std::runtime_error("route"); }, {}});
  hooks.routes.push_back(
      {kRoute + 1, [](const ServerRequest&, Responder) { throw std::runtime_error("route"); }, {.on_worker = true}});
  hooks.on_disconnect = [](uint64_t) { throw std::runtime_error("disconnect"); };
  ServerFixture fixture({}, std::move(hooks));
  {
    WireClient client(fixture.address());
    CHECK(client.Ask(PutFrame("k", "v"))->code == ToCode(proto::ErrorCode::kHookFailed));
    CHECK(client.Ask(DeleteFrame("k")) == OkReply());
    CHECK_FALSE(client.Ask(RouteFrame("x"))->ok);
    CHECK_FALSE(client.Ask(RouteFrame("x", kRoute + 1))->ok);
    CHECK(client.Ask(GetFrame("k"))->code == proto::ToCode(absl::StatusCode::kNotFound));
  }
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().hook_failures == 5; }));
}

TEST_CASE("hooks behind a request see what it was and how it ended, once each") {
  base::Mutex mutex;
  std::vector<std::string> seen;
  const auto record = [&](const ServerRequest& request, const ServerOutcome& outcome) {
    base::MutexLock lock(&mutex);
    seen.push_back(std::to_string(request.message_id) + (outcome.ok ? " ok " : " failed ") +
                   std::to_string(outcome.code) + " " + std::to_string(request.payload.size()));
  };
  ServerHooks hooks;
  for (const uint32_t id : {kPutMessage, kGetMessage, kBatchMessage}) hooks.after.push_back({id, record});
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address());
  CHECK(client.Ask(PutFrame("key", "value")) == OkReply());
  CHECK(client.Ask(GetFrame("key")) == ValueReply("value"));
  CHECK_FALSE(client.Ask(GetFrame("none"))->ok);
  CHECK_FALSE(client.Ask(RouteFrame("malformed", kBatchMessage))->ok);
  fixture.store.FailWritesWith(absl::ResourceExhaustedError("disk full"));
  CHECK(client.Ask(PutFrame("key", "again")) ==
        OwnedReply{false, {}, proto::ToCode(absl::StatusCode::kResourceExhausted), "disk full"});
  base::MutexLock lock(&mutex);
  CHECK(seen == std::vector<std::string>{"1 ok 0 16", "2 ok 0 7", "2 failed 5 8", "18 failed 260 9", "1 failed 8 16"});
}

TEST_CASE("routes answer at once or later, from any thread, and replies still leave in request order") {
  base::Mutex mutex;
  std::vector<Responder> waiting;
  ServerHooks hooks;
  hooks.routes.push_back(
      {kRoute,
       [](const ServerRequest& request, Responder responder) { responder.Ok("echo " + std::string(request.payload)); },
       {}});
  hooks.routes.push_back({kRoute + 1,
                          [&](const ServerRequest&, Responder responder) {
                            base::MutexLock lock(&mutex);
                            waiting.push_back(std::move(responder));
                          },
                          {}});
  hooks.routes.push_back({kRoute + 2, [](const ServerRequest&, Responder) {}, {}});
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address());
  REQUIRE(client.Send(RouteFrame("a") + RouteFrame("later", kRoute + 1) + RouteFrame("b") + PutFrame("k", "v") +
                      GetFrame("k") + RouteFrame("dropped", kRoute + 2)));
  CHECK(client.Receive() == OkReply("echo a"));
  REQUIRE(fixture.Eventually([&] {
    base::MutexLock lock(&mutex);
    return waiting.size() == 1;
  }));
  CHECK(client.StaysSilent(30));
  base::Thread other([&] {
    base::MutexLock lock(&mutex);
    waiting[0].Error(50000, "at last");
  });
  CHECK(client.Receive() == OwnedReply{false, {}, 50000, "at last"});
  CHECK(client.Receive() == OkReply("echo b"));
  CHECK(client.Receive() == OkReply());
  CHECK(client.Receive() == ValueReply("v"));
  CHECK(client.Receive()->code == proto::ToCode(absl::StatusCode::kInternal));
}

TEST_CASE("a responder may outlive its connection and its server") {
  base::Mutex mutex;
  std::vector<Responder> waiting;
  const auto keep = [&](const ServerRequest&, Responder responder) {
    base::MutexLock lock(&mutex);
    waiting.push_back(std::move(responder));
  };
  ServerHooks hooks;
  hooks.routes.push_back({kRoute, keep, {}});
  hooks.routes.push_back({kRoute + 1, keep, {.on_worker = true}});
  {
    ServerFixture fixture({}, std::move(hooks));
    WireClient one(fixture.address()), two(fixture.address()), three(fixture.address());
    REQUIRE(one.Send(RouteFrame("x")));
    REQUIRE(two.Send(RouteFrame("x")));
    REQUIRE(three.Send(RouteFrame("x", kRoute + 1)));
    REQUIRE(fixture.Eventually([&] {
      base::MutexLock lock(&mutex);
      return waiting.size() == 3;
    }));
    // A client that closes may only have closed its writing side, so the answer is still owed, and
    // lets the connection end.
    one.Close();
    {
      base::MutexLock lock(&mutex);
      for (Responder& responder : waiting) responder.Ok("for one of them, nobody waits");
      waiting.clear();
    }
    CHECK(two.Receive().has_value());
    CHECK(three.Receive().has_value());
    REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().connections_open == 2; }));
    REQUIRE(two.Send(RouteFrame("x") + RouteFrame("y")));
    REQUIRE(fixture.Eventually([&] {
      base::MutexLock lock(&mutex);
      return waiting.size() == 1;
    }));
  }
  base::MutexLock lock(&mutex);
  waiting[0].Ok("nor for this");
}

TEST_CASE("a route on a worker blocks its own connection, in order, and nobody else's") {
  base::Event go_on;
  ServerHooks hooks;
  hooks.before.push_back({kRoute, Always([] { return HookResult::Pass(); })});
  hooks.routes.push_back({kRoute,
                          [&](const ServerRequest& request, Responder responder) {
                            go_on.BlockUntilSet(base::kForever);
                            responder.Ok(request.payload);
                          },
                          {.on_worker = true}});
  ServerOptions options;
  options.worker_threads = 1;
  ServerFixture fixture(options, std::move(hooks));
  WireClient slow(fixture.address()), other(fixture.address());
  REQUIRE(slow.Send(PutFrame("k", "1") + RouteFrame("work") + PutFrame("k", "2")));
  CHECK(slow.Receive() == OkReply());
  CHECK(other.Ask(GetFrame("k")) == ValueReply("1"));
  CHECK(slow.StaysSilent(30));
  CHECK(other.Ask(GetFrame("k")) == ValueReply("1"));  // the second PUT waits for the route
  go_on.Set();
  CHECK(slow.Receive() == OkReply("work"));
  CHECK(slow.Receive() == OkReply());
  CHECK(other.Ask(GetFrame("k")) == ValueReply("2"));
}

TEST_CASE("what takes long for two operators holds up no other, however few workers there are") {
  base::Event go_on;
  ServerHooks hooks;
  hooks.administer = [&go_on](const AdministrationRequest& request) -> absl::StatusOr<std::string> {
    // In the end also where a test fails.
    if (request.words[0] == "long") go_on.BlockUntilSet(int64_t{20} * 1'000'000'000);
    return request.words[0];
  };
  ServerOptions options;
  options.worker_threads = 1;
  ServerFixture fixture(options, std::move(hooks));
  const auto frame = [](std::string_view word) {
    std::string bytes;
    const std::string_view words[] = {word};
    proto::AppendAdmin(&bytes, words);
    return bytes;
  };
  WireClient first(fixture.address()), second(fixture.address()), third(fixture.address());
  REQUIRE(first.Send(frame("long")));
  REQUIRE(second.Send(frame("long")));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 2; }));
  CHECK(third.Ask(frame("short"))->ok);
  CHECK_FALSE(go_on.IsSet());
  CHECK(fixture.server->Stats().in_flight == 2);
  go_on.Set();
  CHECK(first.Receive()->ok);
  CHECK(second.Receive()->ok);
}

TEST_CASE("what an operator asks for is done by the host, on a worker, and refused without one") {
  std::string frame;
  const std::string_view asked[] = {"flush", "now"};
  proto::AppendAdmin(&frame, asked);
  {
    ServerFixture fixture;
    WireClient client(fixture.address());
    CHECK(client.Ask(frame)->code == proto::ToCode(proto::ErrorCode::kUnknownMessage));
  }
  ServerHooks hooks;
  hooks.administer = [](const AdministrationRequest& request) -> absl::StatusOr<std::string> {
    const std::vector<std::string>& words = request.words;
    if (request.connection == 0 || !request.peer.starts_with("127.0.0.1:")) return absl::InternalError("from nowhere");
    if (words.empty()) return absl::NotFoundError("/secret/folder/file: nothing");
    if (words[0] == "throw") throw std::runtime_error("administer");
    return words[0] + words.back();
  };
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address());
  CHECK(client.Ask(frame) == OkReply(std::string("\x08\0\0\0flushnow", 12)));
  frame.clear();
  proto::AppendAdmin(&frame, {});
  // Not 5, which is an answer to a GET alone, and nothing of where files are.
  const auto refused = client.Ask(frame);
  REQUIRE(refused.has_value());
  CHECK(refused->code == proto::ToCode(absl::StatusCode::kInternal));
  CHECK(refused->message == "file: nothing");
  frame.clear();
  const std::string_view thrown[] = {"throw"};
  proto::AppendAdmin(&frame, thrown);
  CHECK_FALSE(client.Ask(frame)->ok);
  frame.clear();
  proto::AppendFrame(&frame, static_cast<uint32_t>(proto::MessageId::kAdmin), "xyz");
  CHECK(client.Ask(frame)->code == proto::ToCode(proto::ErrorCode::kMalformed));
  CHECK(client.Ask(PutFrame("k", "1")) == OkReply());
}

TEST_CASE("on_connect may refuse, and on_disconnect is told of those that were let in") {
  std::atomic<int> connected{0}, disconnected{0}, strangers{0};
  ServerHooks hooks;
  hooks.on_connect = [&](uint64_t, std::string_view peer) {
    if (peer.substr(0, 10) != "127.0.0.1:") strangers++;
    if (connected.fetch_add(1) == 1) return absl::PermissionDeniedError("not you");
    return absl::OkStatus();
  };
  hooks.on_disconnect = [&](uint64_t) { disconnected++; };
  ServerFixture fixture({}, std::move(hooks));
  WireClient first(fixture.address());
  CHECK(first.Ask(PutFrame("a", "1")) == OkReply());
  WireClient second(fixture.address());
  CHECK(second.Receive() == OwnedReply{false, {}, proto::ToCode(absl::StatusCode::kPermissionDenied), "not you"});
  CHECK(second.SeesEnd());
  first.Close();
  CHECK(fixture.Eventually([&] { return disconnected == 1; }));
  CHECK(strangers == 0);
}

TEST_CASE("hooks and routes that make no sense are refused at the start, all at once") {
  base::ThreadExecutor executor(1);
  MemoryStore store(&executor);
  ServerHooks hooks;
  hooks.before.push_back({99, Always([] { return HookResult::Pass(); })});
  hooks.after.push_back({kPutMessage, nullptr});
  hooks.routes.push_back({12, [](const ServerRequest&, Responder) {}, {}});
  hooks.routes.push_back({kRoute, nullptr, {}});
  hooks.routes.push_back({kRoute, [](const ServerRequest&, Responder) {}, {}});
  const absl::Status status = Server::Start(store, {.listen = "127.0.0.1:0"}, std::move(hooks)).status();
  CHECK_CODE(status, kInvalidArgument);
  CHECK(std::string(status.message()) ==
        "server hooks: a hook on message 99, which has no route; a hook on message 1 is empty; the route 12 is below "
        "65536; the route 65543 has no handler; the route 65543 is registered twice");
}

}  // namespace bandb::test
