// Hooks on operations, asked for by clients of Redis.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/mutex.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

// What hooks were told, from the loop.
class Notes {
 public:
  void Add(const ServerOperation& operation) ABSL_LOCKS_EXCLUDED(mutex_) {
    static constexpr const char* kNames[] = {"get", "put", "delete", "delete range", "scan"};
    base::MutexLock lock(&mutex_);
    text_ += fmt::format("{} {};", kNames[static_cast<int>(operation.kind)], operation.key);
  }
  std::string Take() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    return std::exchange(text_, {});
  }

 private:
  base::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
};

ServerOptions WithRedis() {
  ServerOptions options;
  options.redis_listen = "127.0.0.1:0";
  return options;
}

void CheckReply(WireClient* client, const std::string& request, const std::string& reply) {
  INFO(request);
  REQUIRE(client->Send(request + "\r\n"));
  CHECK(client->ReceiveText(reply.size()) == reply);
}

// Every key lies elsewhere than clients say.
HookResult Move(const ServerOperation& operation) {
  const std::string key = "t:" + std::string(operation.key);
  if (operation.kind == OperationKind::kPut) return HookResult::Modify(key, operation.value);
  if (operation.kind == OperationKind::kGet || operation.kind == OperationKind::kDelete)
    return HookResult::ModifyKey(key);
  return HookResult::Pass();
}

}  // namespace

TEST_CASE("a command that tells something of a key, or copies what it holds, is a get of it to hooks") {
  Notes notes;
  ServerHooks hooks;
  hooks.before_operations.push_back([&notes](const ServerOperation& operation) {
    notes.Add(operation);
    return HookResult::Pass();
  });
  ServerFixture fixture(WithRedis(), std::move(hooks));
  WireClient client(fixture.server->RedisAddress());
  const struct {
    const char* command;
    const char* reply;
    const char* told;
  } rows[] = {
      {"SET a 5", "+OK\r\n", "put a;"},
      {"SET a 6 GET", "$1\r\n5\r\n", "get a;put a;"},
      {"SET a 6 XX", "+OK\r\n", "get a;put a;"},
      {"SET a 6 NX", "$-1\r\n", "get a;"},
      {"SET a 6 KEEPTTL", "+OK\r\n", "get a;put a;"},
      {"SET a 6 EX 100", "+OK\r\n", "put a;"},
      {"SET a 6 EXAT 99999999999", "+OK\r\n", "put a;"},
      {"MSET a 6", "+OK\r\n", "put a;"},
      {"GETSET a 7", "$1\r\n6\r\n", "get a;put a;"},
      {"INCR a", ":8\r\n", "get a;put a;"},
      {"DECRBY a 1", ":7\r\n", "get a;put a;"},
      {"INCRBYFLOAT a 1", "$1\r\n8\r\n", "get a;put a;"},
      {"APPEND a x", ":2\r\n", "get a;put a;"},
      {"SETRANGE a 1 y", ":2\r\n", "get a;put a;"},
      {"SETNX a z", ":0\r\n", "get a;"},
      {"MSETNX a z b z", ":0\r\n", "get a;get b;"},
      {"EXPIRE a 100", ":1\r\n", "get a;put a;"},
      {"PERSIST a", ":0\r\n", "get a;"},
      {"COPY a b", ":1\r\n", "get a;get b;put b;"},
      {"COPY a b REPLACE", ":1\r\n", "get a;put b;"},
      {"RENAMENX a b", ":0\r\n", "get a;get b;"},
      {"RENAME a b", "+OK\r\n", "get a;delete a;put b;"},
      {"GETDEL b", "$2\r\n8y\r\n", "get b;delete b;"},
      {"UNLINK b", ":0\r\n", "get b;"},
  };
  for (const auto& row : rows) {
    CheckReply(&client, row.command, row.reply);
    CHECK(notes.Take() == row.told);
  }
  CheckReply(&client, "MULTI", "+OK\r\n");
  CheckReply(&client, "RENAME a b", "+QUEUED\r\n");
  CheckReply(&client, "SET c 1 GET", "+QUEUED\r\n");
  CheckReply(&client, "EXEC", "*2\r\n-ERR no such key\r\n$-1\r\n");
  CHECK(notes.Take() == "get a;get c;put c;");
}

TEST_CASE("no command shows or copies what a hook on gets keeps to itself") {
  ServerHooks hooks;
  hooks.before_operations.push_back([](const ServerOperation& operation) {
    const bool secret = operation.kind == OperationKind::kGet && operation.key == "secret";
    return secret ? HookResult::Reject(40000, "secret") : HookResult::Pass();
  });
  ServerFixture fixture(WithRedis(), std::move(hooks));
  REQUIRE_OK(fixture.store.Put("secret", "42"));
  WireClient client(fixture.server->RedisAddress());
  for (const char* command :
       {"GET secret", "SET secret 1 GET", "COPY secret mine", "RENAME secret mine", "RENAMENX secret mine",
        "GETSET secret 1", "GETDEL secret", "GETEX secret", "INCRBY secret 0", "APPEND secret x", "SETNX secret 1",
        "STRLEN secret", "DEL secret", "EXPIRE secret 1"}) {
    CheckReply(&client, command, "-ERR secret\r\n");
    CheckReply(&client, "MULTI", "+OK\r\n");
    CheckReply(&client, command, "+QUEUED\r\n");
    CheckReply(&client, "EXEC", "-ERR secret\r\n");
  }
  CHECK(fixture.store.Get("secret").value() == "42");
  CHECK(fixture.store.size() == 1);
}

TEST_CASE("where hooks move keys every command finds them where it put them") {
  ServerHooks hooks;
  hooks.before_operations.push_back(Move);
  ServerFixture fixture(WithRedis(), std::move(hooks));
  REQUIRE_OK(fixture.store.Put("a", "of another"));
  WireClient client(fixture.server->RedisAddress());
  const struct {
    const char* command;
    const char* reply;
  } rows[] = {
      {"SET a 1", "+OK\r\n"},
      {"GET a", "$1\r\n1\r\n"},
      {"INCR a", ":2\r\n"},
      {"GETSET a 3", "$1\r\n2\r\n"},
      {"COPY a b", ":1\r\n"},
      {"RENAME b c", "+OK\r\n"},
      {"GET c", "$1\r\n3\r\n"},
      {"EXISTS a b c", ":2\r\n"},
      {"MGET a c a", "*3\r\n$1\r\n3\r\n$1\r\n3\r\n$1\r\n3\r\n"},
      {"GETDEL c", "$1\r\n3\r\n"},
      {"WATCH a", "+OK\r\n"},
      {"MULTI", "+OK\r\n"},
      {"SET a 4", "+QUEUED\r\n"},
      {"GET a", "+QUEUED\r\n"},
      {"EXEC", "*2\r\n+OK\r\n$1\r\n4\r\n"},
      {"WATCH a", "+OK\r\n"},
      {"INCR a", ":5\r\n"},
      {"MULTI", "+OK\r\n"},
      {"GET a", "+QUEUED\r\n"},
      {"EXEC", "*-1\r\n"},
  };
  for (const auto& row : rows) CheckReply(&client, row.command, row.reply);
  CHECK(fixture.store.Get("t:a").value() == "5");
  CHECK(fixture.store.Get("a").value() == "of another");
  CHECK(fixture.store.size() == 2);
}

TEST_CASE("post-hooks hear of a put only if it was done, also where another client was quicker") {
  Notes after;
  ServerHooks hooks;
  hooks.after_operations.push_back(
      [&after](const ServerOperation& operation, const ServerOutcome&) { after.Add(operation); });
  ServerFixture fixture(WithRedis(), std::move(hooks));
  WireClient client(fixture.server->RedisAddress());
  fixture.store.SetHolding(true);
  REQUIRE(client.Send("SETNX a mine\r\n"));
  REQUIRE(fixture.Eventually([&] { return fixture.store.held() == 1; }));
  REQUIRE_OK(fixture.store.Put("a", "theirs"));
  fixture.store.SetHolding(false);
  CHECK(client.ReceiveText(4) == ":0\r\n");
  CHECK(after.Take() == "get a;");
  CheckReply(&client, "SETNX b mine", ":1\r\n");
  CHECK(after.Take() == "get b;put b;");
}

TEST_CASE("with hooks a transaction is held to the limit on requests by its own bytes alone") {
  ServerHooks hooks;
  hooks.before_operations.push_back([](const ServerOperation& operation) {
    return operation.key == "grows" ? HookResult::ModifyKey(std::string(3000, 'k')) : HookResult::Pass();
  });
  ServerOptions options = WithRedis();
  options.frame_bytes_max = 16 << 10;
  ServerFixture fixture(options, std::move(hooks));
  WireClient client(fixture.server->RedisAddress());
  constexpr int kGets = 200;
  const auto ask = [&client](const std::string& key, const std::string& reply) {
    CheckReply(&client, "MULTI", "+OK\r\n");
    for (int i = 0; i < kGets; i++) {
      REQUIRE(client.Send(fmt::format("GET {}\r\n", i < 6 ? key : fmt::format("k{:03}", i))));
      REQUIRE(client.ReceiveText(9) == "+QUEUED\r\n");
    }
    CheckReply(&client, "EXEC", reply);
  };
  std::string nothing = fmt::format("*{}\r\n", kGets);
  for (int i = 0; i < kGets; i++) nothing += "$-1\r\n";
  ask("other", nothing);
  ask("grows", "-ERR the frame exceeds the limit\r\n");
  CheckReply(&client, "EXISTS grows", ":0\r\n");
}

TEST_CASE("a hook may make less of what a command writes") {
  ServerHooks hooks;
  hooks.before_operations.push_back([](const ServerOperation& operation) {
    return operation.kind == OperationKind::kPut ? HookResult::Modify(operation.key, "x") : HookResult::Pass();
  });
  ServerFixture fixture(WithRedis(), std::move(hooks));
  WireClient client(fixture.server->RedisAddress());
  CheckReply(&client, "APPEND a 12345", ":5\r\n");
  CheckReply(&client, "GET a", "$1\r\nx\r\n");
}

}  // namespace bandb::test
