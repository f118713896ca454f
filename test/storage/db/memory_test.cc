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

}  // namespace bandb::test
