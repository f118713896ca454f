// What hooks make of requests is held to the rights of the client, key by key.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/users_fixture.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

using proto::BatchCheck;
using proto::BatchKind;

// "A>B" goes to B; a put of "A+B" puts B as well, one of "A-B" deletes it, one of "A*B" all from B
// on.
HookResult Obey(const ServerOperation& operation) {
  const std::string key(operation.key);
  const size_t at = key.find_first_of(">+-*");
  if (at == std::string::npos) return HookResult::Pass();
  const std::string other = key.substr(at + 1);
  if (key[at] == '>') return HookResult::Route(other);
  if (operation.kind != OperationKind::kPut) return HookResult::Pass();
  if (key[at] == '+') return HookResult::Emit({{.key = other, .value = "emitted"}});
  if (key[at] == '-') return HookResult::Emit({{.kind = OperationKind::kDelete, .key = other}});
  return HookResult::Emit({{.kind = OperationKind::kDeleteRange, .key = other, .value = "zz"}});
}

class Rights {
 public:
  Rights() {
    WriteUsersTo(path_, "");
    ServerOptions options;
    options.users_file = path_;
    options.redis_listen = "127.0.0.1:0";
    ServerHooks hooks;
    hooks.before_operations.emplace_back(Obey);
    fixture = std::make_unique<ServerFixture>(options, std::move(hooks));
    REQUIRE_OK(fixture->store.Put("p/secret", "42"));
    REQUIRE_OK(fixture->store.Put("o/own", "1"));
  }
  std::unique_ptr<WireClient> Client(const std::string& name) const { return ClientAt(fixture->address(), name); }
  std::unique_ptr<WireClient> RedisClient(const std::string& name) const {
    auto client = std::make_unique<WireClient>(fixture->server->RedisAddress());
    REQUIRE(client->Send("AUTH " + name + " " + TokenOf(name) + "\r\n"));
    REQUIRE(client->ReceiveText(5) == "+OK\r\n");
    return client;
  }

 private:
  TempDir dir_;
  const std::string path_ = dir_.path() + "/users.toml";

 public:
  std::unique_ptr<ServerFixture> fixture;
};

}  // namespace

TEST_CASE("rights are looked at for the keys that hooks route to, and for each that they emit") {
  const Rights rights;
  const std::unique_ptr<WireClient> client = rights.Client("other");  // read,write:o/
  const struct {
    const char* what;
    std::string frame;
    uint16_t code;
  } rows[] = {
      {"a put routed out", PutFrame("o/a>p/a", "v"), kDenied},
      {"a put routed to the empty key", PutFrame("o/a>", "v"), kDenied},
      {"a get routed out", GetFrame("o/a>p/secret"), kDenied},
      {"a delete routed out", DeleteFrame("o/a>p/secret"), kDenied},
      {"a put routed in", PutFrame("p/a>o/in", "v"), 0},
      {"a get routed in", GetFrame("p/a>o/in"), 0},
      {"a put that emits one outside", PutFrame("o/a+p/a", "v"), kDenied},
      {"one that emits one inside", PutFrame("o/a+o/b", "v"), 0},
      {"one that emits a delete outside", PutFrame("o/a-p/secret", "v"), kDenied},
      {"one that emits a delete of a range that ends outside", PutFrame("o/a*o/z", "v"), kDenied},
      {"a batch with one that is routed out", BatchFrame({{BatchKind::kPut, "o/x", "v"}, {BatchKind::kPut, "o/y>p/y"}}),
       kDenied},
      {"a batch with one that emits one outside",
       BatchFrame({{BatchKind::kPut, "o/x", "v"}, {BatchKind::kPut, "o/y+p/y"}}), kDenied},
      {"a condition that is routed out",
       BatchFrame({{BatchKind::kPut, "o/x", "v"}}, {{BatchCheck::kHasValue, "o/c>p/secret", "42"}}), kDenied},
      {"a condition that is routed in",
       BatchFrame({{BatchKind::kPut, "o/in", "v"}}, {{BatchCheck::kPresent, "p/c>o/own"}}), 0},
  };
  uint64_t denials = 0;
  for (const auto& row : rows) {
    INFO(row.what);
    CHECK(CodeOf(client.get(), row.frame) == row.code);
    if (row.code == kDenied) denials++;
    CHECK(rights.fixture->server->Stats().denials == denials);
  }
  // o/own and p/secret, o/in, o/a+o/b and o/b.
  CHECK(rights.fixture->store.size() == 5);
  CHECK(rights.fixture->store.Get("p/secret").value() == "42");
}

TEST_CASE("a hook gives nobody a right: who may only read emits nothing, who may only write reads nothing") {
  const Rights rights;
  const std::unique_ptr<WireClient> mixed = rights.Client("mixed");  // read:k/, write:o/
  CHECK(CodeOf(mixed.get(), PutFrame("o/a+k/a", "v")) == kDenied);
  CHECK(CodeOf(mixed.get(), GetFrame("k/a>o/own")) == kDenied);
  CHECK(CodeOf(mixed.get(), BatchFrame({{BatchKind::kPut, "o/x", "v"}}, {{BatchCheck::kPresent, "k/a>o/own"}})) ==
        kDenied);
  CHECK(CodeOf(mixed.get(), PutFrame("k/a>o/a", "v")) == 0);
  const std::unique_ptr<WireClient> reader = rights.Client("reader");
  CHECK(CodeOf(reader.get(), PutFrame("a+b", "v")) == kDenied);
  CHECK(rights.fixture->store.size() == 3);
}

TEST_CASE("rights are looked at likewise for what hooks make of commands of Redis") {
  const Rights rights;
  const std::unique_ptr<WireClient> client = rights.RedisClient("other");
  const auto begins = [&](const std::string& command) {
    REQUIRE(client->Send(command + "\r\n"));
    const std::string begin = client->ReceiveText(5);
    std::string last = begin;
    while (!last.ends_with("\r\n")) last += client->ReceiveText(1);
    return begin;
  };
  for (const char* command :
       {"SET o/a>p/a v", "SET o/a> v", "SET o/a+p/a v", "SET o/a-p/secret v", "SET o/a*o/z v", "MSET o/x v o/y>p/y v",
        "MSET o/x v o/y+p/y v", "GET o/a>p/secret", "DEL o/a>p/secret", "INCR o/a>p/secret", "APPEND o/a>p/secret x",
        "SETNX o/a>p/secret x", "COPY o/a>p/secret o/mine", "RENAME o/own o/b+p/b"}) {
    INFO(command);
    CHECK(begins(command) == "-NOPE");
    CHECK(begins("MULTI") == "+OK\r\n");
    CHECK(begins("SET o/x v") == "+QUEU");
    CHECK(begins(command) == "+QUEU");
    CHECK(begins("EXEC") == "-NOPE");
  }
  CHECK(rights.fixture->store.size() == 2);
  CHECK(begins("SET p/a>o/a v") == "+OK\r\n");
  CHECK(begins("MSET o/b+o/c v p/d>o/d v") == "+OK\r\n");
  CHECK(rights.fixture->store.size() == 6);
  CHECK(rights.fixture->store.Get("p/secret").value() == "42");
}

}  // namespace bandb::test
