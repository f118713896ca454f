#include "storage/engine/entry_conditions.h"

#include <map>
#include <string>

#include "kv/batch_format.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

std::string Encoded(const kv::Operation& operation) {
  std::string bytes;
  kv::AppendOperation(&bytes, operation);
  return bytes;
}

std::string Put(std::string_view key, std::string_view value) {
  return Encoded({.kind = kv::Kind::kPut, .key = key, .value = value});
}

std::string PutUntil(std::string_view key, std::string_view value, uint64_t expiry_ms) {
  return Encoded({.kind = kv::Kind::kPutWithExpiry, .key = key, .value = value, .expiry_ms = expiry_ms});
}

std::string Conditions(const WriteBatch& batch) { return WriteBatchAccess::Conditions(batch); }

std::string Present(std::string_view key) {
  WriteBatch batch;
  batch.RequirePresent(key);
  return Conditions(batch);
}

std::string Value(std::string_view key, std::string_view value) {
  WriteBatch batch;
  batch.RequireValue(key, value);
  return Conditions(batch);
}

std::string Absent(std::string_view key) {
  WriteBatch batch;
  batch.RequireAbsent(key);
  return Conditions(batch);
}

// What was there before the entry, and how often it was asked.
struct Before {
  std::map<std::string, std::string, std::less<>> values;
  int reads = 0;

  EntryConditions::Reader reader() {
    return [this](std::string_view key, PinnedValue* value) {
      ++reads;
      const auto at = values.find(key);
      if (at == values.end()) return absl::NotFoundError("");
      value->Copy(at->second);
      return absl::OkStatus();
    };
  }
};

}  // namespace

TEST_CASE("conditions are held against what was there before the entry") {
  Before before{.values = {{"a", "1"}}};
  EntryConditions conditions;
  for (const std::string& encoded : {Present("a"), Present("b"), Absent("a"), Absent("b"), Value("a", "2")}) {
    REQUIRE_OK(conditions.Read(encoded, before.reader()));
  }
  CHECK(before.reads == 2);
  CHECK(conditions.Hold(Present("a")));
  CHECK_FALSE(conditions.Hold(Absent("a")));
  CHECK(conditions.Hold(Value("a", "1")));
  CHECK_FALSE(conditions.Hold(Value("a", "2")));
  CHECK_FALSE(conditions.Hold(Value("b", "")));
  CHECK(conditions.Hold(Absent("b")));
  CHECK(conditions.Hold(""));
  CHECK(conditions.Hold(Present("a") + Absent("b")));
  CHECK_FALSE(conditions.Hold(Absent("b") + Present("b")));
}

TEST_CASE("writes of the entry that were done count for the conditions of those after them") {
  Before before{.values = {{"a", "1"}, {"b", "1"}, {"c", "1"}}};
  EntryConditions conditions;
  for (const char* key : {"a", "b", "c", "d"}) REQUIRE_OK(conditions.Read(Present(key), before.reader()));

  conditions.Done(Put("d", "new") + Put("unasked", "x"), 100);
  CHECK(conditions.Hold(Value("d", "new")));
  conditions.Done(Encoded({.kind = kv::Kind::kDelete, .key = "a", .value = {}}), 100);
  CHECK(conditions.Hold(Absent("a")));
  // The limit is not part of a range, and one that is the wrong way round holds nothing.
  conditions.Done(Encoded({.kind = kv::Kind::kRangeDelete, .key = "c", .value = "b"}), 100);
  CHECK(conditions.Hold(Present("b") + Present("c")));
  conditions.Done(Encoded({.kind = kv::Kind::kRangeDelete, .key = "a", .value = "c"}), 100);
  CHECK(conditions.Hold(Absent("b") + Present("c")));
}

TEST_CASE("what has expired by the time of the entry is absent for its conditions") {
  Before before;
  EntryConditions conditions;
  REQUIRE_OK(conditions.Read(Present("a"), before.reader()));
  conditions.Done(PutUntil("a", "1", 101), 100);
  CHECK(conditions.Hold(Value("a", "1")));
  conditions.Done(PutUntil("a", "2", 100), 100);
  CHECK(conditions.Hold(Absent("a")));
}

TEST_CASE("a read that fails, and conditions that are malformed, are told") {
  EntryConditions conditions;
  const EntryConditions::Reader fails = [](std::string_view, PinnedValue*) { return absl::DataLossError("rot"); };
  CHECK_CODE(conditions.Read(Present("a"), fails), kDataLoss);
  Before before;
  CHECK_CODE(conditions.Read("\x09", before.reader()), kDataLoss);
  CHECK_CODE(conditions.Read(Value("a", "1").substr(0, 3), before.reader()), kDataLoss);
}

}  // namespace bandb::storage
