// Code of the host sees calls of gRPC as it sees every other client's.
#include <algorithm>
#include <string>

#include "base/mutex.h"
#include "grpc/kv_client.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("hooks change, drop and reject puts of gRPC, and the store sees what they made of them") {
  ServerHooks hooks;
  hooks.before_operations.push_back([](const ServerOperation& operation) {
    if (operation.kind != OperationKind::kPut) return HookResult::Pass();
    if (operation.key == "drop") return HookResult::Drop();
    if (operation.key == "reject") return HookResult::Reject(40000, "not \xff this");
    if (operation.key == "grow") return HookResult::Modify("grow", std::string(32u << 20, 'x'));
    return HookResult::Modify(operation.key, std::string(operation.value) + "+hook");
  });
  GrpcFixture fixture({}, std::move(hooks));
  KvClient client(fixture.address());
  CHECK(client.Put("k", "v").success);
  CHECK(client.Get("k").value == "v+hook");
  CHECK(client.Put("drop", "v").success);
  CHECK_FALSE(client.Get("drop").success);
  const GrpcReply rejected = client.Put("reject", "v");
  CHECK(rejected.status == ::grpc::StatusCode::OK);
  CHECK_FALSE(rejected.success);
  CHECK(rejected.code == "40000");
  CHECK(rejected.message == "not %FF this");
  // What a hook makes is checked like what a client sends.
  CHECK_FALSE(client.Put("grow", "v").success);
  CHECK(fixture.store.size() == 1);
  const ServerStats stats = fixture.server->Stats();
  CHECK(stats.hook_drops == 1);
  CHECK(stats.hook_rejections == 1);
  // They are measured as what they are, whatever became of them.
  CHECK(GrpcFixture::Eventually([&fixture] {
    uint64_t puts = 0, others = 0;
    for (const OperationLatency& one : fixture.server->Latencies().operations) {
      (one.protocol == "grpc" && one.operation == "put" ? puts : others) += one.histogram.count();
    }
    return puts == 4 && others == 2;
  }));
}

TEST_CASE("a hook of one message sees its calls, one that throws fails its call alone") {
  ServerHooks hooks;
  hooks.before.push_back({kDeleteMessage, [](const ServerRequest& request) -> HookResult {
                            std::string_view key;
                            if (DecodeKeyPayload(request.payload, &key) && key == "k") throw 1;
                            return HookResult::Pass();
                          }});
  GrpcFixture fixture({}, std::move(hooks));
  KvClient client(fixture.address());
  CHECK(client.Put("k", "v").success);
  CHECK_FALSE(client.Delete("k").success);
  CHECK(client.Delete("other").success);
  CHECK(client.Get("k").value == "v");
  CHECK(fixture.server->Stats().hook_failures == 1);
}

TEST_CASE("a call of gRPC goes where a hook routes it, and is done with what the hook emits or not at all") {
  ServerHooks hooks;
  hooks.before_operations.emplace_back([](const ServerOperation& operation) {
    const std::string key(operation.key);
    if (key == "old") return HookResult::Route("new");
    if (key == "many") return HookResult::Emit(std::vector<EmittedOperation>(1'000'000));
    if (operation.kind != OperationKind::kPut) return HookResult::Pass();
    return HookResult::Emit({{.key = "index/" + key, .value = "1"}});
  });
  GrpcFixture fixture({}, std::move(hooks));
  KvClient client(fixture.address());
  CHECK(client.Put("old", "v").success);
  CHECK(fixture.store.Get("new").value() == "v");
  CHECK(client.Get("old").value == "v");
  CHECK(client.Delete("old").success);
  CHECK(fixture.store.size() == 0);
  const uint64_t batches = fixture.store.batches();
  CHECK(client.Put("a", "v").success);
  CHECK(fixture.store.Get("index/a").value() == "1");
  CHECK(fixture.store.batches() == batches + 1);
  const GrpcReply many = client.Put("many", "v");
  CHECK_FALSE(many.success);
  CHECK(many.message == "with what hooks add, more operations than a batch may have");
  CHECK(fixture.store.size() == 2);
}

TEST_CASE("hooks after a call are told how it ended, of which client and connection it was") {
  struct Seen {
    uint64_t connection;
    std::string peer;
    OperationKind kind;
    bool ok;
    uint16_t code;
  };
  base::Mutex mutex;
  std::vector<Seen> seen;
  ServerHooks hooks;
  hooks.after_operations.push_back([&](const ServerOperation& operation, const ServerOutcome& outcome) {
    base::MutexLock lock(&mutex);
    seen.push_back({operation.connection, std::string(operation.peer), operation.kind, outcome.ok, outcome.code});
  });
  GrpcFixture fixture({}, std::move(hooks));
  KvClient first(fixture.address());
  CHECK(first.Put("k", "v").success);
  CHECK_FALSE(first.Get("nowhere").success);
  KvClient second(fixture.address());
  CHECK(second.Delete("k").success);
  base::MutexLock lock(&mutex);
  REQUIRE(seen.size() == 3);
  CHECK((seen[0].kind == OperationKind::kPut && seen[0].ok));
  CHECK((seen[1].kind == OperationKind::kGet && !seen[1].ok && seen[1].code == 5));
  CHECK((seen[2].kind == OperationKind::kDelete && seen[2].ok));
  CHECK(seen[0].connection == seen[1].connection);
  CHECK(seen[0].connection != seen[2].connection);
  CHECK(seen[0].peer.starts_with("127.0.0.1:"));
  CHECK(seen[0].peer == seen[1].peer);
  CHECK(seen[0].peer != seen[2].peer);
}

}  // namespace bandb::test
