#include "proto/request.h"

#include <functional>
#include <string>

#include "base/random.h"
#include "proto/frame.h"
#include "proto/message_id.h"
#include "support/catch.h"

namespace bandb::proto {
namespace {

std::string_view PayloadOf(const std::string& frame_bytes, MessageId id) {
  Frame frame;
  size_t needed = 0;
  REQUIRE(CutFrame(frame_bytes, kFrameBytesHardMax, &frame, &needed) == CutResult::kFrame);
  REQUIRE(frame.ByteSize() == frame_bytes.size());
  REQUIRE(frame.message_id == static_cast<uint32_t>(id));
  return frame.payload;
}

bool BatchIsWellFormed(std::string_view payload) {
  BatchReader cursor(payload);
  BatchCondition condition;
  BatchOperation operation;
  while (cursor.NextCondition(&condition)) {
  }
  while (cursor.NextOperation(&operation)) {
  }
  return cursor.Complete();
}

// A payload is well-formed as it is, and malformed when it is cut at any byte or has one more.
void CheckExact(std::string_view payload, const std::function<bool(std::string_view)>& decode) {
  CHECK(decode(payload));
  for (size_t cut = 0; cut < payload.size(); cut++) CHECK_FALSE(decode(payload.substr(0, cut)));
  CHECK_FALSE(decode(std::string(payload) + "x"));
}

bool PutIsWellFormed(std::string_view payload) {
  std::string_view key, value;
  return DecodePut(payload, &key, &value);
}
bool KeyIsWellFormed(std::string_view payload) {
  std::string_view key;
  return DecodeKey(payload, &key);
}
bool ScanIsWellFormed(std::string_view payload) {
  Scan scan;
  return DecodeScan(payload, &scan);
}
bool HelloIsWellFormed(std::string_view payload) {
  Hello hello;
  return DecodeHello(payload, &hello);
}

}  // namespace

TEST_CASE("PUT, GET and DELETE stand byte for byte as the original client writes them") {
  std::string bytes;
  AppendPut(&bytes, "name", "Alice");
  CHECK(bytes == std::string("\x11\0\0\0\x01\0\0\0\x04\0\0\0\x05\0\0\0nameAlice", 25));
  bytes.clear();
  AppendGet(&bytes, "name");
  CHECK(bytes == std::string("\x08\0\0\0\x02\0\0\0\x04\0\0\0name", 16));
  bytes.clear();
  AppendDelete(&bytes, "name");
  CHECK(bytes == std::string("\x08\0\0\0\x03\0\0\0\x04\0\0\0name", 16));
}

TEST_CASE("PUT decodes to views of its payload, and only if its lengths add up exactly") {
  std::string bytes;
  AppendPut(&bytes, std::string("k\0y", 3), "");
  const std::string_view payload = PayloadOf(bytes, MessageId::kPut);
  std::string_view key, value;
  REQUIRE(DecodePut(payload, &key, &value));
  CHECK(key == std::string_view("k\0y", 3));
  CHECK(value.empty());
  CheckExact(payload, PutIsWellFormed);
  CHECK_FALSE(PutIsWellFormed(std::string("\xff\xff\xff\xff\xff\xff\xff\xffxx", 10)));
  CHECK_FALSE(PutIsWellFormed(std::string("\x01\0\0\0\xff\xff\xff\xffxx", 10)));
}

TEST_CASE("GET and DELETE decode only if their length adds up exactly") {
  std::string bytes;
  AppendGet(&bytes, "a key");
  CheckExact(PayloadOf(bytes, MessageId::kGet), KeyIsWellFormed);
  bytes.clear();
  AppendDelete(&bytes, "");
  CheckExact(PayloadOf(bytes, MessageId::kDelete), KeyIsWellFormed);
  CHECK_FALSE(KeyIsWellFormed("\xff\xff\xff\xffkey"));
}

TEST_CASE("HELLO carries a range of versions, features and a bounded name") {
  std::string bytes;
  AppendHello(&bytes, {.version_min = 1, .version_max = 3, .features = 5, .name = "test"});
  const std::string_view payload = PayloadOf(bytes, MessageId::kHello);
  Hello hello;
  REQUIRE(DecodeHello(payload, &hello));
  CHECK(hello.version_max == 3);
  CHECK(hello.features == 5);
  CHECK(hello.name == "test");
  CheckExact(payload, HelloIsWellFormed);
  bytes.clear();
  AppendHello(&bytes, {.version_min = 2, .version_max = 1, .features = 0, .name = ""});
  CHECK_FALSE(HelloIsWellFormed(PayloadOf(bytes, MessageId::kHello)));
  bytes.clear();
  const std::string long_name(kHelloNameBytesMax + 1, 'n');
  AppendHello(&bytes, {.name = long_name});
  CHECK_FALSE(HelloIsWellFormed(PayloadOf(bytes, MessageId::kHello)));
}

TEST_CASE("a HELLO with feature 2 says who asks, byte by byte") {
  std::string bytes;
  AppendHello(&bytes, {.features = kFeatureUsers, .name = "n", .user = "ab", .token = "cde"});
  const std::string_view payload = PayloadOf(bytes, MessageId::kHello);
  CHECK(payload == std::string_view("\1\0\1\0\2\0\0\0\0\0\0\0\1\0\0\0n\2\0\0\0\3\0\0\0abcde", 30));
  Hello hello;
  REQUIRE(DecodeHello(payload, &hello));
  CHECK(hello.user == "ab");
  CHECK(hello.token == "cde");
  CheckExact(payload, HelloIsWellFormed);
  const std::string long_user(kHelloUserBytesMax + 1, 'u'), long_token(kHelloTokenBytesMax + 1, 't');
  bytes.clear();
  AppendHello(&bytes, {.features = kFeatureUsers, .user = long_user});
  CHECK_FALSE(HelloIsWellFormed(PayloadOf(bytes, MessageId::kHello)));
  bytes.clear();
  AppendHello(&bytes, {.features = kFeatureUsers, .token = long_token});
  CHECK_FALSE(HelloIsWellFormed(PayloadOf(bytes, MessageId::kHello)));
  // Without the feature they are not there.
  bytes.clear();
  AppendHello(&bytes, {.user = "ab", .token = "cde"});
  REQUIRE(DecodeHello(PayloadOf(bytes, MessageId::kHello), &hello));
}

TEST_CASE("BATCH carries conditions and operations of every kind") {
  BatchBuilder builder;
  builder.Require({BatchCheck::kHasValue, "a", "1"});
  builder.Require({BatchCheck::kAbsent, "b", ""});
  builder.Add({BatchKind::kPut, "a", "2"});
  builder.Add({BatchKind::kPutWithTtl, "c", "3", 1500});
  builder.Add({BatchKind::kDelete, "d", ""});
  builder.Add({BatchKind::kRangeDelete, "e", "f"});
  builder.Add({.kind = BatchKind::kPutUntil, .key = "g", .value = "4", .expires_ms = 77});
  std::string bytes;
  builder.AppendTo(&bytes);
  const std::string_view payload = PayloadOf(bytes, MessageId::kBatch);

  BatchReader cursor(payload);
  BatchCondition condition;
  BatchOperation operation;
  CHECK_FALSE(cursor.NextOperation(&operation));  // not before the conditions were taken
  REQUIRE(cursor.NextCondition(&condition));
  CHECK(condition.check == BatchCheck::kHasValue);
  CHECK(condition.value == "1");
  REQUIRE(cursor.NextCondition(&condition));
  CHECK_FALSE(cursor.NextCondition(&condition));
  REQUIRE(cursor.NextOperation(&operation));
  REQUIRE(cursor.NextOperation(&operation));
  CHECK(operation.kind == BatchKind::kPutWithTtl);
  CHECK(operation.ttl_ms == 1500);
  REQUIRE(cursor.NextOperation(&operation));
  CHECK_FALSE(cursor.Complete());
  REQUIRE(cursor.NextOperation(&operation));
  CHECK(operation.key == "e");
  CHECK(operation.value == "f");
  REQUIRE(cursor.NextOperation(&operation));
  CHECK(operation.kind == BatchKind::kPutUntil);
  CHECK(operation.ttl_ms == 0);
  CHECK(operation.expires_ms == 77);
  CHECK(cursor.Complete());
  CheckExact(payload, BatchIsWellFormed);
}

TEST_CASE("BATCH refuses unknown flags, kinds and checks, and counts that its bytes cannot hold") {
  BatchBuilder builder;
  builder.Require({BatchCheck::kPresent, "a", ""});
  builder.Add({BatchKind::kPut, "a", "2"});
  std::string bytes;
  builder.AppendTo(&bytes);
  std::string payload(PayloadOf(bytes, MessageId::kBatch));
  REQUIRE(BatchIsWellFormed(payload));
  std::string changed = payload;
  changed[0] = 1;
  CHECK_FALSE(BatchIsWellFormed(changed));
  changed = payload;
  changed[9] = 3;  // the check
  CHECK_FALSE(BatchIsWellFormed(changed));
  changed = payload;
  changed[19] = 4;  // the kind
  CHECK_FALSE(BatchIsWellFormed(changed));
  // A million elements announced, none there: refused at the first, and nothing was allocated for
  // them.
  CHECK_FALSE(BatchIsWellFormed(std::string("\0\0\0\0\0\x40\x42\x0f\0", 9)));
  CHECK_FALSE(BatchIsWellFormed(std::string("\0\xff\xff\xff\xff\xff\xff\xff\xff", 9)));
}

TEST_CASE("SCAN carries bounds, limits, direction and cursor") {
  std::string bytes;
  AppendScan(&bytes, {.reverse = true,
                      .keys_only = true,
                      .expiries = true,
                      .entries_max = 10,
                      .bytes_max = 99,
                      .begin = "b",
                      .limit = "l",
                      .cursor = "cc"});
  const std::string_view payload = PayloadOf(bytes, MessageId::kScan);
  Scan scan;
  REQUIRE(DecodeScan(payload, &scan));
  CHECK(scan.reverse);
  CHECK(scan.keys_only);
  CHECK(scan.expiries);
  CHECK(scan.entries_max == 10);
  CHECK(scan.bytes_max == 99);
  CHECK(scan.begin == "b");
  CHECK(scan.limit == "l");
  CHECK(scan.cursor == "cc");
  CheckExact(payload, ScanIsWellFormed);
  std::string changed(payload);
  changed[0] = 16;
  CHECK_FALSE(ScanIsWellFormed(changed));
}

TEST_CASE("SCAN of a snapshot carries its number, which is never 0") {
  std::string bytes;
  AppendScan(&bytes, {.begin = "b", .snapshot = 0x0102030405060708});
  const std::string_view payload = PayloadOf(bytes, MessageId::kScan);
  CHECK(payload == std::string("\x08\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01"
                               "b",
                               30));
  Scan scan;
  REQUIRE(DecodeScan(payload, &scan));
  CHECK(scan.snapshot == 0x0102030405060708);
  CheckExact(payload, ScanIsWellFormed);
  std::string zero(payload);
  zero.replace(21, 8, 8, '\0');
  CHECK_FALSE(ScanIsWellFormed(zero));
}

TEST_CASE("SNAPSHOT takes without a number, and renews and drops with one") {
  const struct {
    SnapshotRequest request;
    bool good;
  } rows[] = {{{.action = SnapshotAction::kTake, .lease_ms = 9}, true},
              {{.action = SnapshotAction::kTake}, true},
              {{.action = SnapshotAction::kTake, .id = 1}, false},
              {{.action = SnapshotAction::kRenew, .lease_ms = 9, .id = 1}, true},
              {{.action = SnapshotAction::kRenew, .lease_ms = 9}, false},
              {{.action = SnapshotAction::kDrop, .id = 1}, true},
              {{.action = SnapshotAction::kDrop, .lease_ms = 9, .id = 1}, false},
              {{.action = static_cast<SnapshotAction>(3), .id = 1}, false}};
  const auto is_well_formed = [](std::string_view payload) {
    SnapshotRequest decoded;
    return DecodeSnapshot(payload, &decoded);
  };
  for (const auto& row : rows) {
    std::string bytes;
    AppendSnapshot(&bytes, row.request);
    const std::string_view payload = PayloadOf(bytes, MessageId::kSnapshot);
    CHECK(is_well_formed(payload) == row.good);
    if (!row.good) continue;
    CheckExact(payload, is_well_formed);
    SnapshotRequest decoded;
    REQUIRE(DecodeSnapshot(payload, &decoded));
    CHECK(decoded.action == row.request.action);
    CHECK(decoded.lease_ms == row.request.lease_ms);
    CHECK(decoded.id == row.request.id);
  }
  std::string taken;
  AppendSnapshot(&taken, {.lease_ms = 0x0a});
  CHECK(PayloadOf(taken, MessageId::kSnapshot) == std::string("\0\x0a\0\0\0\0\0\0\0\0\0\0\0", 13));
}

TEST_CASE("ADMIN carries words") {
  std::string bytes;
  const std::string_view words[] = {"compact", "", std::string_view("a\0b", 3)};
  AppendAdmin(&bytes, words);
  const std::string_view payload = PayloadOf(bytes, MessageId::kAdmin);
  std::vector<std::string_view> decoded;
  REQUIRE(DecodeAdmin(payload, &decoded));
  CHECK(decoded == std::vector<std::string_view>(std::begin(words), std::end(words)));
  const auto is_well_formed = [](std::string_view any) {
    std::vector<std::string_view> found;
    return DecodeAdmin(any, &found);
  };
  CheckExact(payload, is_well_formed);
  // A count alone makes nothing.
  CHECK_FALSE(is_well_formed(std::string_view("\xff\xff\xff\xff", 4)));
  bytes.clear();
  AppendAdmin(&bytes, std::vector<std::string_view>(kAdminWordsMax + 1));
  CHECK_FALSE(is_well_formed(PayloadOf(bytes, MessageId::kAdmin)));
}

TEST_CASE("garbage never makes a decoder read outside its payload or hang") {
  base::Random random(2);
  for (int round = 0; round < 20000; round++) {
    // On the heap with its exact size, so that the address sanitizer sees a byte too far.
    std::string garbage;
    for (uint64_t i = random.Uniform(40); i > 0; i--) {
      garbage.push_back(static_cast<char>(random.OneIn(2) ? random.Uniform(3) : random.Next()));
    }
    garbage.shrink_to_fit();
    PutIsWellFormed(garbage);
    KeyIsWellFormed(garbage);
    HelloIsWellFormed(garbage);
    ScanIsWellFormed(garbage);
    BatchIsWellFormed(garbage);
  }
}

}  // namespace bandb::proto
