#include "kv/batch_format.h"

#include <string>
#include <string_view>
#include <utility>

#include "bandb/write_batch.h"
#include "kv/limits.h"
#include "support/absolute_times.h"
#include "support/catch.h"

namespace bandb::kv {

TEST_CASE("a batch holds its operations in the order in which they were added") {
  WriteBatch batch;
  batch.Put("a", "1");
  batch.Delete("b");
  batch.DeleteRange("c", "d");
  batch.PutWithTtl("e", "2", absl::Milliseconds(1500));
  CHECK(batch.Count() == 4);

  OperationReader cursor(WriteBatchAccess::Operations(batch));
  Operation operation;
  REQUIRE(cursor.Next(&operation));
  CHECK(operation.kind == Kind::kPut);
  CHECK(operation.key == "a");
  CHECK(operation.value == "1");
  REQUIRE(cursor.Next(&operation));
  CHECK(operation.kind == Kind::kDelete);
  CHECK(operation.key == "b");
  REQUIRE(cursor.Next(&operation));
  CHECK(operation.kind == Kind::kRangeDelete);
  CHECK(operation.key == "c");
  CHECK(operation.value == "d");
  REQUIRE(cursor.Next(&operation));
  CHECK(operation.kind == Kind::kPutWithExpiry);
  CHECK(operation.expiry_ms == 1500);
  CHECK_FALSE(cursor.Next(&operation));
  CHECK(cursor.ok());
}

TEST_CASE("a batch that was moved from is empty, and holds what it is given next") {
  WriteBatch batch;
  batch.PutWithTtl("key", "value", absl::Seconds(1));
  batch.DeleteRange("a", "");
  batch.RequireAbsent("other");
  const WriteBatch copy = batch;
  WriteBatch moved = std::move(batch);
  CHECK(moved.Count() == 3);
  CHECK(moved.ByteSize() == copy.ByteSize());
  CHECK_CODE(CheckBatch(WriteLimits(), moved), kInvalidArgument);
  CHECK(batch.Count() == 0);  // NOLINT(bugprone-use-after-move): what this is about
  CHECK(batch.ByteSize() == 0);
  CHECK_FALSE(WriteBatchAccess::HasTimeToLive(batch));
  batch.Put("k", "v");
  CHECK(batch.Count() == 1);
  CHECK(WriteBatchAccess::OperationCount(batch) == 1);
  CHECK(WriteBatchAccess::KeyBytesMax(batch) == 1);
  CHECK_OK(CheckBatch(WriteLimits(), batch));
  moved = std::move(batch);
  CHECK(moved.Count() == 1);
  CHECK(batch.Count() == 0);  // NOLINT(bugprone-use-after-move)
}

TEST_CASE("a batch that is cut at any byte is either whole operations or malformed") {
  WriteBatch batch;
  batch.PutWithTtl("key", "value", absl::Seconds(1));
  batch.Delete("other");
  const std::string bytes = WriteBatchAccess::Operations(batch);
  for (size_t length = 1; length < bytes.size(); ++length) {
    OperationReader cursor(std::string_view(bytes).substr(0, length));
    Operation operation;
    int count = 0;
    while (cursor.Next(&operation)) ++count;
    CHECK(cursor.ok() == (count == 1 && length == 1 + 1 + 3 + 8 + 1 + 5));
  }
}

TEST_CASE("what is appended has the size that is reserved for it") {
  const std::string text(200, 'x');
  for (const std::string_view bytes : {std::string_view(), std::string_view("a"), std::string_view(text)}) {
    for (const Kind kind : {Kind::kDelete, Kind::kPut, Kind::kPutWithExpiry, Kind::kRangeDelete}) {
      std::string encoded;
      const Operation operation{.kind = kind, .key = bytes, .value = bytes, .expiry_ms = 300};
      AppendOperation(&encoded, operation);
      CHECK(encoded.size() == EncodedBytes(operation));
    }
    for (const Check check :
         {Check::kHasValue, Check::kPresent, Check::kAbsent, Check::kHasVersion, Check::kEmptyRange}) {
      std::string encoded;
      const Condition condition{.check = check, .key = bytes, .value = bytes, .version = 300};
      AppendCondition(&encoded, condition);
      CHECK(encoded.size() == EncodedBytes(condition));
    }
  }
}

TEST_CASE("reserved and unknown kinds are malformed in a batch") {
  for (int kind = 4; kind < 256; ++kind) {
    std::string bytes(1, static_cast<char>(kind));
    bytes += std::string("\x01k\x01v", 4);
    OperationReader cursor(bytes);
    Operation operation;
    CHECK_FALSE(cursor.Next(&operation));
    CHECK_FALSE(cursor.ok());
  }
}

TEST_CASE("committing a batch turns its times to live into absolute times that never overflow") {
  WriteBatch batch;
  batch.Put("x", "y");
  batch.PutWithTtl("a", "1", absl::Microseconds(1));
  batch.PutWithTtl("b", "2", absl::Seconds(-5));
  batch.PutWithTtl("c", "3", absl::Hours(1'000'000'000));
  std::string operations = WriteBatchAccess::Operations(batch);
  test::MakeTimesAbsolute(&operations, 1000);
  OperationReader cursor(operations);
  Operation operation;
  REQUIRE(cursor.Next(&operation));
  REQUIRE(cursor.Next(&operation));
  CHECK(operation.expiry_ms == 1001);
  REQUIRE(cursor.Next(&operation));
  CHECK(operation.expiry_ms == 1000);
  CHECK(ExpiryAt(UINT64_MAX - 1, 5) == UINT64_MAX);
}

TEST_CASE("committing a batch leaves a time of expiry as it is") {
  WriteBatch batch;
  batch.PutUntil("a", "1", absl::FromUnixMillis(5000));
  batch.PutUntil("b", "2", absl::FromUnixMicros(5000001));
  batch.PutUntil("c", "3", absl::FromUnixSeconds(-100));
  batch.PutUntil("d", "4", absl::InfinitePast());
  batch.PutUntil("e", "5", absl::FromUnixSeconds(int64_t{1} << 60));
  batch.PutUntil("f", "6", absl::InfiniteFuture());
  std::string operations = WriteBatchAccess::Operations(batch);
  CHECK(WriteBatchAccess::HasTimeToLive(batch));
  test::MakeTimesAbsolute(&operations, 1000000);
  OperationReader cursor(operations);
  Operation operation;
  const uint64_t latest = (uint64_t{1} << 63) - 1;
  for (const uint64_t expiry_ms : {uint64_t{5000}, uint64_t{5001}, uint64_t{0}, uint64_t{0}, latest}) {
    REQUIRE(cursor.Next(&operation));
    CHECK(operation.kind == Kind::kPutWithExpiry);
    CHECK(operation.expiry_ms == expiry_ms);
  }
  REQUIRE(cursor.Next(&operation));
  CHECK(operation.kind == Kind::kPut);
  CHECK_FALSE(cursor.Next(&operation));
}

TEST_CASE("a time to live of any length is none of the times of expiry") {
  WriteBatch batch;
  batch.PutWithTtl("a", "1", absl::Seconds(INT64_MAX));
  batch.PutWithTtl("b", "2", absl::Milliseconds(INT64_MAX));
  std::string operations = WriteBatchAccess::Operations(batch);
  test::MakeTimesAbsolute(&operations, 1000);
  OperationReader cursor(operations);
  Operation operation;
  for (int i = 0; i < 2; i++) {
    REQUIRE(cursor.Next(&operation));
    CHECK(operation.expiry_ms > uint64_t{INT64_MAX} - 1000);
  }
}

TEST_CASE("limits are checked for every part of a batch, and follow the memory budget") {
  const WriteLimits limits = LimitsFor(1 << 20);
  CHECK(limits.batch_bytes_max == 256 << 10);
  CHECK(LimitsFor(uint64_t{1} << 40).batch_bytes_max == kBatchBytesMax);

  WriteBatch batch;
  batch.Put(std::string(kKeyBytesMax, 'k'), "v");
  CHECK_OK(CheckBatch(limits, batch));
  batch.Delete(std::string(kKeyBytesMax + 1, 'k'));
  CHECK_CODE(CheckBatch(limits, batch), kInvalidArgument);

  batch.Clear();
  batch.RequirePresent(std::string(kKeyBytesMax + 1, 'k'));
  CHECK_CODE(CheckBatch(limits, batch), kInvalidArgument);

  batch.Clear();
  batch.Put("k", std::string(limits.value_bytes_max + 1, 'v'));
  CHECK_CODE(CheckBatch(limits, batch), kInvalidArgument);

  batch.Clear();
  batch.DeleteRange("k", "");
  CHECK_CODE(CheckBatch(limits, batch), kInvalidArgument);

  batch.Clear();
  for (int i = 0; i < 5; ++i) batch.Put("k", std::string(60 << 10, 'v'));
  CHECK_CODE(CheckBatch(limits, batch), kInvalidArgument);
}

}  // namespace bandb::kv
