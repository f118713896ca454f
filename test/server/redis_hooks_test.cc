// Hooks on operations, asked for by clients of Redis.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "server/hook_notes.h"
#include "server/redis_wire.h"

namespace bandb::test {
namespace {

// As "put k".
std::string KindAndKey(const ServerOperation& operation) {
  return fmt::format("{} {}", NameOf(operation.kind), operation.key);
}

// Every key lies elsewhere than clients say.
HookResult Move(const ServerOperation& operation) {
  const std::string key = "t:" + std::string(operation.key);
  if (operation.kind == OperationKind::kPut) return HookResult::Modify(key, operation.value);
  if (operation.kind == OperationKind::kGet || operation.kind == OperationKind::kDelete)
    return HookResult::ModifyKey(key);
  return HookResult::Pass();
}

// Keys that begin with "old/" lie under "new/"; a put or delete of "item/X" adds one of "index/X".
HookResult RouteAndIndex(const ServerOperation& operation) {
  const std::string key(operation.key);
  const bool is_write = operation.kind == OperationKind::kPut || operation.kind == OperationKind::kDelete;
  if (key.starts_with("old/") && (is_write || operation.kind == OperationKind::kGet)) {
    return HookResult::Route("new/" + key.substr(4));
  }
  if (!key.starts_with("item/") || !is_write) return HookResult::Pass();
  EmittedOperation emitted{.kind = operation.kind, .key = "index/" + key.substr(5)};
  if (operation.kind == OperationKind::kPut) emitted.value = "of " + std::string(operation.value);
  return HookResult::Emit({emitted});
}

// Keys that begin with "one:" and "two:" are the same without; deletes of "sample:X" go to
// "event:X"; a put of "user:X" deletes "cache:X".
HookResult MakeOne(const ServerOperation& operation) {
  const std::string key(operation.key);
  if (operation.kind == OperationKind::kDeleteRange) return HookResult::Pass();
  if (key.starts_with("one:") || key.starts_with("two:")) return HookResult::Route(key.substr(4));
  if (operation.kind == OperationKind::kDelete && key.starts_with("sample:")) {
    return HookResult::Route("event:" + key.substr(7));
  }
  if (operation.kind != OperationKind::kPut || !key.starts_with("user:")) return HookResult::Pass();
  return HookResult::Emit({{.kind = OperationKind::kDelete, .key = "cache:" + key.substr(5)}});
}

}  // namespace

TEST_CASE("a command that tells something of a key, or copies what it holds, is a get of it to hooks") {
  HookNotes notes;
  ServerHooks hooks;
  hooks.before_operations.push_back([&notes](const ServerOperation& operation) {
    notes.Add(KindAndKey(operation));
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
    CHECK(notes.TakeText() == row.told);
  }
  CheckReply(&client, "MULTI", "+OK\r\n");
  CheckReply(&client, "RENAME a b", "+QUEUED\r\n");
  CheckReply(&client, "SET c 1 GET", "+QUEUED\r\n");
  CheckReply(&client, "EXEC", "*2\r\n-ERR no such key\r\n$-1\r\n");
  CHECK(notes.TakeText() == "get a;get c;put c;");
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
  HookNotes after;
  ServerHooks hooks;
  hooks.after_operations.push_back(
      [&after](const ServerOperation& operation, const ServerOutcome&) { after.Add(KindAndKey(operation)); });
  ServerFixture fixture(WithRedis(), std::move(hooks));
  WireClient client(fixture.server->RedisAddress());
  fixture.store.SetHolding(true);
  REQUIRE(client.Send("SETNX a mine\r\n"));
  REQUIRE(fixture.Eventually([&] { return fixture.store.held() == 1; }));
  REQUIRE_OK(fixture.store.Put("a", "theirs"));
  fixture.store.SetHolding(false);
  CHECK(client.ReceiveText(4) == ":0\r\n");
  CHECK(after.TakeText() == "get a;");
  CheckReply(&client, "SETNX b mine", ":1\r\n");
  CHECK(after.TakeText() == "get b;put b;");
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

TEST_CASE("commands go where a hook routes their keys, and do with their own what it emits") {
  ServerFixture fixture(WithRedis(), [] {
    ServerHooks hooks;
    hooks.before_operations.emplace_back(RouteAndIndex);
    return hooks;
  }());
  WireClient client(fixture.server->RedisAddress());
  const struct {
    const char* command;
    const char* reply;
    uint64_t batches;  // that the store has had
  } rows[] = {
      {"SET old/a 1", "+OK\r\n", 1},
      {"GET old/a", "$1\r\n1\r\n", 1},
      {"GET new/a", "$1\r\n1\r\n", 1},
      {"INCR old/a", ":2\r\n", 2},
      {"SETNX old/a 3", ":0\r\n", 2},
      {"DEL old/a", ":1\r\n", 3},
      {"EXISTS new/a", ":0\r\n", 3},
      {"SET item/a 1", "+OK\r\n", 4},
      {"GET index/a", "$4\r\nof 1\r\n", 4},
      {"MSET item/b 2 c 3 old/d 4", "+OK\r\n", 5},
      {"MGET index/b c new/d", "*3\r\n$4\r\nof 2\r\n$1\r\n3\r\n$1\r\n4\r\n", 5},
      {"RENAME item/a item/e", "+OK\r\n", 6},
      {"MGET item/a index/a index/e", "*3\r\n$-1\r\n$-1\r\n$4\r\nof 1\r\n", 6},
      {"MULTI", "+OK\r\n", 6},
      {"SET item/f 5", "+QUEUED\r\n", 6},
      {"DEL item/e", "+QUEUED\r\n", 6},
      {"INCRBY item/f 2", "+QUEUED\r\n", 6},
      {"EXEC", "*3\r\n+OK\r\n:1\r\n:7\r\n", 7},
      {"MGET item/f index/f index/e", "*3\r\n$1\r\n7\r\n$4\r\nof 7\r\n$-1\r\n", 7},
  };
  for (const auto& row : rows) {
    CheckReply(&client, row.command, row.reply);
    CHECK(fixture.store.batches() == row.batches);
  }
  CHECK(fixture.store.synced_batches() == fixture.store.batches());
  CHECK(fixture.server->Stats().hook_emissions == 6);
}

TEST_CASE("what a transaction wrote last comes last, whatever its keys are called, also where hooks make one of two") {
  ServerHooks hooks;
  hooks.before_operations.emplace_back(MakeOne);
  ServerFixture fixture(WithRedis(), std::move(hooks));
  WireClient client(fixture.server->RedisAddress());
  const struct {
    const char* command;
    const char* reply;
  } rows[] = {
      // The delete goes to the key that is put.
      {"SET sample:1 s", "+OK\r\n"},
      {"RENAME sample:1 event:1", "+OK\r\n"},
      {"MGET event:1", "*1\r\n$1\r\ns\r\n"},
      {"MSET two:k 1 one:k 2", "+OK\r\n"},
      {"MGET k", "*1\r\n$1\r\n2\r\n"},
      {"MSET one:k 1 two:k 2", "+OK\r\n"},
      {"MGET k", "*1\r\n$1\r\n2\r\n"},
      // A key that is written once more comes as late as that.
      {"MSET one:k 1 two:k 2 one:k 3", "+OK\r\n"},
      {"MGET k", "*1\r\n$1\r\n3\r\n"},
      // What is emitted comes right after its operation.
      {"MULTI", "+OK\r\n"},
      {"SET user:1 x", "+QUEUED\r\n"},
      {"SET cache:1 y", "+QUEUED\r\n"},
      {"EXEC", "*2\r\n+OK\r\n+OK\r\n"},
      {"MGET cache:1", "*1\r\n$1\r\ny\r\n"},
      {"SET user:1 z", "+OK\r\n"},
      {"MGET cache:1", "*1\r\n$-1\r\n"},
  };
  for (const auto& row : rows) CheckReply(&client, row.command, row.reply);
}

TEST_CASE("a transaction that reads a key after it wrote it by another name is refused, and does nothing") {
  ServerHooks hooks;
  hooks.before_operations.emplace_back(MakeOne);
  ServerFixture fixture(WithRedis(), std::move(hooks));
  WireClient client(fixture.server->RedisAddress());
  const auto ask = [&client](const std::vector<std::string>& commands, const std::string& reply) {
    CheckReply(&client, "MULTI", "+OK\r\n");
    for (const std::string& command : commands) CheckReply(&client, command, "+QUEUED\r\n");
    CheckReply(&client, "EXEC", reply);
  };
  const std::string refused =
      "-ERR hooks make one of two keys of this transaction, which reads one after it has written the other\r\n";
  REQUIRE_OK(fixture.store.Put("k", "5"));
  ask({"INCR one:k", "INCR two:k"}, refused);
  ask({"SET one:k 1", "GET two:k"}, refused);
  ask({"SET one:k 1", "GET k"}, refused);
  ask({"SET k 1", "GET one:k"}, refused);
  ask({"INCR one:k", "SET a 1", "DEL two:k"}, refused);
  ask({"FLUSHALL", "SET one:k 1", "GET two:k"}, refused);
  // By a name by which it wrote it, too, if it wrote it by the other since.
  ask({"SET one:k 1", "SET two:k 5", "INCR one:k"}, refused);
  ask({"SET one:k 1", "SET two:k 5", "GET one:k"}, refused);
  ask({"SET one:k 1", "SET k 5", "GET one:k", "SET one:k 2"}, refused);
  ask({"SET k 1", "SET one:k 5", "APPEND k 1"}, refused);
  ask({"SET one:k 1", "DEL one:k", "SET two:k 5", "SET one:k 1 NX"}, refused);
  ask({"RENAME one:k two:k", "GET one:k"}, refused);
  for (const char* reads : {"GETSET one:k 2", "SETNX one:k 2", "MSETNX one:k 2 b 1", "APPEND one:k 2", "EXPIRE one:k 9",
                            "PERSIST one:k", "GETDEL one:k", "STRLEN one:k", "COPY one:k a", "COPY a one:k",
                            "RENAME one:k a", "DEL one:k", "MGET a one:k", "SET one:k 2 KEEPTTL"}) {
    ask({"SET a 1", "MSET one:k 1 two:k 5", reads}, refused);
    ask({"SET a 1", "SET one:k 1", "COPY a two:k REPLACE", reads}, refused);
  }
  CheckReply(&client, "DEL one:k two:k", refused);
  CHECK(fixture.store.Get("k").value() == "5");
  CHECK(fixture.store.size() == 1);
  // By the same name it sees what it wrote; and what it reads first is as it was.
  ask({"INCR one:k", "INCR one:k"}, "*2\r\n:6\r\n:7\r\n");
  ask({"GET two:k", "GET one:k", "SET one:k 8"}, "*3\r\n$1\r\n7\r\n$1\r\n7\r\n+OK\r\n");
  ask({"INCR one:k", "SET two:k 1"}, "*2\r\n:9\r\n+OK\r\n");
  ask({"INCR one:k", "INCR one:k", "SET two:k 1"}, "*3\r\n:2\r\n:3\r\n+OK\r\n");
  ask({"SET one:k 1", "SET two:k 5", "INCR two:k"}, "*3\r\n+OK\r\n+OK\r\n:6\r\n");
  ask({"INCR one:k", "SET two:a 1", "INCR one:k", "SET two:k 1"}, "*4\r\n:7\r\n+OK\r\n:8\r\n+OK\r\n");
  ask({"SET one:k 2", "GET two:other"}, "*2\r\n+OK\r\n$-1\r\n");
  ask({"SET one:k 3", "FLUSHALL", "GET two:k"}, "*3\r\n+OK\r\n+OK\r\n$-1\r\n");
}

TEST_CASE("what hooks add to a transaction is not lost to a value that a later part of it makes of what was there") {
  ServerHooks hooks;
  hooks.before_operations.emplace_back(MakeOne);
  ServerFixture fixture(WithRedis(), std::move(hooks));
  WireClient client(fixture.server->RedisAddress());
  // A put of user:1 deletes cache:1.
  const auto ask = [&](const std::vector<std::string>& commands, const std::string& reply, const char* left) {
    REQUIRE_OK(fixture.store.Put("cache:1", "5"));
    CheckReply(&client, "MULTI", "+OK\r\n");
    for (const std::string& command : commands) CheckReply(&client, command, "+QUEUED\r\n");
    CheckReply(&client, "EXEC", reply);
    CHECK(fixture.store.Get("cache:1").value_or("none") == left);
  };
  const std::string refused =
      "-ERR hooks add a write of a key to this transaction, which reads and changes that key after it\r\n";
  for (const char* changes : {"INCR cache:1", "APPEND cache:1 x", "GETSET cache:1 6", "EXPIRE cache:1 100",
                              "SETRANGE cache:1 0 6", "SET cache:1 6 XX", "SET cache:1 6 KEEPTTL"}) {
    ask({"SET user:1 x", changes}, refused, "5");
    ask({"SET cache:1 4", "SET user:1 x", changes}, refused, "5");
  }
  // What comes later hides it, and what came before is hidden by it.
  ask({"SET user:1 x", "SET cache:1 6"}, "*2\r\n+OK\r\n+OK\r\n", "6");
  ask({"SET user:1 x", "SET cache:1 6", "INCR cache:1"}, "*3\r\n+OK\r\n+OK\r\n:7\r\n", "7");
  ask({"INCR cache:1", "SET user:1 x"}, "*2\r\n:6\r\n+OK\r\n", "none");
  // No command of the same transaction reads it.
  ask({"SET user:1 x", "GET cache:1"}, "*2\r\n+OK\r\n$1\r\n5\r\n", "none");
  ask({"SET user:1 x", "DEL cache:1"}, "*2\r\n+OK\r\n:1\r\n", "none");
}

TEST_CASE("a transaction of which a hook rejects, drops or breaks one part does nothing, and emits nothing") {
  ServerHooks hooks;
  hooks.before_operations.emplace_back([](const ServerOperation& operation) {
    const std::string key(operation.key);
    if (key == "throw") throw 1;
    if (key == "reject") return HookResult::Reject(40000, "no");
    if (key == "drop") return HookResult::Drop();
    if (operation.kind != OperationKind::kPut) return HookResult::Pass();
    return HookResult::Modify(key, "changed").With({{.key = "e/" + key}});
  });
  ServerFixture fixture(WithRedis(), std::move(hooks));
  WireClient client(fixture.server->RedisAddress());
  const struct {
    const char* key;
    const char* reply;
  } rows[] = {{"throw", "-ERR a hook failed\r\n"}, {"reject", "-ERR no\r\n"}, {"drop", "+OK\r\n"}};
  for (const auto& row : rows) {
    CheckReply(&client, fmt::format("MSET a 1 {} 2 z 3", row.key), row.reply);
    CheckReply(&client, "MULTI", "+OK\r\n");
    CheckReply(&client, "SET a 1", "+QUEUED\r\n");
    CheckReply(&client, fmt::format("SET {} 2", row.key), "+QUEUED\r\n");
    CheckReply(&client, "SET z 3", "+QUEUED\r\n");
    CheckReply(&client, "EXEC", row.reply);
    CHECK(fixture.store.size() == 0);
    // The connection is as it was before.
    CheckReply(&client, "SET a 1", "+OK\r\n");
    CheckReply(&client, "MGET a e/a", "*2\r\n$7\r\nchanged\r\n$0\r\n\r\n");
    CheckReply(&client, "FLUSHALL", "+OK\r\n");
  }
}

TEST_CASE("what hooks add to a command is held to the limits of the command") {
  ServerHooks hooks;
  hooks.before_operations.emplace_back([](const ServerOperation& operation) {
    if (operation.kind != OperationKind::kPut) return HookResult::Pass();
    if (operation.value == "many") return HookResult::Emit(std::vector<EmittedOperation>(1'000'000));
    if (operation.value == "nine") return HookResult::Emit(std::vector<EmittedOperation>(9, {.key = "e"}));
    if (operation.value == "long") return HookResult::Emit({{.key = std::string(70'000, 'k')}});
    if (operation.value == "large") return HookResult::Emit({{.key = "e", .value = std::string(100'000, 'v')}});
    if (operation.value == "far") return HookResult::Route(std::string(70'000, 'k'));
    return HookResult::Pass();
  });
  ServerOptions options = WithRedis();
  options.batch_operations_max = 12;
  options.frame_bytes_max = 100'000;
  ServerFixture fixture(options, std::move(hooks));
  WireClient client(fixture.server->RedisAddress());
  const std::string many = "-ERR with what hooks add, more operations than a batch may have\r\n";
  const std::string far = "-ERR a key of 70000 bytes, more than the limit of 65536\r\n";
  CheckReply(&client, "SET a many", many);
  CheckReply(&client, "MSET a 1 b many", many);
  CheckReply(&client, "MSET a nine b nine", many);
  CheckReply(&client, "SET a long", far);
  CheckReply(&client, "MSET a 1 b long", far);
  CheckReply(&client, "SET a far", far);
  CheckReply(&client, "MSET a 1 b far", far);
  const std::string large = "-ERR the frame exceeds the limit\r\n";
  CheckReply(&client, "SET a large", large);
  CheckReply(&client, "MSET a 1 b large", large);
  CHECK(fixture.store.size() == 0);
  CheckReply(&client, "MSET a 1 b nine", "+OK\r\n");
  CHECK(fixture.store.size() == 3);
  client.Close();
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes == 0; }));
}

}  // namespace bandb::test
