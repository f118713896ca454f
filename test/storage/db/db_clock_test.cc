// Times to live while somebody sets the clock.
#include <memory>
#include <string>

#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";

void PutBrief(Db* db) {
  WriteBatch batch;
  batch.PutWithTtl("brief", "value", absl::Seconds(1));
  REQUIRE_OK(db->Write(batch));
}

}  // namespace

TEST_CASE("a key that has expired stays away when the clock is set back") {
  TestEnv env(1);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  PutBrief(db.get());
  CHECK_OK(db->Get("brief").status());
  env.clock().AdvanceMillis(999);
  CHECK_OK(db->Get("brief").status());
  env.clock().AdvanceMillis(1);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
  env.clock().JumpWallMillis(-60'000);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
  const auto walk = db->NewIterator();
  walk->SeekToFirst();
  CHECK_FALSE(walk->Valid());
  // Times to live go on from the latest time that was seen.
  PutBrief(db.get());
  CHECK_OK(db->Get("brief").status());
  env.clock().JumpWallMillis(62'000);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
}

TEST_CASE("it stays away after the database was closed, too") {
  TestEnv env(2);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  PutBrief(db.get());
  env.clock().AdvanceMillis(5000);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
  REQUIRE_OK(db->Close());
  env.clock().JumpWallMillis(-4900);
  db = MustOpen(env.env(), kDir);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
}

TEST_CASE("it stays away after the process died, if a table was written since") {
  TestEnv env(3);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  PutBrief(db.get());
  env.clock().AdvanceMillis(5000);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
  // Its last write was committed before the key expired.
  REQUIRE_OK(db->Flush());
  TestEnv after(4, env.files().CrashImage(Damage::kLost, 5));
  after.clock().Advance(env.clock().MonotonicNanos() - after.clock().MonotonicNanos());
  after.clock().JumpWallMillis(-4900);
  db = MustOpen(after.env(), kDir);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
  db.reset();
}

}  // namespace bandb::test
