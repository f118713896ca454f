// Damage in what is written at the moment: logs and the manifest, whose length is known though no
// record says it.
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "storage/db/open_db.h"
#include "storage/file/file_names.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";

// The newest file whose name ends or begins so.
std::string Newest(TestEnv* env, std::string_view pattern) {
  std::string newest;
  for (const auto& [path, bytes] : env->files().Files()) {
    if (Matches(pattern, path)) newest = path;
  }
  REQUIRE_FALSE(newest.empty());
  return newest;
}

// Where the last record ends, roughly: zeros after it are reserved room.
uint64_t UsedBytes(TestEnv* env, const std::string& path) {
  return env->files().Content(path).find_last_not_of('\0') + 1;
}

void CheckDamaged(const absl::Status& status, const std::string& path) {
  CAPTURE(status.ToString());
  CHECK_CODE(status, kDataLoss);
  CHECK(base::Message(status).find(path + ": offset ") != std::string_view::npos);
}

}  // namespace

TEST_CASE("any byte of a live log that is not what was written is found by a verification") {
  const bool sync = GENERATE(true, false);
  TestEnv env(1);
  const auto db = MustOpen(env.env(), kDir);
  for (int i = 0; i < 8; ++i) REQUIRE_OK(db->Put("key" + std::to_string(i), "value", {.sync = sync}));
  const std::string log = Newest(&env, "*.log");
  REQUIRE_OK(db->VerifyChecksums());
  const uint64_t end = UsedBytes(&env, log);
  for (uint64_t offset = 0; offset < end; ++offset) {
    CAPTURE(offset);
    env.files().FlipByte(log, offset, 0x10);
    CheckDamaged(db->VerifyChecksums(), log);
    env.files().FlipByte(log, offset, 0x10);
  }
  CHECK_OK(db->VerifyChecksums());
  // What is in memory is not lost.
  env.files().FlipByte(log, end - 20, 0x10);
  CHECK_OK(db->Flush());
  CHECK_OK(db->VerifyChecksums());
  CHECK(*db->Get("key7") == "value");
}

TEST_CASE("damage in the last edit of the manifest is found by a verification") {
  TestEnv env(2);
  const auto db = MustOpen(env.env(), kDir);
  REQUIRE_OK(db->Put("key", "value"));
  REQUIRE_OK(db->Flush());
  const std::string manifest = Newest(&env, "*MANIFEST*");
  const uint64_t end = UsedBytes(&env, manifest);
  for (uint64_t offset = 0; offset < end; ++offset) {
    env.files().FlipByte(manifest, offset, 0x01);
    CheckDamaged(db->VerifyChecksums(), manifest);
    env.files().FlipByte(manifest, offset, 0x01);
  }
  CHECK_OK(db->VerifyChecksums());
}

TEST_CASE("damage in a log that was found at Open, and is not flushed yet, is found by a verification") {
  TestEnv first(3);
  const auto before = MustOpen(first.env(), kDir);
  for (int i = 0; i < 8; ++i) REQUIRE_OK(before->Put("key" + std::to_string(i), "value"));
  TestEnv env(4, first.files().ProcessDeathImage(5));
  const std::string log = Newest(&env, "*.log");
  // The flush of what was found comes to nothing, so that the log stays.
  env.files().Inject({.kind = FaultKind::kNoSpace,
                      .calls = {FileCall::kCreate},
                      .pattern = "*.tbl",
                      .skip = 0,
                      .count = Fault::kSticky});
  const auto db = MustOpen(env.env(), kDir);
  CHECK_OK(db->VerifyChecksums());
  env.files().FlipByte(log, UsedBytes(&env, log) - 20, 0x10);
  CheckDamaged(db->VerifyChecksums(), log);
}

TEST_CASE("a log that is gone is an error of the operating system") {
  TestEnv env(5);
  const auto db = MustOpen(env.env(), kDir);
  REQUIRE_OK(env.files().Remove(Newest(&env, "*.log")));
  CHECK_CODE(db->VerifyChecksums(), kInternal);
}

TEST_CASE("Close does not seal over damage, so that the next Open goes on with what is whole") {
  TestEnv env(6);
  auto db = MustOpen(env.env(), kDir);
  for (int i = 0; i < 8; ++i) REQUIRE_OK(db->Put("key" + std::to_string(i), "value"));
  const std::string log = Newest(&env, "*.log");
  const uint64_t end = UsedBytes(&env, log);
  env.files().FlipByte(log, end - 20, 0x10);
  CheckDamaged(db->Close(), log);
  db = MustOpen(env.env(), kDir);
  CHECK(*db->Get("key6") == "value");
  CHECK_CODE(db->Get("key7").status(), kNotFound);
  CHECK(db->GetStats().dropped_log_bytes > 0);
}

}  // namespace bandb::test
