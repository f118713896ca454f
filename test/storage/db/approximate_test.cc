// What a range holds, about.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/random_data.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/data/db";
constexpr int kKeys = 20'000;
constexpr uint64_t kValueBytes = 100;

std::string KeyAt(int number) { return NumberedKey(static_cast<uint64_t>(number), 6); }

// In no order, values that do not compress.
void Fill(Db* db) {
  base::Random random(3);
  for (int i = 0; i < kKeys; ++i) {
    // 7919 has no factor in common with the count, so that each number comes once.
    REQUIRE_OK(db->Put(KeyAt(i * 7919 % kKeys), RandomText(&random, kValueBytes)));
  }
}

uint64_t Size(Db* db, std::string_view begin, std::string_view limit) {
  const absl::StatusOr<uint64_t> size = db->ApproximateSize(begin, limit);
  REQUIRE_OK(size.status());
  return *size;
}

uint64_t Count(Db* db, std::string_view begin, std::string_view limit) {
  const absl::StatusOr<uint64_t> count = db->ApproximateCount(begin, limit);
  REQUIRE_OK(count.status());
  return *count;
}

// Both figures of each of these ranges lie within a factor of what is there.
void CheckRanges(Db* db, double factor) {
  const double whole = static_cast<double>(Size(db, "", ""));
  for (const auto& [first, last] :
       {std::pair(0, kKeys), {0, 10'000}, {5'000, 15'000}, {14'000, 20'000}, {7'000, 9'000}}) {
    const std::string begin = KeyAt(first), limit = KeyAt(last);
    const double keys = last - first;
    INFO(begin << " to " << limit);
    const auto count = static_cast<double>(Count(db, begin, limit));
    CHECK(count >= keys / factor);
    CHECK(count <= keys * factor);
    const auto size = static_cast<double>(Size(db, begin, limit));
    CHECK(size >= whole * keys / kKeys / factor);
    CHECK(size <= whole * keys / kKeys * factor);
  }
  CHECK(Size(db, "zzz", "") < whole / 50);
  CHECK(Size(db, "b", "a") == 0);
}

}  // namespace

TEST_CASE("a range of many keys is measured about as it is, in memory and in tables") {
  TestEnv env(1);
  Options options;
  options.table_bytes = 256 << 10;
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
  CHECK(Size(db.get(), "", "") == 0);
  CHECK(Count(db.get(), "", "") == 0);
  Fill(db.get());
  // Leaves are between half full and full.
  CheckRanges(db.get(), 1.7);
  CHECK(Size(db.get(), "", "") > kKeys * kValueBytes);
  REQUIRE_OK(db->Flush());
  CheckRanges(db.get(), 1.15);
  REQUIRE_OK(db->CompactRange("", ""));
  CheckRanges(db.get(), 1.15);
  CHECK(Size(db.get(), "", "") > kKeys * kValueBytes / 2);
  CHECK(Size(db.get(), "", "") < kKeys * (kValueBytes + 40));
  // A second time: what is overwritten counts until it is compacted.
  Fill(db.get());
  CHECK(Count(db.get(), "", "") > kKeys * 3 / 2);
  REQUIRE_OK(db->CompactRange("", ""));
  CheckRanges(db.get(), 1.15);
}

TEST_CASE("a range of few keys is counted, deleted and overwritten ones as they show") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, SmallOptions());
  Fill(db.get());
  CHECK(Count(db.get(), KeyAt(100), KeyAt(101)) == 1);
  CHECK(Count(db.get(), KeyAt(100), KeyAt(300)) == 200);
  WriteBatch batch;
  batch.DeleteRange(KeyAt(100), KeyAt(250));
  REQUIRE_OK(db->Write(batch));
  REQUIRE_OK(db->Delete(KeyAt(260)));
  REQUIRE_OK(db->Put(KeyAt(270), "again"));
  CHECK(Count(db.get(), KeyAt(100), KeyAt(300)) == 49);
  CHECK(Count(db.get(), KeyAt(kKeys - 10), "") == 10);
  CHECK(Count(db.get(), "x", "y") == 0);
}

TEST_CASE("keys that were deleted one by one are no keys, compacted or not") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  Fill(db.get());
  REQUIRE_OK(db->Flush());
  for (int i = 0; i < kKeys; ++i) REQUIRE_OK(db->Delete(KeyAt(i)));
  CHECK(Count(db.get(), "", "") < kKeys / 10);
  REQUIRE_OK(db->Flush());
  CHECK(Count(db.get(), "", "") < kKeys / 10);
  REQUIRE_OK(db->CompactRange("", ""));
  CHECK(Count(db.get(), "", "") == 0);
  CHECK(Size(db.get(), "", "") == 0);
}

TEST_CASE("a database opened for reading measures what it sees, and a closed database answers so") {
  TestEnv env(1);
  {
    const std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
    Fill(db.get());
    REQUIRE_OK(db->Flush());
    const auto reader = storage::OpenDbReadOnly(env.env(), kDir, {});
    REQUIRE_OK(reader.status());
    CheckRanges(reader->get(), 1.15);
  }
  const auto reader = storage::OpenDbReadOnly(env.env(), kDir, {});
  REQUIRE_OK(reader.status());
  CheckRanges(reader->get(), 1.15);
  REQUIRE_OK((*reader)->Close());
  CHECK_CODE((*reader)->ApproximateSize("", "").status(), kFailedPrecondition);
  CHECK_CODE((*reader)->ApproximateCount("", "").status(), kFailedPrecondition);
}

}  // namespace bandb::test
