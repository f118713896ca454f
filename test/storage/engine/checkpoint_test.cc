// Checkpoints that fail, that two make at once, and that the end of the database overtakes.
#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "storage/db.h"
#include "support/catch.h"
#include "support/test_env.h"
#include "support/threaded_world.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";
constexpr char kCopy[] = "/copies/one";

void Fill(Db* db, int tables) {
  for (int table = 0; table < tables; ++table) {
    REQUIRE_OK(db->Put("key" + std::to_string(table), "value"));
    REQUIRE_OK(db->Flush());
  }
}

// A database whose background work has threads of its own.
struct ThreadedDb {
  ThreadedDb() {
    Options options;
    options.level0_tables = 64;
    auto opened = storage::OpenDb(env, kDir, options);
    REQUIRE_OK(opened.status());
    db = *std::move(opened);
    Fill(db.get(), 4);
  }

  // Has a thread close the database, and returns once that has begun.
  void BeginClose() {
    closer = std::thread([this]() { db->Close().IgnoreError(); });
    while (db->Put("probe", "1").ok()) std::this_thread::yield();
  }

  ThreadedWorld world{2};
  const base::Env env = world.env();
  std::unique_ptr<Db> db;
  std::thread closer;
};

}  // namespace

TEST_CASE("a checkpoint that fails at any call leaves nothing behind") {
  TestEnv env(1);
  Options options;
  options.level0_tables = 64;
  auto db = storage::OpenDb(env.env(), kDir, options);
  REQUIRE_OK(db.status());
  Fill(db->get(), 3);
  REQUIRE_OK(env.files().CreateDirs("/copies"));
  for (const FaultKind kind : {FaultKind::kIoError, FaultKind::kNoSpace}) {
    uint64_t failed = 0;
    for (uint64_t call = 0;; ++call) {
      const uint64_t failures = env.files().failures();
      env.files().Inject({.kind = kind, .pattern = "*copies*", .skip = call, .count = 1});
      const absl::Status made = (*db)->CreateCheckpoint(kCopy);
      const bool fired = env.files().failures() != failures;
      env.files().ClearFaults();
      if (!made.ok()) {
        ++failed;
        CAPTURE(call, made.ToString());
        CHECK_FALSE(*env.files().Exists(kCopy));
        continue;
      }
      auto copy = storage::OpenDb(env.env(), kCopy, options);
      REQUIRE_OK(copy.status());
      CHECK(*(*copy)->Get("key2") == "value");
      REQUIRE_OK((*copy)->Close());
      CHECK_CODE((*db)->CreateCheckpoint(kCopy), kAlreadyExists);
      // Away with it, for the next round.
      for (const auto& [path, bytes] : env.files().Files()) {
        if (Matches("/copies*", path) || Matches("copies*", path)) REQUIRE_OK(env.files().Remove(path));
      }
      for (const char* dir : {"/copies/one/groups/0/db", "/copies/one/groups/0", "/copies/one/groups", "/copies/one"}) {
        REQUIRE_OK(env.files().RemoveDir(dir));
      }
      if (!fired) break;
    }
    CHECK(failed > 20);
  }
  REQUIRE_OK((*db)->Put("still", "writable"));
}

TEST_CASE("a checkpoint in folders that had to be made survives power loss, with a slash at its end or without") {
  for (const char* copy : {"/copies/of/today", "/copies/of/today/"}) {
    TestEnv env(1);
    auto db = storage::OpenDb(env.env(), kDir, Options());
    REQUIRE_OK(db.status());
    Fill(db->get(), 1);
    REQUIRE_OK((*db)->CreateCheckpoint(copy));
    TestEnv after(2, env.files().CrashImage(Damage::kLost, 3));
    Options there;
    there.create_if_missing = false;
    auto found = storage::OpenDb(after.env(), copy, there);
    REQUIRE_OK(found.status());
    CHECK((*found)->Get("key0").ok());
  }
}

TEST_CASE("a checkpoint where another one is being made is refused and leaves that one alone") {
  TestEnv env(2);
  auto db = storage::OpenDb(env.env(), kDir, Options());
  REQUIRE_OK(db.status());
  Fill(db->get(), 1);
  REQUIRE_OK(env.files().CreateDirs("/copies/one/groups/0/db"));
  const auto lock = env.files().Lock("/copies/one/LOCK");
  REQUIRE_OK(lock.status());
  CHECK_CODE((*db)->CreateCheckpoint(kCopy), kAlreadyExists);
  CHECK(*env.files().Exists("/copies/one/LOCK"));
}

TEST_CASE("of two checkpoints to one place one is made and the other is refused, wherever they meet") {
  for (uint64_t meet = 1;; ++meet) {
    TestEnv env(2);
    auto db = storage::OpenDb(env.env(), kDir, Options());
    REQUIRE_OK(db.status());
    Fill(db->get(), 1);
    const uint64_t begun = env.files().mutations();
    absl::Status inner = absl::UnavailableError("");
    env.files().SetHook([&](uint64_t mutation) {
      if (mutation != begun + meet) return;
      env.files().SetHook(nullptr);
      inner = (*db)->CreateCheckpoint(kCopy);
    });
    const absl::Status outer = (*db)->CreateCheckpoint(kCopy);
    env.files().SetHook(nullptr);
    CAPTURE(meet, inner.ToString(), outer.ToString());
    auto copy = storage::OpenDb(env.env(), kCopy, Options());
    REQUIRE_OK(copy.status());
    CHECK((*copy)->Get("key0").ok());
    CHECK(env.files().List("/copies").value().size() == 1);
    if (inner.code() == absl::StatusCode::kUnavailable) break;
    CHECK(inner.ok() != outer.ok());
    CHECK_CODE(inner.ok() ? outer : inner, kAlreadyExists);
  }
}

TEST_CASE("a checkpoint that power loss cuts short is whole or not there, and no part of it opens") {
  Options there;
  there.create_if_missing = false;
  for (const Damage damage : kAllDamages) {
    TestEnv env(3);
    auto db = storage::OpenDb(env.env(), kDir, Options());
    REQUIRE_OK(db.status());
    Fill(db->get(), 2);
    REQUIRE_OK(env.files().CreateDirs("/copies"));
    REQUIRE_OK(env.files().SyncDir("/"));
    std::vector<std::unique_ptr<CrashFileSystem>> images;
    env.files().SetHook([&](uint64_t mutation) { images.push_back(env.files().CrashImage(damage, mutation)); });
    REQUIRE_OK((*db)->CreateCheckpoint(kCopy));
    env.files().SetHook(nullptr);
    CHECK(images.size() > 15);
    for (std::unique_ptr<CrashFileSystem>& image : images) {
      TestEnv after(4, std::move(image));
      const std::vector<std::string> names = after.files().List("/copies").value();
      for (const std::string& name : names) {
        auto copy = storage::OpenDb(after.env(), "/copies/" + name, there);
        CAPTURE(DamageName(damage), name, copy.status().ToString());
        if (copy.ok()) {
          CHECK((*copy)->Get("key0").ok());
          CHECK((*copy)->Get("key1").ok());
        } else {
          CHECK("/copies/" + name != kCopy);
        }
      }
    }
  }
}

TEST_CASE("Close waits for a checkpoint, which ends early and leaves nothing behind") {
  ThreadedDb threaded;
  std::atomic<bool> begun{false};
  // At the first call of the checkpoint's, somebody closes the database; the checkpoint goes on
  // once that has begun.
  threaded.world.files().SetHook([&](uint64_t) {
    if (!begun.load() && *threaded.world.files().Exists("/copy") && !begun.exchange(true)) threaded.BeginClose();
  });
  const absl::Status made = threaded.db->CreateCheckpoint("/copy/one");
  REQUIRE(begun.load());
  threaded.closer.join();
  threaded.world.files().SetHook(nullptr);
  CHECK_CODE(made, kFailedPrecondition);
  CHECK(threaded.world.files().List("/copy").value().empty());
  CHECK_CODE(threaded.db->CreateCheckpoint("/copy/two"), kFailedPrecondition);
  CHECK_CODE(threaded.db->VerifyChecksums(), kFailedPrecondition);
}

TEST_CASE("Close waits for a verification, which ends early") {
  ThreadedDb threaded;
  std::atomic<bool> begun{false};
  // At the first file that the verification opens.
  threaded.world.files().SetOpenHook([&]() {
    if (!begun.exchange(true)) threaded.BeginClose();
  });
  const absl::Status verified = threaded.db->VerifyChecksums();
  REQUIRE(begun.load());
  threaded.closer.join();
  threaded.world.files().SetOpenHook(nullptr);
  CHECK_CODE(verified, kFailedPrecondition);
}

TEST_CASE("a checkpoint of a database with a table that is gone is refused by the operating system") {
  TestEnv env(1);
  auto db = storage::OpenDb(env.env(), kDir, Options());
  REQUIRE_OK(db.status());
  Fill(db->get(), 1);
  for (const auto& [path, bytes] : env.files().Files()) {
    if (Matches("*.tbl", path)) REQUIRE_OK(env.files().Remove(path));
  }
  CHECK_CODE((*db)->CreateCheckpoint(kCopy), kInternal);
  CHECK_FALSE(*env.files().Exists(kCopy));
}

}  // namespace bandb::test
