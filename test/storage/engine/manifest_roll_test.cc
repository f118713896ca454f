// A manifest that has grown makes way for a new one while the database runs.
#include <memory>
#include <string>
#include <vector>

#include "storage/db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";

Options SmallOptions() {
  Options options;
  options.write_buffer_bytes = 64 << 10;
  return options;
}

std::vector<std::string> Manifests(const CrashFileSystem& files) {
  std::vector<std::string> paths;
  for (const auto& [path, bytes] : files.Files()) {
    if (Matches("*MANIFEST*", path)) paths.push_back(path);
  }
  return paths;
}

void Flushes(Db* db, int flushes) {
  for (int i = 0; i < flushes; ++i) {
    REQUIRE_OK(db->Put("key" + std::to_string(i), "value"));
    REQUIRE_OK(db->Flush());
  }
}

}  // namespace

TEST_CASE("the manifest of a database that runs for long stays small") {
  TestEnv env(1);
  auto db = storage::OpenDb(env.env(), kDir, SmallOptions());
  REQUIRE_OK(db.status());
  const std::vector<std::string> before = Manifests(env.files());
  REQUIRE(before.size() == 1);
  for (int round = 0; round < 10; ++round) {
    Flushes(db->get(), 30);
    CHECK_OK((*db)->VerifyChecksums());
    const std::vector<std::string> now = Manifests(env.files());
    REQUIRE(now.size() == 1);
    CHECK(now != before);
    CHECK(env.files().Content(now[0]).size() < (64 << 10));
  }
  TestEnv after(2, env.files().CrashImage(Damage::kLost, 3));
  auto again = storage::OpenDb(after.env(), kDir, SmallOptions());
  REQUIRE_OK(again.status());
  for (int i = 0; i < 30; ++i) CHECK_OK((*again)->Get("key" + std::to_string(i)).status());
}

TEST_CASE("a full disk keeps the old manifest, and the new one comes later") {
  TestEnv env(4);
  auto db = storage::OpenDb(env.env(), kDir, SmallOptions());
  REQUIRE_OK(db.status());
  const std::vector<std::string> before = Manifests(env.files());
  env.files().Inject(
      {.kind = FaultKind::kNoSpace, .calls = {FileCall::kCreate}, .pattern = "*MANIFEST*", .count = Fault::kSticky});
  Flushes(db->get(), 30);
  CHECK(env.files().failures() > 0);
  CHECK(Manifests(env.files()) == before);
  env.files().ClearFaults();
  Flushes(db->get(), 200);
  CHECK(Manifests(env.files()) != before);
  CHECK(Manifests(env.files()).size() == 1);
}

TEST_CASE("when nobody knows which manifest counts, writes stop, and the next open finds everything") {
  for (const FileCall call : {FileCall::kRename, FileCall::kSyncDir}) {
    TestEnv env(5);
    auto db = storage::OpenDb(env.env(), kDir, SmallOptions());
    REQUIRE_OK(db.status());
    int flushed = 0;
    // The rename of CURRENT, or the sync after it.
    bool armed = false;
    env.files().SetHook([&](uint64_t) {
      if (armed || env.files().LastCall().find("CURRENT.tmp") == std::string::npos) return;
      armed = true;
      env.files().Inject({.calls = {call}, .count = 1});
    });
    absl::Status status;
    for (int i = 0; i < 100 && status.ok(); ++i) {
      status = (*db)->Put("key" + std::to_string(i), "value");
      if (status.ok()) status = (*db)->Flush();
      if (status.ok()) flushed = i + 1;
    }
    env.files().SetHook(nullptr);
    CHECK(armed);
    CHECK(flushed > 3);
    CHECK_CODE((*db)->Put("more", "value"), kFailedPrecondition);
    CHECK_CODE((*db)->Resume(), kFailedPrecondition);
    for (const Damage damage : kAllDamages) {
      TestEnv after(6, env.files().CrashImage(damage, 7));
      auto again = storage::OpenDb(after.env(), kDir, SmallOptions());
      REQUIRE_OK(again.status());
      for (int i = 0; i < flushed; ++i) CHECK_OK((*again)->Get("key" + std::to_string(i)).status());
    }
  }
}

TEST_CASE("many tables with the longest keys are flushed, merged, copied and found again") {
  TestEnv env(8);
  Options options = SmallOptions();
  options.table_bytes = 64 << 10;
  options.level_base_bytes = 64 << 10;
  options.compression = Compression::kNone;
  auto db = storage::OpenDb(env.env(), kDir, options);
  REQUIRE_OK(db.status());
  constexpr int kKeys = 160;
  const auto key = [](int i) { return std::to_string(1000 + i) + std::string(60'000, 'k'); };
  for (int i = 0; i < kKeys; ++i) REQUIRE_OK((*db)->Put(key(i), "1"));
  REQUIRE_OK((*db)->CompactRange({}, {}));
  REQUIRE((*db)->GetStats().levels.back().tables > 70);
  // One merge takes all of them out, and puts in as many.
  for (const int i : {0, kKeys / 2, kKeys - 1}) REQUIRE_OK((*db)->Put(key(i), "2"));
  REQUIRE_OK((*db)->CompactRange({}, {}));
  REQUIRE_OK((*db)->VerifyChecksums());
  REQUIRE_OK((*db)->CreateCheckpoint("/copy"));
  TestEnv after(9, env.files().CrashImage(Damage::kLost, 3));
  for (const char* const dir : {kDir, "/copy"}) {
    auto again = storage::OpenDb(after.env(), dir, options);
    REQUIRE_OK(again.status());
    for (int i = 0; i < kKeys; ++i) {
      REQUIRE(*(*again)->Get(key(i)) == (i == 0 || i == kKeys / 2 || i == kKeys - 1 ? "2" : "1"));
    }
    REQUIRE_OK(storage::CheckInvariants(again->get()));
  }
}

}  // namespace bandb::test
