// ReadOptions::only_cached: from memory or not at all.
#include <memory>
#include <string>

#include "storage/db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/data/db";

absl::StatusOr<std::string> FromMemory(Db* db, std::string_view key) { return db->Get(key, {.only_cached = true}); }

}  // namespace

TEST_CASE("a read of what is in memory only never reads a file") {
  TestEnv env(1);
  auto db = storage::OpenDb(env.env(), kDir, {});
  REQUIRE_OK(db.status());
  REQUIRE_OK((*db)->Put("key", "value"));
  CHECK(FromMemory(db->get(), "key").value() == "value");
  REQUIRE_OK((*db)->Flush());

  // The table is not even open.
  CHECK_CODE(FromMemory(db->get(), "key").status(), kUnavailable);
  CHECK((*db)->Get("key", {.fill_cache = false}).value() == "value");
  // It is open now, and its block is not in the cache. What the filter or the range of its keys
  // excludes is known.
  CHECK_CODE(FromMemory(db->get(), "key").status(), kUnavailable);
  CHECK_CODE(FromMemory(db->get(), "zzz").status(), kNotFound);
  CHECK((*db)->Get("key").value() == "value");

  // From here on a file that is read is a failure.
  env.files().Inject({.calls = {FileCall::kRead, FileCall::kOpen}, .count = Fault::kSticky});
  CHECK(FromMemory(db->get(), "key").value() == "value");
  const auto many = (*db)->MultiGet({"key", "zzz"}, {.only_cached = true});
  CHECK(many[0].value() == "value");
  CHECK_CODE(many[1].status(), kNotFound);
  // A newer value in memory is found without the table, a deletion, too.
  REQUIRE_OK((*db)->Put("key", "newer"));
  CHECK(FromMemory(db->get(), "key").value() == "newer");
  REQUIRE_OK((*db)->Delete("key"));
  CHECK_CODE(FromMemory(db->get(), "key").status(), kNotFound);
}

TEST_CASE("a database that was just opened knows nothing without its tables") {
  TestEnv env(2);
  for (const bool again : {false, true}) {
    auto db = storage::OpenDb(env.env(), kDir, {});
    REQUIRE_OK(db.status());
    if (again) {
      CHECK_CODE(FromMemory(db->get(), "key").status(), kUnavailable);
      CHECK((*db)->Get("key").value() == "value");
      CHECK(FromMemory(db->get(), "key").value() == "value");
    } else {
      REQUIRE_OK((*db)->Put("key", "value"));
      REQUIRE_OK((*db)->Flush());
    }
    REQUIRE_OK((*db)->Close());
  }
}

}  // namespace bandb::test
