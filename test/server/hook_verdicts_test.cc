// What hooks may do to operations besides changing, dropping and rejecting them: give them another
// key, add more to their batch; and what becomes of requests whose hook fails.
#include <fmt/format.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "server/hook_notes.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

using proto::BatchCheck;
using proto::BatchKind;

constexpr uint32_t kRoute = kFirstUserMessage + 1;
const uint16_t kFailed = ToCode(proto::ErrorCode::kHookFailed);
const uint16_t kMalformed = ToCode(proto::ErrorCode::kMalformed);
const uint16_t kTooLarge = ToCode(proto::ErrorCode::kTooLarge);
const uint16_t kInvalid = proto::ToCode(absl::StatusCode::kInvalidArgument);

uint16_t CodeOf(WireClient* client, const std::string& frame) {
  const std::optional<OwnedReply> reply = client->Ask(frame);
  REQUIRE(reply.has_value());
  return reply->code;
}

// Keys that begin with "old/" lie under "new/".
HookResult RouteOld(std::string_view key) {
  if (key.substr(0, 4) != "old/") return HookResult::Pass();
  return HookResult::Route("new/" + std::string(key.substr(4)));
}

HookResult RouteOperation(const ServerOperation& operation) {
  const bool single = operation.kind != OperationKind::kScan && operation.kind != OperationKind::kDeleteRange;
  return single ? RouteOld(operation.key) : HookResult::Pass();
}

HookResult RouteMessage(const ServerRequest& request) {
  std::string_view key, value;
  const bool decoded = request.message_id == kPutMessage ? DecodePutPayload(request.payload, &key, &value)
                                                         : DecodeKeyPayload(request.payload, &key);
  REQUIRE(decoded);
  return RouteOld(key);
}

// A put or delete of "item/X" adds one of "index/X", and nothing else does.
HookResult Index(const ServerOperation& operation) {
  if (operation.key.substr(0, 5) != "item/") return HookResult::Pass();
  const std::string index = "index/" + std::string(operation.key.substr(5));
  if (operation.kind == OperationKind::kPut) {
    return HookResult::Emit({{.key = index, .value = "of " + std::string(operation.value)}});
  }
  if (operation.kind == OperationKind::kDelete) {
    return HookResult::Emit({{.kind = OperationKind::kDelete, .key = index}});
  }
  return HookResult::Pass();
}

ServerHooks Before(OperationHook hook) {
  ServerHooks hooks;
  hooks.before_operations.emplace_back(std::move(hook));
  return hooks;
}

}  // namespace

TEST_CASE("a route puts another key in the place of the one asked for, of puts, gets and deletes, also in a batch") {
  HookNotes next, after;
  ServerHooks hooks;
  if (GENERATE(false, true)) {
    for (const uint32_t id : {kPutMessage, kGetMessage, kDeleteMessage}) hooks.before.push_back({id, RouteMessage});
  } else {
    hooks.before_operations.emplace_back(RouteOperation);
  }
  hooks.before_operations.emplace_back([&](const ServerOperation& operation) {
    next.Add(Describe(operation));
    return HookResult::Pass();
  });
  hooks.after_operations.emplace_back(
      [&](const ServerOperation& operation, const ServerOutcome&) { after.Add(Describe(operation)); });
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address());
  CHECK(client.Ask(PutFrame("old/a", "1")) == OkReply());
  CHECK(fixture.store.Get("new/a").value() == "1");
  CHECK(client.Ask(GetFrame("old/a")) == ValueReply("1"));
  CHECK(client.Ask(GetFrame("new/a")) == ValueReply("1"));
  CHECK(client.Ask(BatchFrame({{BatchKind::kPutWithTtl, "old/b", "2", 60'000},
                               {BatchKind::kDelete, "old/a"},
                               {BatchKind::kPut, "c", "3"}})) == OkReply());
  CHECK(fixture.store.Get("new/b").value() == "2");
  CHECK(fixture.store.size() == 2);
  CHECK(client.Ask(DeleteFrame("old/b")) == OkReply());
  CHECK(fixture.store.size() == 1);
  const std::string told =
      "put new/a 1;get new/a ;get new/a ;put new/b 2 for 60000 ms;delete new/a ;put c 3;delete new/b ;";
  CHECK(next.TakeText() == told);
  CHECK(after.TakeText() == told);
  CHECK(fixture.server->Stats().hook_routes == 5);
  CHECK(fixture.server->Stats().hook_failures == 0);
}

TEST_CASE("a hook on a message sees the key that the one before it gave") {
  ServerHooks hooks;
  hooks.before.push_back({kPutMessage, RouteMessage});
  hooks.before.push_back({kPutMessage, [](const ServerRequest& request) {
                            std::string_view key, value;
                            REQUIRE(DecodePutPayload(request.payload, &key, &value));
                            return HookResult::Modify(key, fmt::format("{} under {}", value, key));
                          }});
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address());
  CHECK(client.Ask(PutFrame("old/a", "1")) == OkReply());
  CHECK(fixture.store.Get("new/a").value() == "1 under new/a");
}

TEST_CASE("a condition is a get to hooks: it is looked at where a get would be, and not at all where none is let") {
  HookNotes notes;
  ServerHooks hooks = Before([&](const ServerOperation& operation) {
    notes.Add(Describe(operation));
    if (operation.key == "secret") return HookResult::Reject(40000, "secret");
    if (operation.key == "none") return HookResult::Drop();
    return RouteOperation(operation);
  });
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address());
  REQUIRE_OK(fixture.store.Put("old/a", "of nobody"));
  REQUIRE_OK(fixture.store.Put("new/a", "1"));
  REQUIRE_OK(fixture.store.Put("secret", "42"));
  const auto ask = [&](std::string_view key, std::string_view value) {
    return CodeOf(&client, BatchFrame({{BatchKind::kPut, "old/a", "2"}}, {{BatchCheck::kHasValue, key, value}}));
  };
  const uint16_t aborted = proto::ToCode(absl::StatusCode::kAborted);
  CHECK(ask("old/a", "of nobody") == aborted);
  CHECK(notes.TakeText() == "get old/a ;put old/a 2;");
  CHECK(ask("old/a", "1") == 0);
  CHECK(fixture.store.Get("new/a").value() == "2");
  CHECK(ask("secret", "41") == 40000);
  CHECK(ask("secret", "42") == 40000);
  REQUIRE_OK(fixture.store.Put("new/a", "1"));
  CHECK(ask("none", "") == 0);
  // The worst verdict counts.
  const auto rejected = BatchFrame({{BatchKind::kPut, "secret", "2"}}, {{BatchCheck::kAbsent, "none"}});
  CHECK(CodeOf(&client, rejected) == 40000);
  CHECK(fixture.store.Get("new/a").value() == "1");
}

TEST_CASE("what a hook emits is in the batch of its operation: done with it or not at all, with one sync") {
  ServerFixture fixture({}, Before(Index));
  WireClient client(fixture.address());
  CHECK(client.Ask(PutFrame("item/a", "1")) == OkReply());
  CHECK(fixture.store.Get("item/a").value() == "1");
  CHECK(fixture.store.Get("index/a").value() == "of 1");
  CHECK(fixture.store.batches() == 1);
  CHECK(fixture.store.synced_batches() == 1);
  CHECK(client.Ask(BatchFrame(
            {{BatchKind::kPut, "item/b", "2"}, {BatchKind::kPut, "x", "3"}, {BatchKind::kDelete, "item/a"}})) ==
        OkReply());
  CHECK(fixture.store.Get("index/b").value() == "of 2");
  CHECK_CODE(fixture.store.Get("index/a").status(), kNotFound);
  CHECK(fixture.store.size() == 3);
  CHECK(fixture.store.batches() == 2);
  // A condition that does not hold is one of all of it.
  CHECK(CodeOf(&client, BatchFrame({{BatchKind::kPut, "item/c", "4"}}, {{BatchCheck::kPresent, "none"}})) ==
        proto::ToCode(absl::StatusCode::kAborted));
  CHECK(fixture.store.size() == 3);
  fixture.store.FailWritesWith(absl::ResourceExhaustedError("full"));
  CHECK(CodeOf(&client, PutFrame("item/d", "5")) != 0);
  CHECK(fixture.store.size() == 3);
  CHECK(fixture.server->Stats().hook_emissions == 5);
}

TEST_CASE("emitted operations come right after the one that they were emitted for") {
  ServerHooks hooks = Before([](const ServerOperation& operation) {
    if (operation.key != "a") return HookResult::Pass();
    return HookResult::Emit({{.key = "x", .value = "of the hook"}, {.kind = OperationKind::kDelete, .key = "y"}});
  });
  // A second one, whose operations follow.
  hooks.before_operations.emplace_back([](const ServerOperation& operation) {
    if (operation.key != "a") return HookResult::Pass();
    return HookResult::Emit(
        {{.key = "y", .value = "of the second"}, {.kind = OperationKind::kDeleteRange, .key = "r", .value = "s"}});
  });
  ServerFixture fixture({}, std::move(hooks));
  REQUIRE_OK(fixture.store.Put("r1", "v"));
  WireClient client(fixture.address());
  CHECK(client.Ask(BatchFrame({{BatchKind::kPut, "a", "1"}, {BatchKind::kPut, "x", "of the client"}})) == OkReply());
  CHECK(fixture.store.Get("x").value() == "of the client");
  CHECK(fixture.store.Get("y").value() == "of the second");
  CHECK_CODE(fixture.store.Get("r1").status(), kNotFound);
  CHECK(client.Ask(BatchFrame({{BatchKind::kPut, "x", "of the client"}, {BatchKind::kPut, "a", "1"}})) == OkReply());
  CHECK(fixture.store.Get("x").value() == "of the hook");
}

TEST_CASE("a route and what comes with it are one verdict") {
  ServerFixture fixture({}, Before([](const ServerOperation& operation) {
                          const std::string key(operation.key);
                          if (operation.kind != OperationKind::kPut) return HookResult::Pass();
                          return HookResult::Route("r/" + key).With({{.key = "e/" + key, .value = "2"}});
                        }));
  WireClient client(fixture.address());
  CHECK(client.Ask(PutFrame("a", "1")) == OkReply());
  CHECK(fixture.store.Get("r/a").value() == "1");
  CHECK(fixture.store.Get("e/a").value() == "2");
  CHECK(fixture.store.size() == 2);
  CHECK(fixture.server->Stats().hook_routes == 1);
  CHECK(fixture.server->Stats().hook_emissions == 1);
}

TEST_CASE("no hook is shown what a hook emitted, so none emits without an end") {
  HookNotes before, after;
  ServerHooks hooks;
  const auto again = [&before](const ServerOperation& operation) {
    before.Add(Describe(operation));
    return HookResult::Emit({{.key = std::string(operation.key) + "+", .value = "v"}});
  };
  hooks.before_operations.emplace_back(again);
  hooks.before_operations.emplace_back(again);
  hooks.before.push_back({kPutMessage, [](const ServerRequest&) { return HookResult::Pass(); }});
  hooks.after_operations.emplace_back(
      [&after](const ServerOperation& operation, const ServerOutcome&) { after.Add(Describe(operation)); });
  ServerFixture fixture({}, std::move(hooks));
  WireClient client(fixture.address());
  CHECK(client.Ask(PutFrame("a", "1")) == OkReply());
  CHECK(before.TakeText() == "put a 1;put a 1;");
  CHECK(after.TakeText() == "put a 1;");
  CHECK(client.Ask(BatchFrame({{BatchKind::kPut, "b", "1"}, {BatchKind::kDelete, "c"}})) == OkReply());
  CHECK(before.TakeText() == "put b 1;put b 1;delete c ;delete c ;");
  CHECK(after.TakeText() == "put b 1;delete c ;");
  CHECK(fixture.store.size() == 5);
}

TEST_CASE("what hooks emit and where they route is held to the limits of what a client sends") {
  ServerOptions options;
  options.batch_operations_max = 4;
  options.frame_bytes_max = 80'000;
  ServerFixture fixture(options, Before([](const ServerOperation& operation) {
                          const std::string_view what = operation.value;
                          std::vector<EmittedOperation> three(3, {.key = "e", .value = "v"});
                          std::vector<EmittedOperation> long_ones(2, {.key = "e", .value = std::string(45'000, 'v')});
                          if (what == "three") return HookResult::Emit(std::move(three));
                          if (what == "four") return HookResult::Emit(std::move(three)).With({{.key = "e"}});
                          if (what == "million") return HookResult::Emit(std::vector<EmittedOperation>(1'000'000));
                          if (what == "long")
                            return HookResult::Emit({{.key = "e", .value = std::string(70'000, 'v')}});
                          if (what == "longer") return HookResult::Emit(std::move(long_ones));
                          if (what == "key") return HookResult::Emit({{.key = std::string(65'537, 'k')}});
                          if (what == "endless") {
                            return HookResult::Emit({{.kind = OperationKind::kDeleteRange, .key = "e"}});
                          }
                          if (what == "far") return HookResult::Route(std::string(65'537, 'k'));
                          if (what == "farther") return HookResult::Route(std::string(2 << 20, 'k'));
                          return HookResult::Pass();
                        }));
  WireClient client(fixture.address());
  const auto batch = [&](const std::vector<std::string_view>& values) {
    std::vector<proto::BatchOperation> operations;
    for (const std::string_view value : values) operations.push_back({BatchKind::kPut, "a", value});
    return CodeOf(&client, BatchFrame(operations));
  };
  CHECK(CodeOf(&client, PutFrame("a", "four")) == kTooLarge);
  CHECK(CodeOf(&client, PutFrame("a", "million")) == kTooLarge);
  CHECK(CodeOf(&client, PutFrame("a", "longer")) == kTooLarge);
  CHECK(CodeOf(&client, PutFrame("a", "key")) == kInvalid);
  CHECK(CodeOf(&client, PutFrame("a", "endless")) == kInvalid);
  CHECK(CodeOf(&client, PutFrame("a", "far")) == kInvalid);
  CHECK(CodeOf(&client, PutFrame("a", "farther")) == kTooLarge);
  CHECK(batch({"three", "1"}) == kTooLarge);
  CHECK(batch({"1", "three"}) == kTooLarge);
  CHECK(batch({"long", "long"}) == kTooLarge);
  CHECK(batch({"1", "key"}) == kInvalid);
  CHECK(batch({"1", "farther"}) == kTooLarge);
  CHECK(CodeOf(&client, BatchFrame({{BatchKind::kPut, "a", "three"}}, {{BatchCheck::kAbsent, "z"}})) == kTooLarge);
  CHECK(fixture.store.size() == 0);
  CHECK(CodeOf(&client, PutFrame("a", "three")) == 0);
  CHECK(batch({"three"}) == 0);
  CHECK(batch({"long", "1"}) == 0);
  CHECK(fixture.store.Get("e")->size() == 70'000);
  CHECK(fixture.server->Stats().hook_failures == 0);
  client.Close();
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes == 0; }));
}

TEST_CASE("a get is read where a hook routes it, be that nowhere") {
  ServerFixture fixture({}, Before([](const ServerOperation& operation) {
                          if (operation.key == "empty") return HookResult::Route("");
                          if (operation.key == "far") return HookResult::Route(std::string(2 << 20, 'k'));
                          return HookResult::Pass();
                        }));
  WireClient client(fixture.address());
  const auto same = [&](const std::string& routed, const std::string& plain) {
    return client.Ask(routed) == client.Ask(plain);
  };
  const std::string far(2 << 20, 'k');
  // As if the client had asked for that key.
  CHECK(same(GetFrame("empty"), GetFrame("")));
  CHECK(same(GetFrame("far"), GetFrame(far)));
  CHECK(same(PutFrame("empty", "v"), PutFrame("", "v")));
  CHECK(same(GetFrame("empty"), GetFrame("")));
  CHECK(same(PutFrame("far", "v"), PutFrame(far, "v")));
  CHECK(same(DeleteFrame("far"), DeleteFrame(far)));
  CHECK(same(DeleteFrame("empty"), DeleteFrame("")));
}

TEST_CASE("a rejected operation leaves nothing of its batch, whatever hooks made of the others") {
  ServerFixture fixture({}, Before([](const ServerOperation& operation) {
                          const std::string key(operation.key);
                          if (key == "reject") return HookResult::Reject(40000, "no");
                          if (key == "drop") return HookResult::Drop();
                          if (key == "throw") throw std::runtime_error("out of luck");
                          if (key == "modify") return HookResult::Modify(key, "changed");
                          return HookResult::Route("r/" + key).With({{.key = "e/" + key}});
                        }));
  WireClient client(fixture.address());
  const struct {
    const char* last;
    uint16_t code;
  } rows[] = {{"reject", 40000}, {"drop", 0}, {"throw", kFailed}};
  for (const auto& row : rows) {
    for (const bool last : {true, false}) {
      std::vector<proto::BatchOperation> operations{{BatchKind::kPut, "a", "1"}, {BatchKind::kPut, "modify", "2"}};
      operations.insert(last ? operations.end() : operations.begin(), {BatchKind::kPut, row.last, "3"});
      CHECK(CodeOf(&client, BatchFrame(operations)) == row.code);
      CHECK(fixture.store.size() == 0);
    }
  }
  CHECK(CodeOf(&client, BatchFrame({{BatchKind::kPut, "a", "1"}, {BatchKind::kPut, "modify", "2"}})) == 0);
  CHECK(fixture.store.size() == 3);
}

namespace {

struct FirstVerdict {
  const char* name;
  HookResult result;
  // Of a PUT of "k" = "v" with it, if what follows passes or fails open: the code, and what the
  // store has then.
  uint16_t code = 0;
  std::string stored;
  bool goes_on = true;
};

std::vector<FirstVerdict> FirstVerdicts() {
  return {
      {"pass", HookResult::Pass(), 0, "k=v;"},
      {"modify", HookResult::Modify("k", "w"), 0, "k=w;"},
      {"drop", HookResult::Drop(), 0, "", false},
      {"reject", HookResult::Reject(40000, "no"), 40000, "", false},
      {"route", HookResult::Route("r"), 0, "r=v;"},
      {"emit", HookResult::Emit({{.key = "e", .value = "1"}}), 0, "e=1;k=v;"},
      {"route and emit", HookResult::Route("r").With({{.key = "e", .value = "1"}}), 0, "e=1;r=v;"},
  };
}

struct HookFault {
  const char* name;
  std::function<HookResult()> fault;
  uint16_t code = 0;  // where it fails closed
};

std::vector<HookFault> HookFaults() {
  return {
      {"throws an exception", []() -> HookResult { throw std::runtime_error("out of luck"); }, kFailed},
      {"throws a number", []() -> HookResult { throw 1; }, kFailed},
      {"modifies to nonsense", [] { return HookResult::Modify("nonsense"); }, kMalformed},
      {"emits a get", [] { return HookResult::Emit({{.kind = OperationKind::kGet, .key = "g"}}); }, kFailed},
      {"routes, and emits a scan",
       [] { return HookResult::Route("far").With({{.kind = OperationKind::kScan, .key = "g"}}); }, kFailed},
  };
}

std::string Stored(MemoryStore& store) {
  std::string text;
  const std::unique_ptr<Iterator> it = store.NewIterator();
  for (it->SeekToFirst(); it->Valid(); it->Next()) text += fmt::format("{}={};", it->key(), it->value());
  return text;
}

}  // namespace

TEST_CASE("a hook that fails rejects the request or passes it, as its policy says, after every verdict before it") {
  const HookFailurePolicy policy = GENERATE(HookFailurePolicy::kReject, HookFailurePolicy::kPass);
  const bool of_message = GENERATE(false, true);
  const bool in_batch = GENERATE(false, true);
  for (const FirstVerdict& first : FirstVerdicts()) {
    for (const HookFault& fault : HookFaults()) {
      INFO(first.name << ", then a hook " << fault.name << "; passes: " << (policy == HookFailurePolicy::kPass)
                      << ", on messages: " << of_message << ", in a batch: " << in_batch);
      ServerHooks hooks;
      if (of_message) {
        hooks.before.push_back({kPutMessage, [&](const ServerRequest&) { return first.result; }});
        hooks.before.push_back({kPutMessage, [&](const ServerRequest&) { return fault.fault(); }, policy});
      } else {
        hooks.before_operations.emplace_back([&](const ServerOperation&) { return first.result; });
        hooks.before_operations.emplace_back([&](const ServerOperation&) { return fault.fault(); }, policy);
      }
      ServerFixture fixture({}, std::move(hooks));
      WireClient client(fixture.address());
      const std::string frame = in_batch ? BatchFrame({{BatchKind::kPut, "k", "v"}}) : PutFrame("k", "v");
      const bool fails = first.goes_on && policy == HookFailurePolicy::kReject;
      CHECK(CodeOf(&client, frame) == (fails ? fault.code : first.code));
      CHECK(Stored(fixture.store) == (fails ? "" : first.stored));
      // What is malformed counts as such, if it is refused.
      const bool counts = first.goes_on && !(fails && fault.code == kMalformed);
      CHECK(fixture.server->Stats().hook_failures == (counts ? 1 : 0));
    }
  }
}

TEST_CASE("verdicts that make no sense of what they are on are failures of their hook") {
  const HookFailurePolicy policy = GENERATE(HookFailurePolicy::kReject, HookFailurePolicy::kPass);
  const auto route = [] { return HookResult::Route("r"); };
  const auto emit = [] { return HookResult::Emit({{.key = "e", .value = "1"}}); };
  std::string host_frame;
  proto::AppendFrame(&host_frame, kRoute, "payload");
  const struct {
    const char* what;
    uint32_t message_id;  // 0: operations
    std::function<HookResult()> verdict;
    std::string frame;
  } rows[] = {
      {"a get emits", 0, emit, GetFrame("a")},
      {"a get's message emits", kGetMessage, emit, GetFrame("a")},
      {"a scan emits", 0, emit, ScanFrame({.begin = "a", .limit = "z"})},
      {"a scan is routed", 0, route, ScanFrame({.begin = "a", .limit = "z"})},
      {"a range delete is routed", 0, route, BatchFrame({{BatchKind::kRangeDelete, "x", "y"}})},
      {"a batch is routed", kBatchMessage, route, BatchFrame({{BatchKind::kPut, "b", "1"}})},
      {"a batch emits", kBatchMessage, emit, BatchFrame({{BatchKind::kPut, "b", "1"}})},
      {"the message of a scan emits", kScanMessage, emit, ScanFrame({.begin = "a", .limit = "z"})},
      {"a route of the host's is routed", kRoute, route, host_frame},
      {"a route of the host's emits", kRoute, emit, host_frame},
      {"a route's hook throws", kRoute, []() -> HookResult { throw 1; }, host_frame},
  };
  for (const auto& row : rows) {
    INFO(row.what << ", passes: " << (policy == HookFailurePolicy::kPass));
    ServerHooks hooks;
    hooks.routes.push_back({kRoute, [](const ServerRequest&, Responder responder) { responder.Ok(); }, {}});
    if (row.message_id == 0) {
      hooks.before_operations.emplace_back([&](const ServerOperation&) { return row.verdict(); }, policy);
    } else {
      hooks.before.push_back({row.message_id, [&](const ServerRequest&) { return row.verdict(); }, policy});
    }
    ServerFixture fixture({}, std::move(hooks));
    REQUIRE_OK(fixture.store.Put("a", "v"));
    WireClient client(fixture.address());
    CHECK(CodeOf(&client, row.frame) == (policy == HookFailurePolicy::kReject ? kFailed : 0));
    CHECK(fixture.server->Stats().hook_failures == 1);
    CHECK_CODE(fixture.store.Get("e").status(), kNotFound);
    CHECK_CODE(fixture.store.Get("r").status(), kNotFound);
  }
}

}  // namespace bandb::test
