// Commands of Redis on the bits of strings.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/mutex.h"
#include "server/redis_wire.h"

namespace bandb::test {
TEST_CASE("a bit is set and told, and the value grows with zeros as far as it must") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  CheckReply(&client, "GETBIT a 7", ":0\r\n");
  CheckReply(&client, "SETBIT a 1 1", ":0\r\n");
  CheckReply(&client, "GET a", "$1\r\n@\r\n");
  CheckReply(&client, "SETBIT a 1 1", ":1\r\n");
  CheckReply(&client, "SETBIT a 23 0", ":0\r\n");
  CheckReply(&client, "GET a", std::string("$3\r\n@\0\0\r\n", 9));
  CheckReply(&client, "SETBIT a 1 0", ":1\r\n");
  CheckReply(&client, "GETBIT a 1", ":0\r\n");
  const std::string offset = "-ERR bit offset is not an integer or out of range\r\n";
  const std::string bit = "-ERR bit is not an integer or out of range\r\n";
  CheckReply(&client, "SETBIT a -1 1", offset);
  CheckReply(&client, "SETBIT a x 1", offset);
  // A value has 16 MiB at most here.
  CheckReply(&client, "SETBIT a 134217728 1", offset);
  CheckReply(&client, "GETBIT a 134217728", offset);
  CheckReply(&client, "GETBIT a 134217727", ":0\r\n");
  CheckReply(&client, "SETBIT a 0 2", bit);
  CheckReply(&client, "SETBIT a 0 x", bit);
  CheckReply(&client, "STRLEN a", ":3\r\n");
}

TEST_CASE("bits are counted and found in ranges of bytes and of bits") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  // One bit in every third byte, over several words; and ones alone.
  std::string text;
  for (int i = 0; i < 60; i++) text += i % 3 == 0 ? "\\x10" : "\\x00";
  CheckReply(&client, "SET a \"" + text + "\"", "+OK\r\n");
  CheckReply(&client, "SET ones \"\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\"", "+OK\r\n");
  CheckReply(&client, "SET empty \"\"", "+OK\r\n");
  const struct {
    const char* request;
    int number;
  } rows[] = {
      {"BITCOUNT a", 20},
      {"BITCOUNT a 0 -1", 20},
      {"BITCOUNT a 1 2", 0},
      {"BITCOUNT a 1 3", 1},
      {"BITCOUNT a -3 100", 1},
      {"BITCOUNT a -1 -3", 0},
      {"BITCOUNT a 3 3 BIT", 1},
      {"BITCOUNT a 4 26 BIT", 0},
      {"BITCOUNT a 3 27 bit", 2},
      {"BITCOUNT a 0 -1 bit", 20},
      {"BITCOUNT a 9223372036854775807 9223372036854775807", 0},
      {"BITCOUNT nothing 1 x y", 0},
      {"BITCOUNT empty", 0},
      {"BITPOS a 1", 3},
      {"BITPOS a 0", 0},
      {"BITPOS a 1 1", 27},
      {"BITPOS a 1 1 2", -1},
      {"BITPOS a 1 4 -1 BIT", 27},
      {"BITPOS a 1 28 50 BIT", -1},
      {"BITPOS a 1 58", -1},
      {"BITPOS ones 0", 72},
      {"BITPOS ones 0 8", 72},
      {"BITPOS ones 0 0 -1", -1},
      {"BITPOS ones 0 0 -1 bit", -1},
      {"BITPOS ones 0 9", -1},
      {"BITPOS ones 1 64 64 bit", 64},
      {"BITPOS nothing 0", 0},
      {"BITPOS nothing 1", -1},
      {"BITPOS empty 0", -1},
  };
  for (const auto& row : rows) CheckReply(&client, row.request, fmt::format(":{}\r\n", row.number));
  CheckReply(&client, "BITCOUNT a 1", "-ERR syntax error\r\n");
  CheckReply(&client, "BITCOUNT a 1 2 x", "-ERR syntax error\r\n");
  CheckReply(&client, "BITPOS a 2", "-ERR The bit argument must be 1 or 0.\r\n");
  CheckReply(&client, "BITPOS a 1 0 -1 x", "-ERR syntax error\r\n");
}

TEST_CASE("BITOP combines values, the shorter with zeros after it, and leaves none where nothing comes of it") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  CheckReply(&client, "SET a \"\\x0f\\xff\\x01\"", "+OK\r\n");
  CheckReply(&client, "SET b \"\\x3c\\x0f\"", "+OK\r\n");
  const struct {
    const char* request;
    std::string bytes;
  } rows[] = {
      {"BITOP AND to a b", std::string("\x0c\x0f\0", 3)},  {"BITOP and to b a", std::string("\x0c\x0f\0", 3)},
      {"BITOP OR to a b", std::string("\x3f\xff\x01", 3)}, {"BITOP XOR to a b", std::string("\x33\xf0\x01", 3)},
      {"BITOP NOT to a", std::string("\xf0\x00\xfe", 3)},  {"BITOP AND to b", std::string("\x3c\x0f", 2)},
      {"BITOP AND to b nothing", std::string("\0\0", 2)},  {"BITOP OR a a b", std::string("\x3f\xff\x01", 3)},
  };
  for (const auto& row : rows) {
    CheckReply(&client, row.request, fmt::format(":{}\r\n", row.bytes.size()));
    const std::string to = std::string(row.request).find(" to ") == std::string::npos ? "a" : "to";
    CheckReply(&client, "GET " + to, fmt::format("${}\r\n{}\r\n", row.bytes.size(), row.bytes));
  }
  CheckReply(&client, "BITOP OR to nothing neither", ":0\r\n");
  CheckReply(&client, "EXISTS to", ":0\r\n");
  CheckReply(&client, "BITOP NOT to a b", "-ERR BITOP NOT must be called with a single source key.\r\n");
  CheckReply(&client, "BITOP nand to a b", "-ERR syntax error\r\n");
  CheckReply(&client, "BITFIELD a GET u8 0", "-ERR BanDB holds strings, and has no command 'BITFIELD'\r\n");
}

TEST_CASE("a hook on gets is asked about what BITOP combines, and not about where it puts it") {
  base::Mutex mutex;
  std::string told;
  ServerHooks hooks;
  hooks.before_operations.push_back([&](const ServerOperation& operation) {
    base::MutexLock lock(&mutex);
    told += fmt::format("{} {};", operation.kind == OperationKind::kGet ? "get" : "change", operation.key);
    return HookResult::Pass();
  });
  ServerFixture fixture(WithRedis(), std::move(hooks));
  WireClient client(fixture.server->RedisAddress());
  CheckReply(&client, "SETBIT a 7 1", ":0\r\n");
  CheckReply(&client, "BITOP NOT b a", ":1\r\n");
  CheckReply(&client, "LCS a b", "$0\r\n\r\n");
  CheckReply(&client, "MOVE a 0", "-ERR source and destination objects are the same\r\n");
  base::MutexLock lock(&mutex);
  CHECK(told == "get a;change a;get a;change b;get a;get b;");
}

}  // namespace bandb::test
