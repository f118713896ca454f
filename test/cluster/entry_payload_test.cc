#include "cluster/entry_payload.h"

#include <string>
#include <vector>

#include "kv/batch_format.h"
#include "kv/limits.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

std::string Operations(uint64_t ttl_ms) {
  std::string bytes;
  kv::AppendOperation(&bytes, {.kind = kv::Kind::kPut, .key = "a", .value = "1"});
  kv::AppendOperation(&bytes, {.kind = kv::Kind::kPutWithExpiry, .key = "b", .value = "2", .expiry_ms = ttl_ms});
  return bytes;
}

TEST_CASE("An entry brings its commands, with absolute times in place of times to live", "[entry_payload]") {
  EntryBuilder builder(1000);
  const std::string operations = Operations(60);
  REQUIRE(builder.Add({.session = 7, .number = 300, .conditions = {}, .operations = operations}));
  REQUIRE(builder.Add({}));
  CHECK(builder.count() == 2);
  const std::string payload = builder.Build();
  CHECK(payload.size() <= builder.bytes());
  DecodedEntry entry;
  REQUIRE(DecodeCommands(payload, &entry));
  CHECK(entry.commit_time_ms == 1000);
  REQUIRE(entry.commands.size() == 2);
  CHECK(entry.commands[0].session == 7);
  CHECK(entry.commands[0].number == 300);
  CHECK(entry.commands[0].operations == Operations(1060));
  CHECK(entry.commands[1].session == kNoSession);
  CHECK(entry.commands[1].operations.empty());
}

TEST_CASE("What no replica could apply does not get into an entry", "[entry_payload]") {
  const std::string long_key(kv::kKeyBytesMax + 1, 'k');
  const std::string good_key(kv::kKeyBytesMax, 'k');
  std::vector<std::string> bytes(6);
  kv::AppendOperation(&bytes[0], {.kind = kv::Kind::kPut, .key = long_key, .value = "v"});
  kv::AppendOperation(&bytes[1], {.kind = kv::Kind::kRangeDelete, .key = "a", .value = long_key});
  kv::AppendOperation(&bytes[2], {.kind = kv::Kind::kRangeDelete, .key = "a", .value = {}});
  bytes[3] = Operations(1).substr(1);
  WriteBatch batch;
  batch.RequireAbsent(long_key);
  bytes[4] = WriteBatchAccess::Conditions(batch);
  EntryBuilder builder(1);
  for (size_t i = 0; i < 4; ++i) CHECK_FALSE(builder.Add({.operations = bytes[i]}));
  CHECK_FALSE(builder.Add({.conditions = bytes[4]}));
  CHECK(builder.count() == 0);
  kv::AppendOperation(&bytes[5], {.kind = kv::Kind::kRangeDelete, .key = "a", .value = good_key});
  CHECK(builder.Add({.operations = bytes[5]}));
}

TEST_CASE("The bytes of an entry are fixed", "[entry_payload]") {
  EntryBuilder builder(300);
  std::string operations;
  kv::AppendOperation(&operations, {.kind = kv::Kind::kPut, .key = "k", .value = "v"});
  REQUIRE(builder.Add({.session = 5, .number = 1, .conditions = {}, .operations = operations}));
  CHECK(builder.Build() == std::string("\x01\xac\x02\x01\x05\x01\0\x05\x01\x01k\x01v", 13));
}

TEST_CASE("An entry that moves nothing but time", "[entry_payload]") {
  DecodedEntry entry;
  REQUIRE(DecodeCommands(EntryBuilder(42).Build(), &entry));
  CHECK(entry.commit_time_ms == 42);
  CHECK(entry.commands.empty());
}

TEST_CASE("Malformed operations are neither taken nor given", "[entry_payload]") {
  EntryBuilder builder(1);
  const std::string operations = Operations(1);
  CHECK_FALSE(builder.Add({.operations = std::string_view(operations).substr(0, 3)}));
  CHECK_FALSE(builder.Add({.conditions = "\xff"}));
  CHECK(builder.count() == 0);
  REQUIRE(builder.Add({.session = 1, .number = 1, .operations = operations}));
  const std::string payload = builder.Build();
  DecodedEntry entry;
  for (size_t size = 0; size < payload.size(); ++size) {
    CHECK_FALSE(DecodeCommands(std::string_view(payload).substr(0, size), &entry));
  }
  CHECK_FALSE(DecodeCommands(payload + "x", &entry));
  std::string newer = payload;
  newer[0] = 2;
  CHECK_FALSE(DecodeCommands(newer, &entry));
}

}  // namespace
}  // namespace bandb::cluster
