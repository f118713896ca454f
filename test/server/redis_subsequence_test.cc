// LCS of Redis.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "server/redis_wire.h"

namespace bandb::test {
namespace {

// By trying every way: of short texts.
size_t LongestOf(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return 0;
  if (a[0] == b[0]) return 1 + LongestOf(a.substr(1), b.substr(1));
  return std::max(LongestOf(a.substr(1), b), LongestOf(a, b.substr(1)));
}

}  // namespace

TEST_CASE("LCS tells what two values have in common, how much, and where") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  CheckReply(&client, "MSET a ohmytext b mynewtext empty \"\"", "+OK\r\n");
  CheckReply(&client, "LCS a b", "$6\r\nmytext\r\n");
  CheckReply(&client, "LCS a b LEN", ":6\r\n");
  CheckReply(&client, "LCS a b IDX",
             "*4\r\n$7\r\nmatches\r\n*2\r\n*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n*2\r\n*2\r\n:2\r\n:3\r\n*2\r\n:"
             "0\r\n:1\r\n"
             "$3\r\nlen\r\n:6\r\n");
  CheckReply(&client, "LCS a b idx minmatchlen 4 withmatchlen",
             "*4\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n$3\r\nlen\r\n:6\r\n");
  CheckReply(&client, "LCS a nothing", "$0\r\n\r\n");
  CheckReply(&client, "LCS empty b IDX", "*4\r\n$7\r\nmatches\r\n*0\r\n$3\r\nlen\r\n:0\r\n");
  CheckReply(&client, "LCS a a LEN", ":8\r\n");
  CheckReply(&client, "LCS a b LEN IDX", "-ERR If you want both the length and indexes, please just use IDX.\r\n");
  CheckReply(&client, "LCS a b MINMATCHLEN", "-ERR syntax error\r\n");
  CheckReply(&client, "LCS a b MINMATCHLEN x", "-ERR value is not an integer or out of range\r\n");
  CheckReply(&client, "LCS a b x", "-ERR syntax error\r\n");
  // Within a transaction it sees what that wrote.
  CheckReply(&client, "MULTI", "+OK\r\n");
  CheckReply(&client, "SET a text", "+QUEUED\r\n");
  CheckReply(&client, "LCS a b", "+QUEUED\r\n");
  CheckReply(&client, "LCS b a LEN", "+QUEUED\r\n");
  CheckReply(&client, "EXEC", "*3\r\n+OK\r\n$4\r\ntext\r\n:4\r\n");
}

TEST_CASE("the length that LCS finds is the longest that there is") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress());
  uint32_t seed = 7;
  const auto text = [&seed] {
    std::string made;
    seed = seed * 1'103'515'245 + 12'345;
    const size_t bytes = 1 + (seed >> 16) % 9;
    while (made.size() < bytes) {
      seed = seed * 1'103'515'245 + 12'345;
      made.push_back(static_cast<char>('a' + (seed >> 16) % 3));
    }
    return made;
  };
  for (int i = 0; i < 200; i++) {
    const std::string a = text(), b = text();
    CheckReply(&client, fmt::format("MSET a {} b {}", a, b), "+OK\r\n");
    CheckReply(&client, "LCS a b LEN", fmt::format(":{}\r\n", LongestOf(a, b)));
  }
}

TEST_CASE(
    "LCS of long values is done in steps, beside the loop, and what would take more than a value may be is refused") {
  ServerFixture fixture(WithRedis());
  WireClient client(fixture.server->RedisAddress()), other(fixture.server->RedisAddress());
  // 4 million cells: more than one step.
  const std::string a(2000, 'a');
  const std::string b = std::string(1000, 'b') + std::string(1000, 'a');
  CheckReply(&client, "MSET a " + a + " b " + b, "+OK\r\n");
  CheckReply(&client, "LCS a b LEN", ":1000\r\n");
  CheckReply(&client, "LCS a b", "$1000\r\n" + a.substr(1000) + "\r\n");
  CheckReply(&client, "SET c " + std::string(2100, 'a'), "+OK\r\n");
  CheckReply(&client, "LCS a c LEN",
             "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len\r\n");
  CheckReply(&other, "PING", "+PONG\r\n");
  CHECK(fixture.server->Stats().memory_bytes < 100'000);
}

}  // namespace bandb::test
