// A database is the directory that it was opened in: names that change, a lock that is removed, a
// child that is forked; and what is refused, or was cut short while it was made.
#include "storage/engine/database_directory.h"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/posix_file_system.h"
#include "storage/db/open_db.h"
#include "storage/file/file_names.h"
#include "storage/file/identity.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/data/db";

// A world over the real disk.
struct RealWorld {
  base::Env env() {
    base::Env env = world.env();
    env.files = &files;
    return env;
  }
  base::PosixFileSystem files;
  TestEnv world{1};
};

// As rm -r.
void RemoveTree(CrashFileSystem& files, const std::string& dir) {
  for (const auto& [path, bytes] : files.Files()) {
    if (path.starts_with(dir + "/")) REQUIRE_OK(files.Remove(path));
  }
  for (std::string path = storage::EngineDir(dir); path.size() >= dir.size(); path = base::ParentPath(path)) {
    REQUIRE_OK(files.RemoveDir(path));
  }
}

// Enough for logs to be begun and ended, tables to be made and removed, and manifests.
void Exercise(Db* db) {
  for (int round = 0; round < 3; ++round) {
    db->Put("key", std::string(1000, static_cast<char>('0' + round))).IgnoreError();
    db->Flush().IgnoreError();
  }
  db->CompactRange({}, {}).IgnoreError();
}

class WorkingDirectory {
 public:
  WorkingDirectory() : before_(std::filesystem::current_path()) {}
  ~WorkingDirectory() { std::filesystem::current_path(before_); }
  void Change(const std::string& path) { std::filesystem::current_path(path); }

 private:
  const std::filesystem::path before_;
};

}  // namespace

TEST_CASE("a relative path is the directory that it was at Open, wherever the process goes") {
  RealWorld real;
  TempDir here, there;
  WorkingDirectory working;
  working.Change(there.path());
  {
    const auto other = MustOpen(real.env(), "db");
    REQUIRE_OK(other->Put("key", "the other's"));
  }
  working.Change(here.path());
  auto db = MustOpen(real.env(), "db", SmallOptions());
  working.Change(there.path());
  Exercise(db.get());
  CHECK_OK(db->VerifyChecksums());
  CHECK_OK(db->Close());
  CHECK(*MustOpen(real.env(), "db")->Get("key") == "the other's");
  CHECK(*MustOpen(real.env(), here.path() + "/db")->Get("key") == std::string(1000, '2'));
}

TEST_CASE("a directory that is renamed is still the database's") {
  RealWorld real;
  TempDir dir;
  auto db = MustOpen(real.env(), dir.File("db"), SmallOptions());
  REQUIRE_OK(real.files.Rename(dir.File("db"), dir.File("moved")));
  REQUIRE_OK(real.files.CreateDirs(dir.File("db/groups/0/db")));
  Exercise(db.get());
  CHECK_OK(db->VerifyChecksums());
  CHECK_OK(db->Close());
  CHECK(real.files.List(dir.File("db/groups/0/db")).value().empty());
  CHECK(*MustOpen(real.env(), dir.File("moved"))->Get("key") == std::string(1000, '2'));
}

TEST_CASE("who comes back to a directory that another process has made again leaves its files alone") {
  TestEnv env(1);
  auto first = MustOpen(env.env(), kDir, SmallOptions());
  Exercise(first.get());
  REQUIRE_OK(first->Put("key", "the first's"));
  RemoveTree(env.files(), kDir);
  auto second = MustOpen(env.env(), kDir, SmallOptions());
  REQUIRE_OK(second->Put("key", "the second's"));
  const auto files = env.files().Files();
  Exercise(first.get());
  // It has no directory to write to, and says so.
  CHECK_FALSE(first->Flush().ok());
  first->Close().IgnoreError();
  CHECK(env.files().Files() == files);
  REQUIRE_OK(second->Close());
  CHECK(*MustOpen(env.env(), kDir)->Get("key") == "the second's");
}

TEST_CASE("a LOCK that is removed lets nobody else in") {
  TestEnv env(1);
  auto db = MustOpen(env.env(), kDir);
  REQUIRE_OK(env.files().Remove(storage::LockPath(kDir)));
  CHECK_CODE(storage::OpenDb(env.env(), kDir, {}).status(), kFailedPrecondition);
  CHECK_OK(db->Put("key", "value"));
  CHECK_OK(db->Close());
  CHECK(*MustOpen(env.env(), kDir)->Get("key") == "value");
}

TEST_CASE("a forked child changes nothing in the database of its parent, and keeps nobody out of it") {
  RealWorld real;
  TempDir dir;
  auto db = MustOpen(real.env(), dir.File("db"), SmallOptions());
  REQUIRE_OK(db->Put("key", "value"));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[1]);
    char byte = 0;
    while (::read(ends[0], &byte, 1) > 0) {
    }
    ::_exit(db->Flush().ok() ? 1 : 0);
  }
  REQUIRE(child > 0);
  ::close(ends[0]);
  REQUIRE_OK(db->Close());
  db.reset();
  CHECK(*MustOpen(real.env(), dir.File("db"))->Get("key") == "value");
  ::close(ends[1]);
  int exit_status = -1;
  REQUIRE(::waitpid(child, &exit_status, 0) == child);
  CHECK(exit_status == 0);
  CHECK(*MustOpen(real.env(), dir.File("db"))->Get("key") == "value");
}

TEST_CASE("where a database was and its files are gone, there is no empty one") {
  Options options;
  options.create_if_missing = GENERATE(true, false);
  const std::string gone = GENERATE("groups/0/db", "groups/0", "groups", "groups/0/db/CURRENT");
  RealWorld real;
  TempDir dir;
  REQUIRE_OK(MustOpen(real.env(), dir.File("db"))->Put("key", "value"));
  std::filesystem::remove_all(dir.File("db/" + gone));
  const absl::Status opened = storage::OpenDb(real.env(), dir.File("db"), options).status();
  CAPTURE(opened.ToString());
  CHECK_CODE(opened, kDataLoss);
  CHECK_FALSE(real.files.Exists(dir.File("db/" + gone)).value());
}

TEST_CASE("a directory that is refused keeps its LOCK, or has none") {
  TestEnv env(1);
  const bool has_lock = GENERATE(true, false);
  const std::string identity = GENERATE(
      std::string("not ours"), storage::EncodeIdentity({.database_id = {}, .cluster_id = {{1}}, .node_id = 1}));
  REQUIRE_OK(env.files().CreateDirs(kDir));
  REQUIRE_OK(base::InstallFile(&env.files(), storage::IdentityPath(kDir), identity));
  if (has_lock) REQUIRE_OK(base::InstallFile(&env.files(), storage::LockPath(kDir), "somebody's"));
  CHECK_FALSE(storage::OpenDb(env.env(), kDir, {}).ok());
  CHECK(env.files().Exists(storage::LockPath(kDir)).value() == has_lock);
  if (has_lock) CHECK(env.files().Content(storage::LockPath(kDir)) == "somebody's");
  // Nor is one touched where the engine's files have no identity.
  REQUIRE_OK(env.files().Remove(storage::IdentityPath(kDir)));
  REQUIRE_OK(env.files().CreateDirs(storage::EngineDir(kDir)));
  REQUIRE_OK(base::InstallFile(&env.files(), storage::CurrentPath(storage::EngineDir(kDir)), "MANIFEST-000001"));
  CHECK_CODE(storage::OpenDb(env.env(), kDir, {}).status(), kDataLoss);
  CHECK(env.files().Exists(storage::LockPath(kDir)).value() == has_lock);
}

TEST_CASE("a creation that power loss cuts short is begun again, and is no database before that") {
  Options there;
  there.create_if_missing = false;
  for (const Damage damage : kAllDamages) {
    TestEnv env(1);
    std::vector<std::unique_ptr<CrashFileSystem>> images;
    env.files().SetHook([&](uint64_t mutation) { images.push_back(env.files().CrashImage(damage, mutation)); });
    auto db = MustOpen(env.env(), kDir);
    env.files().SetHook(nullptr);
    CHECK(images.size() > 15);
    for (size_t i = 0; i < images.size(); ++i) {
      CAPTURE(DamageName(damage), i);
      TestEnv after(2, std::move(images[i]));
      const absl::Status found = storage::OpenDb(after.env(), kDir, there).status();
      const bool is_there = after.files().Exists(storage::IdentityPath(kDir)).value();
      CHECK(found.code() == (is_there ? absl::StatusCode::kOk : absl::StatusCode::kNotFound));
      {
        const auto again = MustOpen(after.env(), kDir);
        REQUIRE_OK(again->Put("key", "value", {.sync = true}));
      }
      CHECK_FALSE(after.files().Exists(storage::CreatingPath(kDir)).value());
      CHECK(*MustOpen(after.env(), kDir, there)->Get("key") == "value");
    }
  }
}

TEST_CASE("a creation that ended just before it was durable is made durable by the next Open") {
  for (uint64_t mutation = 1;; ++mutation) {
    TestEnv env(1);
    env.files().StopAt(mutation);
    const bool created = storage::OpenDb(env.env(), kDir, {}).ok();
    TestEnv next(2, env.files().ProcessDeathImage(3));
    const auto db = MustOpen(next.env(), kDir);
    REQUIRE_OK(db->Put("key", "value", {.sync = true}));
    for (const Damage damage : kAllDamages) {
      CAPTURE(mutation, DamageName(damage));
      TestEnv after(4, next.files().CrashImage(damage, 5));
      CHECK(*MustOpen(after.env(), kDir)->Get("key") == "value");
    }
    if (created) break;
  }
}

}  // namespace bandb::test
