#include "cluster/entry_payload.h"

#include <string>
#include <vector>

#include "base/coding.h"
#include "cluster/cursors.h"
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

TEST_CASE("Conditions on versions and ranges come through an entry, and those of a later release do not",
          "[entry_payload]") {
  WriteBatch batch;
  batch.RequireVersion("v", 300);
  batch.RequireEmptyRange("r", "");
  const std::string conditions = WriteBatchAccess::Conditions(batch);
  EntryBuilder builder(1000);
  REQUIRE(builder.Add({.conditions = conditions}));
  DecodedEntry entry;
  const std::string payload = builder.Build();
  REQUIRE(DecodeCommands(payload, &entry));
  CHECK(entry.commands.at(0).conditions == conditions);
  // A limit is a key.
  batch.Clear();
  batch.RequireEmptyRange("r", std::string(kv::kKeyBytesMax + 1, 'k'));
  CHECK_FALSE(builder.Add({.conditions = WriteBatchAccess::Conditions(batch)}));
  // As a release without a check sees an entry that has it: neither taken nor applied.
  const size_t at = payload.find(conditions);
  REQUIRE(at != std::string::npos);
  for (int check = 5; check < 256; ++check) {
    std::string later = payload;
    later[at] = static_cast<char>(check);
    CHECK_FALSE(DecodeCommands(later, &entry));
  }
}

TEST_CASE("The bytes of an entry are fixed", "[entry_payload]") {
  EntryBuilder builder(300);
  std::string operations;
  kv::AppendOperation(&operations, {.kind = kv::Kind::kPut, .key = "k", .value = "v"});
  REQUIRE(builder.Add({.session = 5, .number = 1, .conditions = {}, .operations = operations}));
  CHECK(builder.Build() == std::string("\x01\xac\x02\x01\x05\x01\0\x05\x01\x01k\x01v", 13));
}

TEST_CASE("An entry with commands that change cursors says so of each, and no other entry does", "[entry_payload]") {
  std::string drop;
  AppendCursorChange({.kind = CursorChangeKind::kDrop, .name = "c"}, &drop);
  EntryBuilder builder(300);
  CHECK_FALSE(builder.Add({.operations = "no change", .kind = CommandKind::kCursors}));
  CHECK_FALSE(builder.Add({.kind = CommandKind::kCursors}));
  CHECK_FALSE(builder.Add({.conditions = "x", .operations = drop, .kind = CommandKind::kCursors}));
  const std::string operations = Operations(60);
  REQUIRE(builder.Add({.session = 5, .number = 1, .operations = operations}));
  CHECK(builder.Build()[0] == 1);
  REQUIRE(builder.Add({.session = 5, .number = 2, .operations = drop, .kind = CommandKind::kCursors}));
  std::string payload = builder.Build();
  CHECK(payload.size() <= builder.bytes());
  CHECK(payload.substr(0, 6) == std::string("\x02\xac\x02\x02\0\x01", 6));
  DecodedEntry entry;
  REQUIRE(DecodeCommands(payload, &entry));
  REQUIRE(entry.commands.size() == 2);
  CHECK(entry.commands[0].kind == CommandKind::kWrite);
  CHECK(entry.commands[1].kind == CommandKind::kCursors);
  CHECK(entry.commands[1].operations == drop);
  CHECK(entry.commands[1].number == 2);
  for (size_t size = 0; size < payload.size(); ++size) {
    CHECK_FALSE(DecodeCommands(std::string_view(payload).substr(0, size), &entry));
  }
  payload[4] = 2;
  CHECK_FALSE(DecodeCommands(payload, &entry));
}

TEST_CASE("An entry after clocks were accepted says how far it is ahead of them, and absolute times are as far",
          "[entry_payload]") {
  EntryBuilder builder({.commit_ms = 300, .ahead_ms = 200, .accepted_ahead_ms = 250});
  std::string operations;
  const auto put = [&](uint64_t expiry_ms) {
    kv::AppendOperation(&operations,
                        {.kind = kv::Kind::kPutWithExpiry, .key = "k", .value = "v", .expiry_ms = expiry_ms});
  };
  put(50);
  put(kv::kAbsoluteExpiry | 170);
  put(kv::kAbsoluteExpiry | INT64_MAX);
  put(kv::kAbsoluteExpiry | (INT64_MAX - 10));
  REQUIRE(builder.Add({.operations = operations}));
  CHECK_FALSE(builder.Add({.operations = operations, .kind = CommandKind::kAcceptClock}));
  CHECK_FALSE(builder.Add({.conditions = "x", .kind = CommandKind::kAcceptClock}));
  REQUIRE(builder.Add({.session = 5, .number = 1, .kind = CommandKind::kAcceptClock}));
  const std::string payload = builder.Build();
  CHECK(payload.size() <= builder.bytes());
  CHECK(payload.substr(0, 8) == std::string("\x03\xac\x02\xc8\x01\x02\x00\x02", 8));
  CHECK(payload.substr(payload.size() - 6) == std::string("\x05\x01\x00\x02\xfa\x01", 6));
  DecodedEntry entry;
  REQUIRE(DecodeCommands(payload, &entry));
  CHECK(entry.commit_time_ms == 300);
  CHECK(entry.ahead_ms == 200);
  REQUIRE(entry.commands.size() == 2);
  CHECK(AcceptedAheadMs(entry.commands[1]) == 250);
  std::vector<uint64_t> expiries;
  kv::OperationReader reader(entry.commands[0].operations);
  for (kv::Operation operation; reader.Next(&operation);) expiries.push_back(operation.expiry_ms);
  CHECK(expiries == std::vector<uint64_t>{350, 370, INT64_MAX, INT64_MAX});
  for (size_t size = 0; size < payload.size(); ++size) {
    CHECK_FALSE(DecodeCommands(std::string_view(payload).substr(0, size), &entry));
  }
  // Nothing, or more than there is.
  for (const std::string& bad : {std::string("\x03\x05\x00\x00", 4), std::string("\x03\x05\x06\x00", 4)}) {
    CHECK_FALSE(DecodeCommands(bad, &entry));
  }
  // What accepts for the first time is of an entry that is not ahead yet.
  EntryBuilder first({.commit_ms = 300, .accepted_ahead_ms = 250});
  REQUIRE(first.Add({.kind = CommandKind::kAcceptClock}));
  CHECK(first.Build()[0] == 2);
  REQUIRE(DecodeCommands(first.Build(), &entry));
  CHECK(entry.ahead_ms == 0);
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
  newer[0] = 3;
  CHECK_FALSE(DecodeCommands(newer, &entry));
}

TEST_CASE("The commands that an entry announces take no memory before they are there", "[entry_payload]") {
  std::string payload("\x01\x01", 2);
  base::PutVarint(&payload, 1 << 20);
  // A length that there is nothing of.
  payload.append("\x05\x01\x00\x7f", 4);
  payload.append(4 << 20, '\xff');
  DecodedEntry entry;
  CHECK_FALSE(DecodeCommands(payload, &entry));
  CHECK(entry.commands.capacity() < 16);
}

}  // namespace
}  // namespace bandb::cluster
