// What users see of a batch: its items, and its bytes.
#include "bandb/write_batch.h"

#include <fmt/format.h>

#include <string>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/random.h"
#include "kv/batch_format.h"
#include "kv/limits.h"
#include "support/catch.h"

namespace bandb {

namespace {

std::string RandomBytes(base::Random* random) {
  std::string bytes(random->Uniform(random->OneIn(10) ? 300 : 6), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random->Next());
  return bytes;
}

void AddRandom(base::Random* random, WriteBatch* batch) {
  const std::string key = RandomBytes(random), value = RandomBytes(random);
  switch (random->Uniform(10)) {
    case 0:
      return batch->Put(key, value);
    case 1:
      return batch->PutWithTtl(key, value, absl::Milliseconds(random->Next() >> random->Uniform(64) >> 1));
    case 2:
      return batch->PutUntil(key, value,
                             absl::FromUnixMillis(static_cast<int64_t>(random->Next() >> random->Uniform(64) >> 1)));
    case 3:
      return batch->Delete(key);
    case 4:
      return batch->DeleteRange(key, value);
    case 5:
      return batch->RequireValue(key, value);
    case 6:
      return batch->RequirePresent(key);
    case 7:
      return batch->RequireAbsent(key);
    case 8:
      return batch->RequireVersion(key, random->Next() >> random->Uniform(64));
    default:
      return batch->RequireEmptyRange(key, value);
  }
}

WriteBatch RandomBatch(base::Random* random) {
  WriteBatch batch;
  for (uint64_t n = random->Uniform(12); n > 0; --n) AddRandom(random, &batch);
  return batch;
}

// All that a store goes by.
void CheckSame(const WriteBatch& a, const WriteBatch& b) {
  CHECK(WriteBatchAccess::Operations(a) == WriteBatchAccess::Operations(b));
  CHECK(WriteBatchAccess::Conditions(a) == WriteBatchAccess::Conditions(b));
  CHECK(a.OperationCount() == b.OperationCount());
  CHECK(a.ConditionCount() == b.ConditionCount());
  CHECK(WriteBatchAccess::RangeDeleteCount(a) == WriteBatchAccess::RangeDeleteCount(b));
  CHECK(WriteBatchAccess::KeyBytesMax(a) == WriteBatchAccess::KeyBytesMax(b));
  CHECK(WriteBatchAccess::ValueBytesMax(a) == WriteBatchAccess::ValueBytesMax(b));
  CHECK(WriteBatchAccess::HasEmptyLimit(a) == WriteBatchAccess::HasEmptyLimit(b));
  CHECK(WriteBatchAccess::HasTimeToLive(a) == WriteBatchAccess::HasTimeToLive(b));
}

// With the checksum that it should have.
std::string Sealed(std::string bytes) {
  base::PutFixed64(&bytes, base::Hash64(bytes));
  return bytes;
}

}  // namespace

TEST_CASE("a batch shows its conditions and then its operations as they were added") {
  WriteBatch batch;
  batch.Put("a", "1");
  batch.RequireVersion("b", 300);
  batch.PutWithTtl("c", "2", absl::Microseconds(1500));
  batch.RequireEmptyRange("d", "e");
  batch.PutUntil("f", "3", absl::FromUnixMillis(5000));
  batch.RequireValue("g", "4");
  batch.DeleteRange("h", "i");
  batch.Delete("j");
  batch.RequirePresent("k");
  batch.RequireAbsent("l");
  CHECK(batch.OperationCount() == 5);
  CHECK(batch.ConditionCount() == 5);
  CHECK_FALSE(batch.empty());
  std::string seen;
  batch.ForEach([&](const BatchItem& item) {
    CHECK(item.IsCondition() == (item.kind >= BatchItemKind::kRequireValue));
    seen += std::to_string(static_cast<int>(item.kind)) + ":" + std::string(item.key) + "=" + std::string(item.value) +
            "," + std::string(item.limit) + "," + std::to_string(item.version);
    if (item.ttl != absl::InfiniteDuration()) seen += "," + absl::FormatDuration(item.ttl);
    if (item.expiry != absl::InfiniteFuture()) seen += "," + std::to_string(absl::ToUnixMillis(item.expiry));
    seen += " ";
  });
  CHECK(seen == "8:b=,,300 9:d=,e,0 5:g=4,,0 6:k=,,0 7:l=,,0 0:a=1,,0 1:c=2,,0,2ms 2:f=3,,0,5000 4:h=,i,0 3:j=,,0 ");
  batch.Clear();
  CHECK(batch.empty());
  batch.ForEach([](const BatchItem&) { FAIL("nothing is there"); });
}

TEST_CASE("a batch made of the items of another one, appended or read from its bytes is the same batch") {
  base::Random random(1);
  for (int round = 0; round < 500; ++round) {
    const WriteBatch batch = RandomBatch(&random);
    WriteBatch added;
    batch.ForEach([&](const BatchItem& item) { added.Add(item); });
    CheckSame(added, batch);

    const std::string bytes = batch.Serialize();
    const absl::StatusOr<WriteBatch> parsed = WriteBatch::Parse(bytes);
    REQUIRE_OK(parsed.status());
    CheckSame(*parsed, batch);

    const WriteBatch other = RandomBatch(&random);
    WriteBatch joined = batch;
    joined.Append(other);
    other.ForEach([&](const BatchItem& item) { added.Add(item); });
    CheckSame(joined, added);
    WriteBatch doubled = batch;
    doubled.Append(doubled);
    CHECK(doubled.Count() == 2 * batch.Count());
    CHECK(doubled.ByteSize() == 2 * batch.ByteSize());
  }
}

TEST_CASE("bytes of a batch that were changed anywhere, or cut, are refused") {
  WriteBatch batch;
  batch.RequireVersion("key", 1000);
  batch.PutWithTtl("key", "value", absl::Seconds(1));
  batch.DeleteRange("a", "b");
  const std::string bytes = batch.Serialize();
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      CHECK_CODE(WriteBatch::Parse(changed).status(), kDataLoss);
    }
    CHECK_CODE(WriteBatch::Parse(std::string_view(bytes).substr(0, at)).status(), kDataLoss);
  }
  CHECK_CODE(WriteBatch::Parse(bytes + "x").status(), kDataLoss);
}

TEST_CASE("forged bytes of a batch are refused though their checksum is right") {
  const auto parse = [](const std::string& bytes) { return WriteBatch::Parse(Sealed(bytes)).status(); };
  CHECK_OK(parse(std::string("\x01\0\0", 3)));
  CHECK_CODE(parse(""), kDataLoss);
  CHECK_CODE(parse(std::string("\0\0\0", 3)), kDataLoss);
  // Of a later release.
  CHECK_CODE(parse(std::string("\x02\0\0", 3)), kFailedPrecondition);
  // Something after the end, and less than was said.
  CHECK_CODE(parse(std::string("\x01\0\0\0", 4)), kDataLoss);
  CHECK_CODE(parse(std::string("\x01\0\x05\x01\x01k\x01", 7)), kDataLoss);
  CHECK_CODE(parse("\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), kDataLoss);
  // Kinds that no batch has: one that is reserved, one that is unknown, and a condition that is.
  CHECK_CODE(parse(std::string("\x01\0\x05\x04\x01k\x01v", 8)), kDataLoss);
  CHECK_CODE(parse(std::string("\x01\0\x05\x77\x01k\x01v", 8)), kDataLoss);
  CHECK_CODE(parse(std::string("\x01\x03\x05\x01k\0", 6)), kDataLoss);
}

TEST_CASE("what a batch may not hold is refused when it is written, not when it is read from bytes") {
  WriteBatch batch;
  batch.RequireEmptyRange("a", std::string(kv::kKeyBytesMax + 1, 'k'));
  CHECK_CODE(kv::CheckBatch(kv::WriteLimits(), batch), kInvalidArgument);
  const absl::StatusOr<WriteBatch> parsed = WriteBatch::Parse(batch.Serialize());
  REQUIRE_OK(parsed.status());
  CHECK_CODE(kv::CheckBatch(kv::WriteLimits(), *parsed), kInvalidArgument);
  // An empty limit is no limit, here.
  batch.Clear();
  batch.RequireEmptyRange("a", "");
  CHECK_OK(kv::CheckBatch(kv::WriteLimits(), batch));
}

TEST_CASE("the bytes of a batch are fixed") {
  WriteBatch batch;
  batch.RequireVersion("v", 300);
  batch.RequireEmptyRange("r", "s");
  batch.Put("k", "x");
  std::string hex;
  for (const char byte : batch.Serialize()) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  CHECK(hex == "010a030176ac0204017201730501016b01781d329acb17d7ae3f");
}

}  // namespace bandb
