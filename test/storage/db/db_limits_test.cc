// Limits that count operations: what is refused, and what the largest batches cost.
#include <memory>
#include <string>

#include "kv/limits.h"
#include "kv/options.h"
#include "storage/db/open_db.h"
#include "storage/memtable/memtable.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {}  // namespace

TEST_CASE("a batch of more operations than the limit is refused, and one of as many is not") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = MustOpen(env.env(), "/db", SmallOptions());
  const kv::WriteLimits limits = kv::LimitsFor(kv::MemoryBudgetBytes(SmallOptions()));
  REQUIRE(limits.batch_operations_max == limits.batch_bytes_max / 64);
  CHECK(kv::LimitsFor(UINT64_MAX).batch_operations_max == 1 << 20);
  WriteBatch batch;
  for (size_t i = 0; i < limits.batch_operations_max; ++i) batch.Put(std::to_string(i % 1000), "");
  CHECK_OK(db->Write(batch));
  batch.Delete("one more");
  CHECK_CODE(db->Write(batch), kInvalidArgument);
  absl::Status outcome;
  db->WriteAsync(batch, {}, [&](absl::Status status) { outcome = std::move(status); });
  env.executor().RunReady();
  CHECK_CODE(outcome, kInvalidArgument);
  batch.Clear();
  for (size_t i = 0; i <= limits.batch_operations_max; ++i) batch.RequireAbsent("no such key");
  CHECK_CODE(db->Write(batch), kInvalidArgument);
  CHECK(db->Get("7").ok());
}

TEST_CASE("the memory for the smallest operations of a batch is bounded by its limits") {
  const kv::WriteLimits limits;
  const size_t bytes = storage::Memtable::CapacityFor(limits.batch_operations_max, limits.batch_bytes_max);
  CHECK(bytes < 4 * limits.batch_bytes_max);
}

TEST_CASE("a batch of more range deletes than the limit is refused; one of as many reads right before and after") {
  TestEnv env(2);
  const std::unique_ptr<Db> db = MustOpen(env.env(), "/db", SmallOptions());
  for (int i = 0; i < 100; ++i) REQUIRE_OK(db->Put("key" + std::to_string(1000 + i), "value"));
  WriteBatch batch;
  // Every other key, many times over.
  for (size_t i = 0; i < kv::kBatchRangeDeletesMax; ++i) {
    const std::string begin = "key" + std::to_string(1000 + 2 * (i % 50));
    batch.DeleteRange(begin, begin + std::string(1, '\0'));
  }
  REQUIRE_OK(db->Write(batch));
  batch.DeleteRange("a", "b");
  CHECK_CODE(db->Write(batch), kInvalidArgument);
  const auto check = [&]() {
    for (int i = 0; i < 100; ++i) {
      const absl::StatusOr<std::string> got = db->Get("key" + std::to_string(1000 + i));
      CHECK(got.ok() == (i % 2 == 1));
    }
    int keys = 0;
    const auto walk = db->NewIterator();
    for (walk->SeekToFirst(); walk->Valid(); walk->Next()) ++keys;
    CHECK(keys == 50);
  };
  check();
  // Its memory counts, so that the next write begins a new memtable.
  CHECK(db->GetStats().memtable_bytes > kv::kBatchRangeDeletesMax * 32);
  REQUIRE_OK(db->Put("another", "value"));
  REQUIRE_OK(db->Delete("another"));
  check();
  REQUIRE_OK(db->Flush());
  check();
}

}  // namespace bandb::test
