// Commands of Redis that take long: on a reader's thread, in steps, in turns.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "server/redis_wire.h"

namespace bandb::test {
namespace {

ServerOptions WithReaders() {
  ServerOptions options = WithRedis();
  options.worker_threads = 2;
  return options;
}

// For three steps of a walk.
constexpr int kKeys = 130'000;
const std::string kCount = fmt::format(":{}\r\n", kKeys);

void Fill(MemoryStore* store) {
  WriteBatch batch;
  for (int i = 0; i < kKeys; i++) batch.Put(fmt::format("{:06}", i), "");
  REQUIRE_OK(store->Write(batch));
}

}  // namespace

TEST_CASE("walks take turns, one step at a time, and one whose client has gone makes room for the others") {
  ServerFixture fixture(WithReaders());
  Fill(&fixture.store);
  base::Event disk;
  fixture.store.HoldReadsUntil(&disk);
  WireClient gone(fixture.server->RedisAddress()), stays(fixture.server->RedisAddress());
  REQUIRE(gone.Send("DBSIZE\r\n"));
  REQUIRE(fixture.Eventually([&] { return fixture.store.disk_reads() == 1; }));
  REQUIRE(stays.Send("DBSIZE\r\n"));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 2; }));
  gone.Close();
  WireClient witness(fixture.server->RedisAddress());
  // The loop has seen the end by then.
  CheckReply(&witness, "PING", "+PONG\r\n");
  // And has had word of the barrier of the second walk, which comes the way that this comes.
  CheckReply(&witness, "SET 000000 1", "+OK\r\n");
  // There is another thread for those who read a key, though both walks want to go on.
  CHECK(fixture.store.disk_reads() == 1);
  fixture.store.HoldReadsUntil(nullptr);
  disk.Set();
  CHECK(stays.ReceiveText(kCount.size()) == kCount);
  // One step of the one, three of the other.
  CHECK(fixture.store.disk_reads() == 4);
  // Nobody was told that anything is short.
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 0; }));
  CHECK(fixture.server->Stats().overloaded == 0);
}

namespace {

// Of a command on so many keys, each of which is read from disk.
constexpr int kLookups = 2500;

std::string OnManyKeys(MemoryStore* store, const std::string& name) {
  std::string request = fmt::format("*{}\r\n${}\r\n{}\r\n", kLookups + 1, name.size(), name);
  for (int i = 0; i < kLookups; i++) request += fmt::format("$6\r\n{:06}\r\n", i);
  // As the first is cold, none is looked for on the loop.
  store->SetCold("000000");
  return request;
}

}  // namespace

TEST_CASE("commands on many keys take turns as walks do, a thousand keys a step, and see one state") {
  const std::string name = GENERATE("EXISTS", "TOUCH", "MGET", "WATCH");
  CAPTURE(name);
  ServerFixture fixture(WithReaders());
  const std::string request = OnManyKeys(&fixture.store, name);
  base::Event disk;
  fixture.store.HoldReadsUntil(&disk);
  WireClient gone(fixture.server->RedisAddress()), stays(fixture.server->RedisAddress());
  REQUIRE(gone.Send(request));
  REQUIRE(fixture.Eventually([&] { return fixture.store.disk_reads() == 1; }));
  REQUIRE(stays.Send(request));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 2; }));
  gone.Close();
  WireClient witness(fixture.server->RedisAddress());
  CheckReply(&witness, "PING", "+PONG\r\n");
  // Which comes the way that word of the second one's barrier comes.
  CheckReply(&witness, "SET 002499 1", "+OK\r\n");
  CHECK(fixture.store.disk_reads() == 1);
  fixture.store.HoldReadsUntil(nullptr);
  disk.Set();
  // A step of the one, and all of the other.
  std::string reply = name == "WATCH" ? "+OK\r\n" : ":1\r\n";
  if (name == "MGET") {
    reply = fmt::format("*{}\r\n", kLookups);
    for (int i = 1; i < kLookups; i++) reply += "$-1\r\n";
    reply += "$1\r\n1\r\n";
  }
  CHECK(stays.ReceiveText(reply.size()) == reply);
  CHECK(fixture.store.disk_reads() > 1000);
  CHECK(fixture.store.disk_reads() < 2 * 1000 + kLookups);
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes < 1'000'000; }));
  stays.Close();
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes < 10'000; }));
  CHECK(fixture.server->Stats().overloaded == 0);
}

TEST_CASE("of what was only read nothing is kept from step to step") {
  ServerFixture fixture(WithReaders());
  WriteBatch batch;
  for (int i = 0; i < kLookups; i++) batch.Put(fmt::format("{:06}", i), std::string(1000, 'v'));
  REQUIRE_OK(fixture.store.Write(batch));
  WireClient client(fixture.server->RedisAddress());
  const std::string request = OnManyKeys(&fixture.store, "EXISTS");
  base::Event first;
  fixture.store.HoldReadsUntil(&first);
  REQUIRE(client.Send(request));
  REQUIRE(fixture.Eventually([&] { return fixture.store.disk_reads() == 1; }));
  const uint64_t before = fixture.server->Stats().memory_bytes;
  // Of the next steps each holds what it has read itself.
  uint64_t most = 0;
  fixture.store.HoldReadsUntil(nullptr);
  first.Set();
  const std::string reply = fmt::format(":{}\r\n", kLookups);
  while (client.StaysSilent(0)) most = std::max(most, fixture.server->Stats().memory_bytes);
  CHECK(client.ReceiveText(reply.size()) == reply);
  CHECK(most < before + 1'500'000);
}

TEST_CASE("what names the keys that it writes is done in its turns, though its client has gone") {
  ServerFixture fixture(WithReaders());
  const std::string request = OnManyKeys(&fixture.store, "DEL");
  REQUIRE_OK(fixture.store.Put("002499", "1"));
  base::Event disk;
  fixture.store.HoldReadsUntil(&disk);
  WireClient gone(fixture.server->RedisAddress()), other(fixture.server->RedisAddress());
  REQUIRE(gone.Send(request));
  REQUIRE(fixture.Eventually([&] { return fixture.store.disk_reads() == 1; }));
  REQUIRE(other.Send(OnManyKeys(&fixture.store, "EXISTS")));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 2; }));
  gone.Close();
  fixture.store.HoldReadsUntil(nullptr);
  disk.Set();
  CHECK(fixture.Eventually([&] { return fixture.store.size() == 0; }));
  CHECK(other.ReceiveText(1) == ":");
}

TEST_CASE("a transaction that watches more keys than a step compares them in several") {
  ServerFixture fixture(WithReaders());
  WireClient client(fixture.server->RedisAddress()), other(fixture.server->RedisAddress());
  const bool changed = GENERATE(false, true);
  REQUIRE(client.Send(OnManyKeys(&fixture.store, "WATCH")));
  REQUIRE(client.ReceiveText(5) == "+OK\r\n");
  if (changed) CheckReply(&other, "SET 002400 1", "+OK\r\n");
  CheckReply(&client, "MULTI", "+OK\r\n");
  REQUIRE(client.Send(OnManyKeys(&fixture.store, "EXISTS")));
  REQUIRE(client.ReceiveText(9) == "+QUEUED\r\n");
  CheckReply(&client, "SET a 1", "+QUEUED\r\n");
  CheckReply(&client, "EXEC", changed ? "*-1\r\n" : "*2\r\n:0\r\n+OK\r\n");
  CHECK(fixture.store.size() == 1);
}

TEST_CASE("what a transaction watches is on the account of memory while it waits") {
  ServerFixture fixture(WithReaders());
  const std::string value(500'000, 'v');
  REQUIRE_OK(fixture.store.Put("watched", value));
  WireClient client(fixture.server->RedisAddress());
  CheckReply(&client, "WATCH watched", "+OK\r\n");
  CHECK(fixture.server->Stats().memory_bytes > value.size());
  CheckReply(&client, "MULTI", "+OK\r\n");
  CheckReply(&client, "DBSIZE", "+QUEUED\r\n");
  base::Event disk;
  fixture.store.HoldReadsUntil(&disk);
  REQUIRE(client.Send("EXEC\r\n"));
  REQUIRE(fixture.Eventually([&] { return fixture.store.disk_reads() == 1; }));
  CHECK(fixture.server->Stats().memory_bytes > value.size());
  fixture.store.HoldReadsUntil(nullptr);
  disk.Set();
  CHECK(client.ReceiveText(8) == "*1\r\n:1\r\n");
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes < 10'000; }));
}

TEST_CASE("a client that closed its writing side gets what a walk found, where nobody else waits") {
  ServerFixture fixture(WithReaders());
  Fill(&fixture.store);
  WireClient client(fixture.server->RedisAddress());
  REQUIRE(client.Send("DBSIZE\r\n"));
  client.CloseWrite();
  CHECK(client.ReceiveText(kCount.size()) == kCount);
}

TEST_CASE("walks of several steps are right, alone and among others in a transaction") {
  ServerFixture fixture(WithReaders());
  Fill(&fixture.store);
  WireClient client(fixture.server->RedisAddress());
  CheckReply(&client, "KEYS 12345[0]", "*1\r\n$6\r\n123450\r\n");
  CheckReply(&client, "KEYS *99998", "*1\r\n$6\r\n099998\r\n");
  CheckReply(&client, "MULTI", "+OK\r\n");
  for (const char* command : {"SET zz 1", "DBSIZE", "CLIENT SETNAME me", "DBSIZE", "KEYS *z", "GET zz"}) {
    CheckReply(&client, command, "+QUEUED\r\n");
  }
  const std::string more = fmt::format(":{}\r\n", kKeys + 1);
  CheckReply(&client, "EXEC", "*6\r\n+OK\r\n" + more + "+OK\r\n" + more + "*1\r\n$2\r\nzz\r\n$1\r\n1\r\n");
  CheckReply(&client, "CLIENT GETNAME", "$2\r\nme\r\n");
  CheckReply(&client, "DBSIZE", more);
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes < 10'000; }));
}

TEST_CASE("SCAN ends with its step, however many keys it is to look at") {
  ServerFixture fixture(WithReaders());
  Fill(&fixture.store);
  WireClient client(fixture.server->RedisAddress());
  // There are no such keys, so that the reply is short.
  CheckReply(&client, "SCAN 0 TYPE hash COUNT 1000000000", "*2\r\n$1\r\n1\r\n*0\r\n");
  CheckReply(&client, "SCAN 1 TYPE hash COUNT 1000000000", "*2\r\n$1\r\n2\r\n*0\r\n");
  CheckReply(&client, "SCAN 2 TYPE hash COUNT 1000000000", "*2\r\n$1\r\n0\r\n*0\r\n");
  CHECK(fixture.store.disk_reads() == 3);
  // What was deleted counts as well.
  WriteBatch batch;
  for (int i = 0; i < 60'000; i++) batch.Delete(fmt::format("{:06}", i));
  REQUIRE_OK(fixture.store.Write(batch));
  CheckReply(&client, "SCAN 0 COUNT 1", "*2\r\n$1\r\n3\r\n*0\r\n");
  CheckReply(&client, "SCAN 3 COUNT 1", "*2\r\n$1\r\n4\r\n*1\r\n$6\r\n060000\r\n");
}

TEST_CASE("RANDOMKEY may choose any key, and holds one") {
  ServerFixture fixture(WithReaders());
  for (const char* key : {"a", "b", "c"}) REQUIRE_OK(fixture.store.Put(key, ""));
  WireClient client(fixture.server->RedisAddress());
  std::string seen;
  for (int i = 0; i < 100'000 && seen.size() < 3; i++) {
    REQUIRE(client.Send("RANDOMKEY\r\n"));
    const std::string reply = client.ReceiveText(7);
    REQUIRE(reply.size() == 7);
    if (seen.find(reply[4]) == std::string::npos) seen += reply[4];
  }
  CHECK(seen.size() == 3);
  CheckReply(&client, "FLUSHALL", "+OK\r\n");
  CheckReply(&client, "RANDOMKEY", "$-1\r\n");
}

namespace {

std::vector<std::string> InMulti(size_t times, const std::string& command) {
  std::vector<std::string> commands(times, command);
  commands.insert(commands.begin(), "MULTI");
  commands.emplace_back("EXEC");
  return commands;
}

std::string Replies(size_t times, const std::string& reply) {
  std::string replies = fmt::format("*{}\r\n", times);
  for (size_t i = 0; i < times; i++) replies += reply;
  return replies;
}

// The last of them waits for the disk as a reader does, and the loop serves others meanwhile.
void CheckOnReader(ServerFixture* fixture, const std::vector<std::string>& commands, const std::string& reply) {
  INFO(commands.front() << " " << commands[commands.size() / 2]);
  WireClient client(fixture->server->RedisAddress()), other(fixture->server->RedisAddress());
  base::Event disk;
  fixture->store.HoldReadsUntil(&disk);
  const uint64_t before = fixture->store.disk_reads();
  for (size_t i = 0; i + 1 < commands.size(); i++) {
    CheckReply(&client, commands[i], i == 0 ? "+OK\r\n" : "+QUEUED\r\n");
  }
  REQUIRE(client.Send(commands.back() + "\r\n"));
  CHECK(fixture->Eventually([&] { return fixture->store.disk_reads() > before; }));
  CheckReply(&other, "SET small 1", "+OK\r\n");
  fixture->store.HoldReadsUntil(nullptr);
  disk.Set();
  CHECK(client.ReceiveText(reply.size()) == reply);
}

}  // namespace

TEST_CASE("what copies more than a mebibyte is done by a reader's thread, and the loop serves others meanwhile") {
  const std::string large(2 << 20, 'x');
  ServerFixture fixture(WithReaders());
  REQUIRE_OK(fixture.store.Put("large", large));
  for (int i = 0; i < 20; i++) REQUIRE_OK(fixture.store.Put(fmt::format("k{}", i), std::string(100'000, 'x')));
  CheckOnReader(&fixture, {"STRLEN large"}, fmt::format(":{}\r\n", large.size()));
  CheckOnReader(&fixture, {"MULTI", "APPEND large y", "APPEND large y", "EXEC"},
                fmt::format("*2\r\n:{}\r\n:{}\r\n", large.size() + 1, large.size() + 2));
  CheckOnReader(&fixture, {"EXISTS k0 k1 k2 k3 k4 k5 k6 k7 k8 k9 k10 k11 k12 k13 k14 k15 k16 k17 k18 k19"}, ":20\r\n");
}

TEST_CASE("what makes a value of more than a mebibyte out of nothing is done by a reader's thread") {
  ServerFixture fixture(WithReaders());
  CheckOnReader(&fixture, {"SETBIT bits 16777216 1"}, ":0\r\n");
  CheckOnReader(&fixture, {"SETRANGE range 2000000 x"}, ":2000001\r\n");
  WireClient client(fixture.server->RedisAddress());
  CheckReply(&client, "BITCOUNT bits", ":1\r\n");
  CheckReply(&client, "STRLEN range", ":2000001\r\n");
}

TEST_CASE("what looks at many bits, or at huge numbers, counts as work, and many of it are done by a reader's thread") {
  ServerFixture fixture(WithReaders());
  REQUIRE_OK(fixture.store.Put("ones", std::string(100'000, '\xff')));
  REQUIRE_OK(fixture.store.Put("zeros", std::string(100'000, '\0')));
  CheckOnReader(&fixture, InMulti(120, "BITCOUNT ones"), Replies(120, ":800000\r\n"));
  CheckOnReader(&fixture, InMulti(120, "BITPOS zeros 1"), Replies(120, ":-1\r\n"));
  CheckOnReader(&fixture, InMulti(2, "INCRBYFLOAT float 1e-4900"), Replies(2, "$1\r\n0\r\n"));
}

TEST_CASE("patterns for settings that would be matched for a tenth of a second are refused") {
  ServerFixture fixture(WithReaders());
  WireClient client(fixture.server->RedisAddress());
  std::string some = "CONFIG GET";
  for (int i = 0; i < 1000; i++) some += " maxmem*";
  // As an inline command it would be too long.
  const auto request = [](const std::string& text) {
    std::vector<std::string> arguments;
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find(' ', at), text.size());
      arguments.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    std::string bytes = fmt::format("*{}\r\n", arguments.size());
    for (const std::string& argument : arguments) bytes += fmt::format("${}\r\n{}\r\n", argument.size(), argument);
    return bytes.substr(0, bytes.size() - 2);
  };
  CheckReply(&client, request(some),
             "*4\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n");
  std::string slow = "CONFIG GET";
  for (int i = 0; i < 1000; i++) slow += " *[" + std::string(1000, 'z') + "]";
  CheckReply(&client, request(slow), "-ERR the patterns take too long to match\r\n");
}

TEST_CASE("a reply of many parts is whole wherever in a transaction a step ends") {
  ServerFixture fixture(WithReaders());
  // What comes before shifts the ends of steps by less than a command takes.
  const size_t more = GENERATE(0, 1, 2);
  const std::string value(100'000 + more, 'v');
  REQUIRE_OK(fixture.store.Put("long", value));
  constexpr int kGets = 126, kMGets = 2000;
  std::string request = "MULTI\r\n", reply = "+OK\r\n";
  std::string replies = fmt::format("*{}\r\n", kGets + kMGets);
  for (int i = 0; i < kGets; i++) {
    request += "GET long\r\n";
    replies += fmt::format("${}\r\n{}\r\n", value.size(), value);
  }
  for (int i = 0; i < kMGets; i++) {
    request += "MGET k k\r\n";
    replies += "*2\r\n$-1\r\n$-1\r\n";
  }
  for (int i = 0; i < kGets + kMGets; i++) reply += "+QUEUED\r\n";
  reply += replies;
  WireClient client(fixture.server->RedisAddress());
  REQUIRE(client.Send(request + "EXEC\r\n"));
  const std::string got = client.ReceiveText(reply.size());
  // No comparison that prints them.
  CHECK(got.size() == reply.size());
  const bool is_whole = got == reply;
  CHECK(is_whole);
  CheckReply(&client, "PING", "+PONG\r\n");
}

}  // namespace bandb::test
