// What counts as memory of the database: what readers hold, too.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";
constexpr uint64_t kRound = 300 << 10;

Options HalfMebibyteMemtables() {
  Options options = SmallOptions();
  options.write_buffer_bytes = 1 << 20;
  options.level0_tables = 64;
  options.compression = Compression::kNone;
  return options;
}

void WriteRound(Db* db, int round) {
  for (uint64_t bytes = 0; bytes < kRound; bytes += 1000) {
    REQUIRE_OK(db->Put(std::to_string(round * 1000 + bytes / 1000), std::string(1000, 'v')));
  }
}

}  // namespace

TEST_CASE("memtables that iterators keep count until the iterators go") {
  TestEnv env(1);
  const auto db = MustOpen(env.env(), kDir, HalfMebibyteMemtables());
  std::vector<std::unique_ptr<Iterator>> iterators;
  for (int round = 0; round < 6; ++round) {
    WriteRound(db.get(), round);
    iterators.push_back(db->NewIterator());
    REQUIRE_OK(db->Flush());
  }
  CHECK(db->GetStats().memtable_bytes < kRound);
  CHECK(db->GetStats().memory_bytes > 6 * kRound);
  iterators.clear();
  CHECK(db->GetStats().memory_bytes < kRound);
}

TEST_CASE("what an iterator has read ahead counts until it goes") {
  TestEnv env(2);
  const auto db = MustOpen(env.env(), kDir, HalfMebibyteMemtables());
  for (int round = 0; round < 8; ++round) WriteRound(db.get(), round);
  REQUIRE_OK(db->CompactRange({}, {}));
  const uint64_t before = db->GetStats().memory_bytes;
  auto walk = db->NewIterator();
  int steps = 0;
  for (walk->SeekToFirst(); walk->Valid() && steps < 1500; walk->Next()) ++steps;
  CHECK(steps == 1500);
  CHECK(db->GetStats().memory_bytes >= before + (256 << 10));
  walk.reset();
  CHECK(db->GetStats().memory_bytes < before + (64 << 10));
}

TEST_CASE("an asynchronous write counts until its callback has returned") {
  TestEnv env(3);
  const auto db = MustOpen(env.env(), kDir, HalfMebibyteMemtables());
  const uint64_t before = db->GetStats().memory_bytes;
  WriteBatch batch;
  batch.Put("key", std::string(100'000, 'v'));
  bool done = false;
  db->WriteAsync(std::move(batch), {}, [&done](const absl::Status&) { done = true; });
  // In the memtable, and in the batch.
  CHECK(db->GetStats().memory_bytes > before + 200'000);
  env.executor().RunReady();
  CHECK(done);
  CHECK(db->GetStats().memory_bytes > before + 100'000);
  CHECK(db->GetStats().memory_bytes < before + 150'000);
}

TEST_CASE("with far more data and indexes than memory, all that counts stays within the budget at every step") {
  TestEnv env(4);
  Options options = SmallOptions();
  options.write_buffer_bytes = 8 << 20;
  options.block_cache_bytes = 1 << 20;
  options.block_bytes = 512;
  options.table_bytes = 1 << 20;
  options.compression = Compression::kNone;
  const auto db = MustOpen(env.env(), kDir, options);
  // Eight keys to a prefix of their own, a block for each: an index in memory is nearly as large as
  // the data.
  constexpr size_t kKeys = 3000;
  constexpr size_t kPrefixBytes = 30'000;
  const auto key = [](size_t i) {
    return std::to_string(100'000 + i / 8) + std::string(kPrefixBytes, 'k') + std::to_string(i % 8);
  };
  const auto check = [&]() {
    const Stats stats = db->GetStats();
    REQUIRE(stats.memory_bytes <= stats.memory_budget_bytes);
    return stats;
  };
  for (size_t i = 0; i < kKeys; ++i) {
    REQUIRE_OK(db->Put(key(i), "value"));
    if (i % 100 == 0) check();
  }
  REQUIRE_OK(db->CompactRange({}, {}));
  REQUIRE(check().table_bytes > check().memory_budget_bytes * 3 / 2);
  for (size_t n = 0; n < kKeys; ++n) {
    // In no order that an index has.
    const size_t i = n * 1009 % kKeys;
    REQUIRE(db->Get(key(i)).value() == "value");
    REQUIRE_CODE(db->Get(key(i) + "x").status(), kNotFound);
    if (n % 50 == 0) check();
  }
  const auto walk = db->NewIterator();
  size_t seen = 0;
  for (walk->SeekToLast(); walk->Valid(); walk->Prev()) {
    if (++seen % 100 == 0) check();
  }
  REQUIRE_OK(walk->status());
  CHECK(seen == kKeys);
  // Most of it is what is kept for the next read.
  CHECK(check().pinned_bytes > 16 << 20);
}

TEST_CASE("iterators hold no more memory than the budget has, and those that would are refused by name") {
  TestEnv env(5);
  Options options = HalfMebibyteMemtables();
  options.write_buffer_bytes = 8 << 20;
  options.level0_tables = 4;
  const auto db = MustOpen(env.env(), kDir, options);
  std::vector<std::unique_ptr<Iterator>> iterators;
  size_t refused = 0;
  for (int round = 0; round < 60; ++round) {
    for (int i = 0; i < 7; ++i) WriteRound(db.get(), 7 * round + i);
    auto iterator = db->NewIterator();
    iterator->SeekToFirst();
    if (iterator->status().ok()) {
      REQUIRE(iterator->Valid());
      iterators.push_back(std::move(iterator));
    } else {
      REQUIRE_CODE(iterator->status(), kResourceExhausted);
      REQUIRE(iterator->status().message().find("memory budget") != std::string::npos);
      ++refused;
    }
    const Stats stats = db->GetStats();
    // What they are positioned on is read once they are open.
    constexpr uint64_t kBlocksUnderThem = 1 << 20;
    REQUIRE(stats.memory_bytes <= stats.memory_budget_bytes + options.write_buffer_bytes + kBlocksUnderThem);
  }
  CHECK(iterators.size() > 10);
  CHECK(refused > 10);
  // Those that are open walk on, and once one goes there is room again.
  size_t keys = 0;
  for (; iterators.back()->Valid() && keys < 1000; iterators.back()->Next()) ++keys;
  CHECK(keys == 1000);
  iterators.clear();
  CHECK_OK(db->NewIterator()->status());
}

TEST_CASE("what is kept of tables keeps no iterator out, however much it is") {
  TestEnv env(6);
  Options options = HalfMebibyteMemtables();
  options.write_buffer_bytes = 8 << 20;
  const auto db = MustOpen(env.env(), kDir, options);
  REQUIRE_OK(db->Put("key", "value"));
  // For it the range deletes stay.
  const Snapshot snapshot = db->GetSnapshot();
  for (int i = 0; db->GetStats().pinned_bytes < db->GetStats().memory_budget_bytes; ++i) {
    REQUIRE(i < 1000);
    const std::string begin = std::string(60'000, 'r') + std::to_string(1000 + i);
    WriteBatch batch;
    batch.DeleteRange(begin, begin + "x");
    REQUIRE_OK(db->Write(batch));
    if (i % 20 != 19) continue;
    REQUIRE_OK(db->Flush());
    REQUIRE_CODE(db->Get(begin).status(), kNotFound);
  }
  std::vector<std::unique_ptr<Iterator>> iterators;
  for (int i = 0; i < 10; ++i) {
    iterators.push_back(db->NewIterator());
    iterators.back()->SeekToFirst();
    REQUIRE_OK(iterators.back()->status());
    REQUIRE(iterators.back()->key() == "key");
  }
}

}  // namespace bandb::test
