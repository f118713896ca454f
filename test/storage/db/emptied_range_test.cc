// Ranges that were emptied: how much a walk passes on its way over one.
#include <optional>

#include "storage/db/open_db.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";
constexpr int kKeys = 3000;

std::string KeyOf(int i) { return "key" + std::to_string(10'000 + i); }

}  // namespace

TEST_CASE("a walk over what one range delete emptied passes next to none of it, wherever the delete lies") {
  TestEnv env(1);
  Options options;
  options.write_buffer_bytes = 1 << 20;
  options.compression = Compression::kNone;
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
  for (int i = 0; i < kKeys; ++i) REQUIRE_OK(db->Put(KeyOf(i), std::string(100, 'v')));
  // In the last level, or in level 0 as they were flushed.
  if (GENERATE(true, false)) {
    REQUIRE_OK(db->CompactRange({}, {}));
  } else {
    REQUIRE_OK(db->Flush());
  }
  // For it the tables stay.
  const Snapshot before = db->GetSnapshot();
  WriteBatch batch;
  batch.DeleteRange(KeyOf(1), KeyOf(kKeys - 1));
  REQUIRE_OK(db->Write(batch));
  const bool flushed = GENERATE(true, false);
  if (flushed) REQUIRE_OK(db->Flush());
  env.executor().RunReady();

  const auto walk = db->NewIterator({.skips_max = 20});
  walk->Seek(KeyOf(1));
  REQUIRE_OK(walk->status());
  CHECK(walk->key() == KeyOf(kKeys - 1));
  walk->Prev();
  REQUIRE_OK(walk->status());
  CHECK(walk->key() == KeyOf(0));
  walk->SeekForPrev(KeyOf(kKeys - 2));
  REQUIRE_OK(walk->status());
  CHECK(walk->key() == KeyOf(0));
  walk->Next();
  REQUIRE_OK(walk->status());
  CHECK(walk->key() == KeyOf(kKeys - 1));
  walk->Next();
  CHECK_FALSE(walk->Valid());
  CHECK_OK(walk->status());

  // The snapshot sees all of it.
  int seen = 0;
  const auto all = db->NewIterator({.snapshot = &before});
  for (all->SeekToFirst(); all->Valid(); all->Next()) REQUIRE(all->key() == KeyOf(seen++));
  CHECK_OK(all->status());
  CHECK(seen == kKeys);
  // What was written since shows, in the middle of it.
  REQUIRE_OK(db->Put(KeyOf(1000), "new"));
  const auto again = db->NewIterator({.skips_max = 20});
  again->Seek(KeyOf(1));
  REQUIRE_OK(again->status());
  CHECK(again->key() == KeyOf(1000));
  CHECK(again->value() == "new");
}

TEST_CASE("the first key of a queue is found quickly, however much was taken from its head") {
  TestEnv env(2);
  Options options;
  options.write_buffer_bytes = 256 << 10;
  options.compression = Compression::kNone;
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
  for (int i = 0; i < kKeys; ++i) REQUIRE_OK(db->Put(KeyOf(i), std::string(200, 'v')));
  for (int i = 0; i < kKeys - 10; ++i) REQUIRE_OK(db->Delete(KeyOf(i)));
  // By itself, once what was written is in tables.
  REQUIRE_OK(db->Flush());
  env.executor().RunReady();
  const auto walk = db->NewIterator({.skips_max = 100});
  walk->SeekToFirst();
  REQUIRE_OK(walk->status());
  CHECK(walk->key() == KeyOf(kKeys - 10));
}

}  // namespace bandb::test
