// Hooks see operations, whatever message asks for them.
#include "server/operation_hooks.h"

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "server/hook_notes.h"
#include "server/wire_client.h"
#include "support/catch.h"
#include "support/manual_clock.h"

namespace bandb::test {
namespace {

using proto::BatchCheck;
using proto::BatchKind;

// "reject", "drop", "throw" and "grow" as values of puts, and "key" to be put under a long key.
HookResult JudgeByValue(const ServerRequest& request) {
  std::string_view key, value;
  REQUIRE(DecodePutPayload(request.payload, &key, &value));
  if (value == "reject") return HookResult::Reject(40000, fmt::format("not {}", key));
  if (value == "drop") return HookResult::Drop();
  if (value == "throw") throw std::runtime_error("out of luck");
  if (value == "grow") return HookResult::Modify(key, std::string(600, 'x'));
  if (value == "key") return HookResult::Modify(std::string((64 << 10) + 1, 'k'), value);
  if (value == "nonsense") return HookResult::Modify("nonsense");
  return HookResult::Modify(key, std::string(value) + "!");
}

}  // namespace

TEST_CASE("a hook on puts sees each put, in a message of its own and in a batch, with the same payload") {
  HookNotes notes;
  ServerHooks hooks;
  hooks.before.push_back({kPutMessage, [&](const ServerRequest& request) {
                            std::string_view key, value;
                            REQUIRE(DecodePutPayload(request.payload, &key, &value));
                            notes.Add(fmt::format("{} put {} {}", request.message_id, key, value));
                            return HookResult::Pass();
                          }});
  hooks.before.push_back({kDeleteMessage, [&](const ServerRequest& request) {
                            std::string_view key;
                            REQUIRE(DecodeKeyPayload(request.payload, &key));
                            notes.Add(fmt::format("{} delete {}", request.message_id, key));
                            return HookResult::Pass();
                          }});
  hooks.before.push_back({kBatchMessage, [&](const ServerRequest& request) {
                            notes.Add(fmt::format("batch of {} bytes", request.payload.size()));
                            return HookResult::Pass();
                          }});
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  ServerFixture fixture(options, std::move(hooks));
  WireClient client(fixture.address());
  CHECK(client.Ask(PutFrame("a", "1")) == OkReply());
  CHECK(client.Ask(DeleteFrame("b")) == OkReply());
  CHECK(notes.Take() == std::vector<std::string>{"1 put a 1", "3 delete b"});
  const std::string batch = BatchFrame({{BatchKind::kPut, "c", "2"},
                                        {BatchKind::kPutWithTtl, "d", "3", 60'000},
                                        {BatchKind::kRangeDelete, "x", "y"},
                                        {BatchKind::kDelete, "e"}});
  CHECK(client.Ask(batch) == OkReply());
  CHECK(notes.Take() == std::vector<std::string>{fmt::format("batch of {} bytes", batch.size() - 8), "1 put c 2",
                                                 "1 put d 3", "3 delete e"});
}

TEST_CASE("the verdict on a batch is the worst of those on its operations") {
  ServerHooks hooks;
  hooks.before.push_back({kPutMessage, JudgeByValue});
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address());
  const auto ask = [&](const std::vector<std::string_view>& values) {
    std::vector<proto::BatchOperation> operations;
    static constexpr std::string_view kKeys[] = {"a", "b", "c"};
    for (size_t i = 0; i < values.size(); i++) operations.push_back({BatchKind::kPut, kKeys[i], values[i]});
    return client.Ask(BatchFrame(operations));
  };
  CHECK(ask({"1", "drop", "reject"}) == OwnedReply{false, {}, 40000, "not c"});
  CHECK(ask({"1", "drop", "2"}) == OkReply());
  CHECK(ask({"1", "throw", "2"})->code == ToCode(proto::ErrorCode::kHookFailed));
  CHECK(ask({"1", "nonsense"})->code == ToCode(proto::ErrorCode::kMalformed));
  CHECK(fixture.store.size() == 0);
  CHECK(ask({"1", "2", "3"}) == OkReply());
  CHECK(*fixture.store.Get("a") == "1!");
  CHECK(*fixture.store.Get("c") == "3!");
  CHECK(fixture.server->Stats().hook_drops == 2);
  CHECK(fixture.server->Stats().hook_rejections == 1);
  CHECK(fixture.server->Stats().hook_failures == 1);
}

TEST_CASE("what hooks make of a batch is held to the limits on keys, and all of it to that on frames") {
  ServerHooks hooks;
  hooks.before.push_back({kPutMessage, JudgeByValue});
  ServerOptions options;
  options.frame_bytes_max = 80'000;
  const bool many = GENERATE(false, true);
  if (many) options.frame_bytes_max = 1000;
  ServerFixture fixture(options, std::move(hooks));
  WireClient client(fixture.address());
  if (!many) {
    CHECK(client.Ask(PutFrame("a", "key"))->code == proto::ToCode(absl::StatusCode::kInvalidArgument));
    const auto reply = client.Ask(BatchFrame({{BatchKind::kPut, "a", "1"}, {BatchKind::kPut, "b", "key"}}));
    CHECK(reply->code == proto::ToCode(absl::StatusCode::kInvalidArgument));
  } else {
    // One fits, two do not.
    CHECK(client.Ask(BatchFrame({{BatchKind::kPut, "a", "grow"}, {BatchKind::kPut, "b", "grow"}}))->code ==
          ToCode(proto::ErrorCode::kTooLarge));
    CHECK(fixture.store.size() == 0);
    CHECK(client.Ask(BatchFrame({{BatchKind::kPut, "a", "grow"}, {BatchKind::kPut, "b", "1"}})) == OkReply());
    CHECK(fixture.store.Get("a")->size() == 600);
  }
}

TEST_CASE("hooks on operations see every kind of them, with its parts, and may change these") {
  HookNotes before, after;
  ServerHooks hooks;
  hooks.before.push_back({kPutMessage, [](const ServerRequest& request) {
                            std::string_view key, value;
                            REQUIRE(DecodePutPayload(request.payload, &key, &value));
                            return HookResult::Modify(key, std::string(value) + "+");
                          }});
  hooks.before_operations.push_back([&](const ServerOperation& operation) {
    before.Add(Describe(operation));
    if (operation.key == "wide") return HookResult::Modify("w", "x");
    if (operation.key == "elsewhere") return HookResult::ModifyKey("here");
    return HookResult::Pass();
  });
  hooks.after_operations.push_back([&](const ServerOperation& operation, const ServerOutcome& outcome) {
    after.Add(fmt::format("{} {}", Describe(operation), outcome.code));
  });
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address());
  CHECK(client.Ask(PutFrame("here", "1")) == OkReply());
  CHECK(client.Ask(GetFrame("elsewhere")) == ValueReply("1+"));
  CHECK(client.Ask(GetFrame("none"))->code == proto::ToCode(absl::StatusCode::kNotFound));
  REQUIRE(client.Ask(ScanFrame({.begin = "a", .limit = "z"}))->ok);
  CHECK(client.Ask(BatchFrame({{BatchKind::kPutWithTtl, "w1", "2", 60'000}, {BatchKind::kRangeDelete, "wide", "y"}})) ==
        OkReply());
  CHECK(before.Take() == std::vector<std::string>{"put here 1+", "get elsewhere ", "get none ", "scan a z",
                                                  "put w1 2+ for 60000 ms", "delete range wide y"});
  CHECK(after.Take() == std::vector<std::string>{"put here 1+ 0", "get here  0", "get none  5", "scan a z 0",
                                                 "put w1 2+ for 60000 ms 0", "delete range w x 0"});
  CHECK(fixture.store.size() == 1);
}

TEST_CASE("of a put with the time of its end hooks see how long that is from now, and nothing less than that") {
  HookNotes notes;
  ServerHooks hooks;
  hooks.before_operations.emplace_back([&](const ServerOperation& operation) {
    notes.Add(Describe(operation));
    return HookResult::Pass();
  });
  hooks.after_operations.emplace_back(
      [&](const ServerOperation& operation, const ServerOutcome&) { notes.Add(Describe(operation)); });
  ManualClock clock;
  server::ServiceCounters counters;
  server::OperationHooks operation_hooks(&hooks, &counters, &clock, nullptr);
  const auto put_until = [&](std::string_view key, int64_t millis) {
    return server::Operation{.key = key, .value = "v", .expiry = absl::FromUnixMillis(clock.WallMillis() + millis)};
  };
  server::BatchCommand batch;
  batch.operations = {put_until("a", 60'000), put_until("b", -1), {.key = "c", .value = "v"}};
  server::Command command = std::move(batch);
  server::ModifiedBytes modified;
  server::Outcome ending;
  REQUIRE(operation_hooks.RunBefore({}, {1 << 20, 10}, &command, &modified, &ending));
  CHECK(notes.Take() == std::vector<std::string>{"put a v for 60000 ms", "put b v for 0 ms", "put c v"});
  const auto record = operation_hooks.MakeRecord({}, {}, server::OperationsOf(command));
  REQUIRE(record != nullptr);
  clock.AdvanceMillis(100);
  operation_hooks.RunAfter(*record, true, 0);
  CHECK(notes.Take() == std::vector<std::string>{"put a v for 59900 ms", "put b v for 0 ms", "put c v"});
}

TEST_CASE("a put until a time that has passed is to hooks one that ends at once") {
  HookNotes before;
  ServerHooks hooks;
  hooks.before_operations.emplace_back([&](const ServerOperation& operation) {
    before.Add(Describe(operation));
    return HookResult::Pass();
  });
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address());
  CHECK(client.Ask(BatchFrame({{.kind = BatchKind::kPutUntil, .key = "a", .value = "1", .expires_ms = 1}})) ==
        OkReply());
  CHECK(before.Take() == std::vector<std::string>{"put a 1 for 0 ms"});
}

TEST_CASE("post-hooks run whether or not the client is still there") {
  HookNotes after;
  ServerHooks hooks;
  hooks.after.push_back({kPutMessage, [&](const ServerRequest& request, const ServerOutcome& outcome) {
                           std::string_view key, value;
                           REQUIRE(DecodePutPayload(request.payload, &key, &value));
                           after.Add(fmt::format("put {} {}", key, outcome.ok));
                         }});
  hooks.after_operations.push_back([&](const ServerOperation& operation, const ServerOutcome& outcome) {
    after.Add(fmt::format("{} {} from {}", Describe(operation), outcome.ok, operation.peer.substr(0, 10)));
  });
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  ServerFixture fixture(options, std::move(hooks));
  {
    WireClient client(fixture.address());
    // A reply that is not read makes the end of a connection a reset.
    REQUIRE(client.Send(GetFrame("none")));
    REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().replies == 1; }));
    fixture.store.SetHolding(true);
    REQUIRE(client.Send(PutFrame("a", "1") + BatchFrame({{BatchKind::kPut, "b", "2"}})));
    REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().write_operations == 2; }));
  }
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().connections_open == 0; }));
  CHECK(after.Take() == std::vector<std::string>{"get none  false from 127.0.0.1:"});
  fixture.store.SetHolding(false);
  REQUIRE(fixture.Eventually([&] { return after.size() == 4; }));
  CHECK(after.Take() == std::vector<std::string>{"put a true", "put a 1 true from 127.0.0.1:", "put b true",
                                                 "put b 2 true from 127.0.0.1:"});
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes == 0; }));
}

}  // namespace bandb::test
