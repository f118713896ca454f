// What the statistics say of blocks that are read.
#include "storage/db/open_db.h"

namespace bandb::test {

TEST_CASE("blocks that reads take from files are counted, with their bytes, and those of other work are not") {
  TestEnv env(1);
  Options options;
  options.write_buffer_bytes = 1 << 20;
  options.compression = Compression::kNone;
  const std::unique_ptr<Db> db = MustOpen(env.env(), "/db", options);
  const auto key = [](int i) { return "key" + std::to_string(10'000 + i); };
  constexpr int kKeys = 3000;
  for (int i = 0; i < kKeys; ++i) REQUIRE_OK(db->Put(key(i), std::string(100, 'v')));
  REQUIRE_OK(db->CompactRange({}, {}));
  REQUIRE_OK(db->VerifyChecksums());
  CHECK(db->GetStats().block_reads == 0);
  CHECK(db->GetStats().block_read_bytes == 0);

  REQUIRE_OK(db->Get(key(7)).status());
  const Stats once = db->GetStats();
  CHECK(once.block_reads == 1);
  CHECK(once.block_read_bytes > 3000);
  CHECK(once.block_read_bytes < 6000);
  // From the cache.
  REQUIRE_OK(db->Get(key(7)).status());
  REQUIRE_CODE(db->Get(key(7) + "x").status(), kNotFound);
  CHECK(db->GetStats().block_reads == 1);

  // Each block once, be it read ahead or not.
  const auto walk = db->NewIterator();
  for (walk->SeekToFirst(); walk->Valid(); walk->Next()) {
  }
  REQUIRE_OK(walk->status());
  const Stats all = db->GetStats();
  CHECK(all.block_read_bytes > all.table_bytes * 9 / 10);
  CHECK(all.block_read_bytes <= all.table_bytes);
  CHECK(all.block_read_bytes / all.block_reads > 3000);
}

}  // namespace bandb::test
