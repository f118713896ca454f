// What callers do by mistake, or in an unusual way: it must not cost them their data, nor a call
// that never returns.
#include <memory>
#include <string>
#include <utility>

#include "storage/db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

std::unique_ptr<Db> MustOpenAt(TestEnv* env, const std::string& dir, const Options& options = {}) {
  absl::StatusOr<std::unique_ptr<Db>> db = storage::OpenDb(env->env(), dir, options);
  REQUIRE_OK(db.status());
  return *std::move(db);
}

}  // namespace

TEST_CASE("a batch that was moved from and is used again leaves a log that can be read") {
  TestEnv env(1);
  std::unique_ptr<Db> db = MustOpenAt(&env, "/db");
  WriteBatch batch;
  batch.Put("a", "1");
  batch.Put("b", "2");
  absl::Status moved_outcome = absl::UnknownError("never told");
  db->WriteAsync(std::move(batch), {}, [&](absl::Status status) { moved_outcome = std::move(status); });
  // NOLINTBEGIN(bugprone-use-after-move): a mistake, as such mistakes are made.
  REQUIRE_OK(db->Write(batch));
  batch.Put("c", "3");
  REQUIRE_OK(db->Write(batch));
  // NOLINTEND(bugprone-use-after-move)
  env.executor().RunReady();
  CHECK_OK(moved_outcome);
  REQUIRE_OK(db->Put("d", "4"));
  CHECK(db->GetStats().last_sequence == 4);
  REQUIRE_OK(db->Close());
  db = MustOpenAt(&env, "/db");
  for (const auto& [key, value] : {std::pair("a", "1"), {"b", "2"}, {"c", "3"}, {"d", "4"}}) {
    CHECK(*db->Get(key) == value);
  }
}

TEST_CASE("an empty batch that is synced takes along all that was written before it") {
  for (const bool conditional : {false, true}) {
    TestEnv env(1);
    const std::unique_ptr<Db> db = MustOpenAt(&env, "/db");
    REQUIRE_OK(db->Put("key", "value"));
    WriteBatch batch;
    if (conditional) batch.RequireValue("key", "value");
    REQUIRE_OK(db->Write(batch, {.sync = true}));
    TestEnv after(2, env.files().CrashImage(Damage::kLost, 3));
    CHECK(MustOpenAt(&after, "/db")->Get("key").ok());
  }
}

TEST_CASE("a directory is opened by whichever path leads there") {
  TestEnv env(1);
  for (const char* dir : {"d", ".", "/", "/x", "./x/", "x//", "/x/y"}) {
    CAPTURE(dir);
    std::unique_ptr<Db> db = MustOpenAt(&env, dir);
    REQUIRE_OK(db->Put("dir", dir));
    REQUIRE_OK(db->CreateCheckpoint("c"));
    CHECK_CODE(db->CreateCheckpoint("c/"), kAlreadyExists);
    REQUIRE_OK(db->Close());
    Options existing;
    existing.create_if_missing = false;
    CHECK(*MustOpenAt(&env, dir, existing)->Get("dir") == dir);
    CHECK(*MustOpenAt(&env, "/c", existing)->Get("dir") == dir);
    for (const auto& [path, bytes] : env.files().Files()) REQUIRE_OK(env.files().Remove(path));
    for (const char* folder : {"c/groups/0/db", "c/groups/0", "c/groups", "c"}) {
      REQUIRE_OK(env.files().RemoveDir(folder));
    }
  }
}

TEST_CASE("a path that names nothing is refused, and nothing is made") {
  TestEnv env(1);
  for (const std::string& dir : {std::string(), std::string("/a\0b", 4)}) {
    CHECK_CODE(storage::OpenDb(env.env(), dir, {}).status(), kInvalidArgument);
    CHECK_CODE(Db::Open(dir).status(), kInvalidArgument);
    CHECK(env.files().mutations() == 0);
  }
  const std::unique_ptr<Db> db = MustOpenAt(&env, "/db");
  CHECK_CODE(db->CreateCheckpoint({}), kInvalidArgument);
  CHECK_FALSE(*env.files().Exists("/groups"));
}

}  // namespace bandb::test
