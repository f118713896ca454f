// What the listener for clients of Redis bears.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

ServerOptions WithRedis(int loops = 1) {
  ServerOptions options;
  options.redis_listen = "127.0.0.1:0";
  options.loops = loops;
  return options;
}

// As clients send it.
std::string Request(const std::vector<std::string>& arguments) {
  std::string request = fmt::format("*{}\r\n", arguments.size());
  for (const std::string& argument : arguments) request += fmt::format("${}\r\n{}\r\n", argument.size(), argument);
  return request;
}

void CheckReply(WireClient* client, const std::string& request, const std::string& reply) {
  REQUIRE(client->Send(request));
  CHECK(client->ReceiveText(reply.size()) == reply);
}

}  // namespace

TEST_CASE("a client that announces gigabytes is told so and closed, and costs nothing") {
  ServerFixture fixture(WithRedis(GENERATE(1, 4)));
  WireClient witness(fixture.server->RedisAddress());
  const struct {
    const char* request;
    const char* error;
  } rows[] = {
      {"*1000000000\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
      {"*9223372036854775807\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
      {"*2\r\n$3\r\nGET\r\n$1073741824\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
      {"*2\r\n$3\r\nGET\r\n$18446744073709551615\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
      {"\x16\x03\x01\x02\n", "-ERR unknown command '\x16\x03\x01\x02', with args beginning with: \r\n"},
  };
  for (const auto& row : rows) {
    WireClient client(fixture.server->RedisAddress());
    CheckReply(&client, row.request, row.error);
    if (row.request[0] == '*') CHECK(client.SeesEnd());
    CheckReply(&witness, "PING\r\n", "+PONG\r\n");
    CHECK(fixture.server->Stats().memory_bytes < 100'000);
  }
}

TEST_CASE("a pattern that would be matched for seconds is refused") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  CheckReply(&client, Request({"SET", "a", "v"}), "+OK\r\n");
  const std::string fits = "*[" + std::string(1020, 'a') + "]", longer = fits + "**";
  const std::string refused = "-ERR the pattern is longer than 1024 bytes\r\n";
  CheckReply(&client, Request({"KEYS", longer}), refused);
  CheckReply(&client, Request({"KEYS", fits}), "*1\r\n$1\r\na\r\n");
  CheckReply(&client, Request({"SCAN", "0", "MATCH", longer}), refused);
  CheckReply(&client, Request({"SCAN", "0", "MATCH", fits}), "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n");
  CheckReply(&client, Request({"CONFIG", "GET", "databases", longer}), refused);
  CheckReply(&client, Request({"CONFIG", "GET", fits}), "*0\r\n");
}

TEST_CASE("a pattern that would be matched with long keys for minutes ends early") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  const std::string tail(30'000, 'a');
  for (const char* name : {"1", "2", "3"}) CheckReply(&client, Request({"SET", name + tail, "v"}), "+OK\r\n");
  CheckReply(&client, Request({"SET", "9b", "v"}), "+OK\r\n");
  // Where the end is missed is found out a thousand bytes later, at each place.
  const std::string slow = "*" + std::string(1000, 'a') + "b";
  CheckReply(&client, Request({"KEYS", slow}),
             "-ERR the pattern takes too long to match with these keys; use SCAN\r\n");
  std::string cursor = "0";
  for (int i = 1; i <= 3; i++) {
    REQUIRE(client.Send(Request({"SCAN", cursor, "MATCH", slow, "COUNT", "100"})));
    // One key each.
    cursor = std::to_string(i);
    const std::string reply = "*2\r\n$1\r\n" + cursor + "\r\n*0\r\n";
    CHECK(client.ReceiveText(reply.size()) == reply);
  }
  CheckReply(&client, Request({"SCAN", cursor, "MATCH", slow}), "*2\r\n$1\r\n0\r\n*0\r\n");
  // What is quick sees all of them.
  CheckReply(&client, Request({"KEYS", "*b"}), "*1\r\n$2\r\n9b\r\n");
}

TEST_CASE("what a client was given to keep is bounded, or on the account of memory, and given back") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  const std::string name(1024, 'n');
  const std::string refused = "-ERR Client names cannot be longer than 1024 bytes.\r\n";
  CheckReply(&client, Request({"CLIENT", "SETNAME", name + "n"}), refused);
  CheckReply(&client, Request({"HELLO", "2", "SETNAME", name + "n"}), refused);
  CheckReply(&client, Request({"CLIENT", "GETNAME"}), "$-1\r\n");
  CheckReply(&client, Request({"CLIENT", "SETNAME", name}), "+OK\r\n");
  CheckReply(&client, Request({"MULTI"}), "+OK\r\n");
  constexpr int kQueued = 10'000;
  std::string pings, queued;
  for (int i = 0; i < kQueued; i++) {
    pings += "PING\r\n";
    queued += "+QUEUED\r\n";
  }
  CheckReply(&client, pings, queued);
  CHECK(fixture.server->Stats().memory_bytes > kQueued * (24 + 32));
  CheckReply(&client, Request({"DISCARD"}), "+OK\r\n");
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes < 10'000; }));
}

TEST_CASE("a client that speaks TLS on a plain address is told so at once") {
  ServerFixture fixture(WithRedis(GENERATE(1, 4)));
  WireClient client(fixture.server->RedisAddress());
  std::string hello("\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03", 11);
  hello.append(241, 'r');
  CheckReply(&client, hello, "-ERR Protocol error: this address is not for TLS\r\n");
  CHECK(client.SeesEnd());
}

TEST_CASE("a request that is never completed ends its connection when its time has passed") {
  ServerOptions options = WithRedis();
  options.frame_timeout = absl::Milliseconds(50);
  ServerFixture fixture(options);
  for (const char* half :
       {"*", "*3\r\n$3\r\nSET\r\n", "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1000\r\nxxx", "PIN", "\r\n\r\nPIN"}) {
    WireClient client(fixture.server->RedisAddress());
    CheckReply(&client, half, "-ERR the request was not completed in time\r\n");
    CHECK(client.SeesEnd());
  }
}

TEST_CASE("where memory is short a large request is refused at its header, and the next one is served") {
  ServerOptions options = WithRedis(GENERATE(1, 4));
  options.frame_bytes_max = 64 << 10;
  options.memory_bytes_max = 256 << 10;
  ServerFixture fixture(options);
  fixture.store.SetHolding(true);
  std::vector<std::unique_ptr<WireClient>> holders;
  for (int i = 0; i < 4; i++) {
    holders.push_back(std::make_unique<WireClient>(fixture.server->RedisAddress()));
    const uint64_t before = fixture.server->Stats().memory_bytes;
    REQUIRE(holders.back()->Send(Request({"SET", "held", std::string(50'000, 'x')})));
    REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes > before + 40'000; }));
  }
  WireClient client(fixture.server->RedisAddress());
  const std::string request = Request({"SET", "a", std::string(50'000, 'y')});
  CheckReply(&client, request.substr(0, 1000), "-ERR the server is short of memory: not done, try again later\r\n");
  REQUIRE(client.Send(request.substr(1000)));
  CheckReply(&client, "PING\r\n", "+PONG\r\n");
  fixture.store.SetHolding(false);
  for (const auto& holder : holders) CHECK(holder->ReceiveText(5) == "+OK\r\n");
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 0; }));
  CheckReply(&client, Request({"GET", "a"}), "$-1\r\n");
}

TEST_CASE("a command that would hold more than it may fails as a whole, and what it held is given back") {
  ServerOptions options = WithRedis(GENERATE(1, 4));
  options.frame_bytes_max = 64 << 10;
  options.memory_bytes_max = 256 << 10;
  ServerFixture fixture(options);
  WireClient client(fixture.server->RedisAddress());
  std::vector<std::string> exists = {"EXISTS"}, mget = {"MGET"};
  for (int i = 0; i < 4; i++) {
    const std::string key = fmt::format("k{}", i);
    REQUIRE_OK(fixture.store.Put(key, std::string(30'000, 'x')));
    exists.push_back(key);
    mget.push_back("k0");
  }
  const std::string too_much = "-ERR it would hold more memory than this server allows\r\n";
  CheckReply(&client, Request(exists), too_much);
  const std::string too_long = "-ERR the reply would be longer than this server allows\r\n";
  CheckReply(&client, Request(mget), too_long);
  // Nothing of a transaction is done whose reply has no room.
  CheckReply(&client, "MULTI\r\nSET a 1\r\nGET k0\r\nGET k0\r\nGET k0\r\nEXEC\r\n",
             "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n" + too_long);
  CheckReply(&client, "GET a\r\n", "$-1\r\n");
  // Few bytes that would become many.
  std::string grow = "MULTI\r\n", replies = "+OK\r\n";
  for (int i = 0; i < 10; i++) {
    grow += fmt::format("SETRANGE g{} 60000 x\r\n", i);
    replies += "+QUEUED\r\n";
  }
  CheckReply(&client, grow + "EXEC\r\n", replies + too_much);
  CheckReply(&client, "EXISTS g0\r\n", ":0\r\n");
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes < 10'000; }));
}

TEST_CASE("a command reads and writes as many keys as a batch may have operations") {
  ServerOptions options = WithRedis();
  options.batch_operations_max = 10;
  ServerFixture fixture(options);
  WireClient client(fixture.server->RedisAddress());
  std::vector<std::string> mset = {"MSET"};
  for (int i = 0; i < 10; i++) mset.insert(mset.end(), {fmt::format("k{}", i), "1"});
  CheckReply(&client, Request(mset), "+OK\r\n");
  mset.insert(mset.end(), {"k10", "1"});
  CheckReply(&client, Request(mset), "-ERR more than 10 keys to read and write at once\r\n");
  CheckReply(&client, "EXISTS k10\r\n", ":0\r\n");
  // Reading alone is bounded by its bytes.
  CheckReply(&client, "EXISTS k0 k1 k2 k3 k4 k5 k6 k7 k8 k9 k10 k11\r\n", ":10\r\n");
}

TEST_CASE("no reply of Redis' shows what may still be lost, of EXEC and WATCH neither") {
  const bool sync = GENERATE(true, false);
  const std::vector<std::string> command = GENERATE(
      std::vector<std::string>{"MGET k"}, std::vector<std::string>{"SETNX k mine"}, std::vector<std::string>{"WATCH k"},
      std::vector<std::string>{"MULTI", "GET k", "CLIENT SETNAME me", "EXEC"}, std::vector<std::string>{"KEYS *"},
      std::vector<std::string>{"SCAN 0"}, std::vector<std::string>{"DBSIZE"}, std::vector<std::string>{"RANDOMKEY"});
  ServerOptions options = WithRedis(GENERATE(1, 4));
  options.durability = sync ? Durability::kSync : Durability::kOs;
  ServerFixture fixture(options);
  REQUIRE_OK(fixture.store.Put("k", "new"));
  fixture.store.SetUndurable("k");
  WireClient client(fixture.server->RedisAddress());
  for (size_t i = 0; i + 1 < command.size(); i++) {
    CheckReply(&client, command[i] + "\r\n", i == 0 ? "+OK\r\n" : "+QUEUED\r\n");
  }
  CHECK(fixture.store.synced_batches() == 0);
  REQUIRE(client.Send(command.back() + "\r\n"));
  CHECK_FALSE(client.ReceiveText(1).empty());
  CHECK(fixture.store.synced_batches() == (sync ? 1 : 0));
}

TEST_CASE("a reply that is held changes its session when it leaves, and not if what it saw is lost") {
  const bool lost = GENERATE(true, false);
  ServerFixture fixture(WithRedis());
  REQUIRE_OK(fixture.store.Put("k", "new"));
  fixture.store.SetUndurable("k");
  WireClient client(fixture.server->RedisAddress());
  if (lost) fixture.store.FailWritesWith(absl::FailedPreconditionError("stopped"));
  CheckReply(&client, "MULTI\r\nGET k\r\nCLIENT SETNAME me\r\nEXEC\r\n",
             std::string("+OK\r\n+QUEUED\r\n+QUEUED\r\n") + (lost ? "-ERR stopped\r\n" : "*2\r\n$3\r\nnew\r\n+OK\r\n"));
  CheckReply(&client, "CLIENT GETNAME\r\n", lost ? "$-1\r\n" : "$2\r\nme\r\n");
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes < 10'000; }));
}

TEST_CASE("a pipeline of Redis is answered in order, whatever waits for a disk") {
  ServerOptions options = WithRedis(GENERATE(1, 4));
  ServerFixture fixture(options);
  REQUIRE_OK(fixture.store.Put("cold", "1"));
  fixture.store.SetCold("cold");
  WireClient client(fixture.server->RedisAddress());
  CheckReply(&client, "GET cold\r\nPING\r\nSET a 1\r\nINCR cold\r\nGET a\r\nMGET cold a\r\nPING\r\n",
             "$1\r\n1\r\n+PONG\r\n+OK\r\n:2\r\n$1\r\n1\r\n*2\r\n$1\r\n2\r\n$1\r\n1\r\n+PONG\r\n");
}

}  // namespace bandb::test
