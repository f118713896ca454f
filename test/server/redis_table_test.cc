// What commands there are, and what all of them share.
#include <algorithm>
#include <string>

#include "server/redis_command.h"
#include "support/catch.h"

namespace bandb::test {

using server::EqualsIgnoringCase;
using server::FindRedisCommand;
using server::MatchesPattern;
using server::RedisCommand;

TEST_CASE("every command is found by its name, in letters of any case, and by no other") {
  for (const RedisCommand& command : server::RedisCommands()) {
    std::string upper(command.name);
    for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
    CHECK(FindRedisCommand(command.name) == &command);
    CHECK(FindRedisCommand(upper) == &command);
    CHECK(FindRedisCommand(upper + "X") == nullptr);
    CHECK_FALSE(server::IsForeignRedisCommand(command.name));
    // Its keys are among the arguments that it has at least, and it has something to run.
    const auto least = static_cast<size_t>(std::abs(command.arity));
    for (const size_t at : command.Keys(least)) CHECK(at < least);
    CHECK((command.run != nullptr) == !command.Has(RedisCommand::kSession));
  }
  for (const char* name : {"", "x", "getx", "ge", "hset", "a name that is longer than every command"}) {
    CHECK(FindRedisCommand(name) == nullptr);
  }
  for (const char* name : {"hset", "HSET", "subscribe", "ZADD", "eval"}) CHECK(server::IsForeignRedisCommand(name));
}

TEST_CASE("the keys of a command are those that the table says") {
  const auto keys = [](const char* name, size_t arguments) { return FindRedisCommand(name)->Keys(arguments); };
  CHECK(keys("get", 2) == std::vector<size_t>{1});
  CHECK(keys("mget", 4) == std::vector<size_t>{1, 2, 3});
  CHECK(keys("mset", 5) == std::vector<size_t>{1, 3});
  CHECK(keys("rename", 3) == std::vector<size_t>{1, 2});
  CHECK(keys("copy", 6) == std::vector<size_t>{1, 2});
  CHECK(keys("set", 9) == std::vector<size_t>{1});
  CHECK(keys("ping", 2).empty());
  CHECK(keys("keys", 2).empty());
}

TEST_CASE("words are equal in letters of any case, and only those") {
  CHECK(EqualsIgnoringCase("EX", "ex"));
  CHECK(EqualsIgnoringCase("", ""));
  CHECK_FALSE(EqualsIgnoringCase("ex", "exx"));
  CHECK_FALSE(EqualsIgnoringCase("[", "{"));
  CHECK(server::ToLower("GeT-[Z") == "get-[z");
}

TEST_CASE("patterns match as Redis' do") {
  const struct {
    const char* pattern;
    const char* text;
    bool matches;
  } rows[] = {
      {"*", "", true},
      {"", "", true},
      {"?", "", false},
      {"**", "", false},
      {"a*c", "abbc", true},
      {"a*c", "ab", false},
      {"*a*b*", "xaxbx", true},
      {"h?llo", "hello", true},
      {"h[ae]llo", "hello", true},
      {"h[^e]llo", "hello", false},
      {"h[a-f]llo", "hello", true},
      {"h[f-a]llo", "hello", true},
      {"h[ae", "ha", true},
      {"\\*", "*", true},
      {"\\*", "a", false},
      {"[\\]]", "]", true},
      {"a\\", "a\\", true},
      {"[]", "a", false},
      {"[^]", "a", true},
      {"HELLO", "hello", false},
  };
  for (const auto& row : rows) {
    INFO(row.pattern << " and " << row.text);
    CHECK(MatchesPattern(row.pattern, row.text) == row.matches);
  }
}

TEST_CASE("a pattern with many stars takes no longer than the product of the two lengths") {
  std::string pattern;
  for (int i = 0; i < 30; i++) pattern += "a*";
  // With a search that tries every split this would not end.
  CHECK_FALSE(MatchesPattern(pattern + "b", std::string(200, 'a')));
}

TEST_CASE("a cursor is good until so many newer ones were given out") {
  server::RedisCursors cursors;
  std::string key;
  CHECK_FALSE(cursors.Find(0, &key));
  CHECK_FALSE(cursors.Find(1, &key));
  const uint64_t first = cursors.Add("first");
  REQUIRE(first != 0);
  for (int i = 0; i < 4095; i++) cursors.Add("another");
  REQUIRE(cursors.Find(first, &key));
  CHECK(key == "first");
  // Again, since a reply may be lost.
  CHECK(cursors.Find(first, &key));
  cursors.Add("one too many");
  CHECK_FALSE(cursors.Find(first, &key));
  CHECK_FALSE(cursors.Find(UINT64_MAX, &key));
}

TEST_CASE("who makes many cursors, or has long keys, loses their own and nobody else's") {
  server::RedisCursors cursors;
  std::string key;
  const uint64_t mine = cursors.Add("mine", "ann");
  for (int i = 0; i < 10'000; i++) cursors.Add("another", "bob");
  CHECK(cursors.Find(mine, &key));
  const std::string longest(64 << 10, 'k');
  for (int i = 0; i < 1000; i++) cursors.Add(longest, "carl");
  REQUIRE(cursors.Find(mine, &key));
  CHECK(key == "mine");
  // Many who have one each: the room is bounded all the same.
  for (int i = 0; i < 10'000; i++) cursors.Add("k", std::to_string(i));
  int known = 0;
  for (uint64_t cursor = 1; cursor <= 21'001; cursor++) known += cursors.Find(cursor, &key) ? 1 : 0;
  CHECK(known == 4096);
}

TEST_CASE("cursors keep no more than 4 MiB, however long the keys are") {
  server::RedisCursors cursors;
  std::string key;
  const std::string longest(64 << 10, 'k');
  const uint64_t first = cursors.Add(longest);
  for (int i = 0; i < 63; i++) cursors.Add(longest);
  CHECK(cursors.Find(first, &key));
  const uint64_t last = cursors.Add("one more byte would do");
  CHECK_FALSE(cursors.Find(first, &key));
  REQUIRE(cursors.Find(first + 1, &key));
  CHECK(key == longest);
  REQUIRE(cursors.Find(last, &key));
  CHECK(key == "one more byte would do");
  // What was forgotten made room.
  cursors.Add(longest.substr(0, 60'000));
  CHECK(cursors.Find(first + 1, &key));
}

TEST_CASE("a cursor that was just given is known, however many connections came and went") {
  server::RedisCursors cursors;
  for (int owner = 0; owner < 20'000; ++owner) {
    const uint64_t cursor = cursors.Add(std::string(8 + owner % 57, 'k'), std::to_string(owner));
    std::string key;
    REQUIRE(cursors.Find(cursor, &key));
  }
  // One that begins again and again loses its own, and nobody else's.
  const uint64_t another = cursors.Add("key", "another");
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t cursor = cursors.Add("k", "again and again");
    std::string key;
    REQUIRE(cursors.Find(cursor, &key));
  }
  std::string key;
  CHECK(cursors.Find(another, &key));
}

}  // namespace bandb::test
