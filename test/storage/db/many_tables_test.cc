// Reads of a database whose level 0 has many tables.
#include <memory>
#include <string>

#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

TEST_CASE("a get asks every table that may hold its key, however many there are") {
  constexpr int kTables = 40;
  TestEnv env(1);
  Options options;
  options.level0_tables = 64;
  const std::unique_ptr<Db> db = MustOpen(env.env(), "/data/db", options);
  for (int i = 0; i < kTables; ++i) {
    REQUIRE_OK(db->Put("a", "first of each"));
    REQUIRE_OK(db->Put("own" + std::to_string(i), "of this one"));
    REQUIRE_OK(db->Put("z", "last of each"));
    if (i == 3) REQUIRE_OK(db->Put("gone", "was here"));
    WriteBatch batch;
    if (i == 7) batch.DeleteRange("g", "h");
    REQUIRE_OK(db->Write(batch));
    REQUIRE_OK(db->Flush());
  }
  REQUIRE(db->GetStats().levels[0].tables > kTables / 2);
  for (int i = 0; i < kTables; ++i) CHECK(db->Get("own" + std::to_string(i)).value() == "of this one");
  CHECK_CODE(db->Get("gone").status(), kNotFound);
  CHECK_CODE(db->Get("never").status(), kNotFound);
}

}  // namespace bandb::test
