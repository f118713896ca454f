#include "backup/repository.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "backup/backup_rig.h"
#include "bandb/changes.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

std::set<std::string> TablesIn(TestEnv* env) {
  std::set<std::string> tables;
  for (const auto& [path, bytes] : env->files().Files()) {
    if (path.starts_with(std::string(kRepositoryDir) + "/tables/")) tables.insert(path);
  }
  return tables;
}

}  // namespace

TEST_CASE("each backup restores to the state that it was made of, and no table is stored twice") {
  TestEnv env(1);
  const std::unique_ptr<Db> db = OpenAt(&env, kDatabaseDir);
  backup::Repository repository = RepositoryOf(&env);
  std::vector<Contents> states;
  uint64_t stored_before = 0;
  for (int round = 0; round < 5; round++) {
    WriteRound(db.get(), round);
    states.push_back(ContentsOf(db.get()));
    env.clock().AdvanceMillis(1000);
    const auto made = repository.Create(db.get());
    REQUIRE_OK(made.status());
    CHECK(made->number == static_cast<uint64_t>(round) + 1);
    CHECK(made->tables == static_cast<uint64_t>(round) + 1);
    CHECK(made->last_sequence == db->GetStats().last_sequence);
    CHECK(made->time == absl::FromUnixMillis(env.clock().WallMillis()));
    CHECK(TablesIn(&env).size() == made->tables);
    // One new table, and the small files.
    uint64_t stored = 0;
    for (const auto& [path, bytes] : env.files().Files()) {
      if (path.starts_with(kRepositoryDir) && !path.ends_with(".backup") && !path.ends_with("LOCK")) stored += bytes;
    }
    CHECK(made->new_bytes == stored - stored_before);
    stored_before = stored;
  }
  REQUIRE_OK(repository.Verify(0));
  const auto list = repository.List();
  REQUIRE_OK(list.status());
  REQUIRE(list->size() == 5);
  for (size_t i = 0; i < 5; i++) {
    CHECK((*list)[i].number == i + 1);
    CHECK((*list)[i].damage.empty());
    CHECK(RestoredContents(&env, &repository, i + 1, fmt::format("/restored/{}", i)) == states[i]);
  }
  CHECK(RestoredContents(&env, &repository, 0, "/restored/newest") == states[4]);
  CHECK_CODE(repository.Restore(1, "/restored/newest"), kAlreadyExists);
  CHECK_CODE(repository.Restore(6, "/restored/six"), kNotFound);
}

TEST_CASE("of what the repository has nothing but the headers is read from the database") {
  TestEnv env(2);
  const std::unique_ptr<Db> db = OpenAt(&env, kDatabaseDir);
  backup::Repository repository = RepositoryOf(&env);
  WriteRound(db.get(), 0);
  REQUIRE_OK(repository.Create(db.get()).status());
  // Damage beyond the header of a table that is there already is nothing to this backup.
  for (const auto& [path, bytes] : env.files().Files()) {
    if (path.starts_with(kDatabaseDir) && path.ends_with(".tbl")) env.files().FlipByte(path, 100, 1);
  }
  const auto second = repository.Create(db.get());
  REQUIRE_OK(second.status());
  CHECK(second->new_bytes < 2048);
  REQUIRE_OK(repository.Verify(0));
}

TEST_CASE("a damaged table of the database is found when it is backed up, and the backups before it stay") {
  TestEnv env(3);
  const std::unique_ptr<Db> db = OpenAt(&env, kDatabaseDir);
  backup::Repository repository = RepositoryOf(&env);
  WriteRound(db.get(), 0);
  REQUIRE_OK(repository.Create(db.get()).status());
  const std::set<std::string> before = TablesIn(&env);
  WriteRound(db.get(), 1);
  std::string newest;
  for (const auto& [path, bytes] : env.files().Files()) {
    if (path.starts_with(kDatabaseDir) && path.ends_with(".tbl")) newest = std::max(newest, path);
  }
  env.files().FlipByte(newest, 100, 1);
  const absl::Status status = repository.Create(db.get()).status();
  CHECK_CODE(status, kDataLoss);
  CHECK(status.message().find(newest.substr(newest.rfind('/'))) != std::string::npos);
  CHECK(TablesIn(&env) == before);
  CHECK(repository.List().value().size() == 1);
  REQUIRE_OK(repository.Verify(0));
  env.files().FlipByte(newest, 100, 1);
  REQUIRE_OK(repository.Create(db.get()).status());
  REQUIRE_OK(repository.Verify(0));
}

TEST_CASE("each flipped byte of a repository, and each file that is missing, is found and named") {
  TestEnv env(4);
  const std::unique_ptr<Db> db = OpenAt(&env, kDatabaseDir);
  backup::Repository repository = RepositoryOf(&env);
  for (int round = 0; round < 2; round++) {
    WriteRound(db.get(), round);
    REQUIRE_OK(repository.Create(db.get()).status());
  }
  int files = 0;
  for (const auto& [path, bytes] : env.files().Files()) {
    if (!path.starts_with(kRepositoryDir) || path.ends_with("LOCK")) continue;
    ++files;
    for (uint64_t offset = 0; offset < bytes; offset++) {
      env.files().FlipByte(path, offset, static_cast<uint8_t>(1 << (offset % 8)));
      const absl::Status status = repository.Verify(0);
      CAPTURE(path, offset, status.ToString());
      CHECK_CODE(status, kDataLoss);
      CHECK(status.message().find(path) != std::string::npos);
      env.files().FlipByte(path, offset, static_cast<uint8_t>(1 << (offset % 8)));
    }
    const std::string content = env.files().Content(path);
    env.files().Truncate(path, bytes - 1);
    CHECK_CODE(repository.Verify(0), kDataLoss);
    env.files().SetContent(path, content);
    if (path.ends_with(".backup")) continue;
    const std::string elsewhere = "/elsewhere";
    REQUIRE_OK(env.files().Rename(path, elsewhere));
    CHECK_CODE(repository.Verify(0), kDataLoss);
    REQUIRE_OK(env.files().Rename(elsewhere, path));
  }
  CHECK(files >= 10);
  REQUIRE_OK(repository.Verify(0));
  CHECK_CODE(repository.Verify(3), kNotFound);
}

TEST_CASE("nothing that is damaged is restored, and no part of it is left") {
  TestEnv env(5);
  const std::unique_ptr<Db> db = OpenAt(&env, kDatabaseDir);
  backup::Repository repository = RepositoryOf(&env);
  WriteRound(db.get(), 0);
  REQUIRE_OK(repository.Create(db.get()).status());
  for (const auto& [path, bytes] : env.files().Files()) {
    if (!path.starts_with(kRepositoryDir) || path.ends_with("LOCK")) continue;
    env.files().FlipByte(path, bytes / 2, 4);
    CHECK_CODE(repository.Restore(1, "/restored/one"), kDataLoss);
    env.files().FlipByte(path, bytes / 2, 4);
    for (const auto& [left, left_bytes] : env.files().Files()) CHECK(!left.starts_with("/restored"));
  }
  env.files().SetFreeBytes(100);
  CHECK_CODE(repository.Restore(1, "/restored/one"), kResourceExhausted);
}

TEST_CASE("pruning keeps the newest and what they need, and numbers are not given again") {
  TestEnv env(6);
  const std::unique_ptr<Db> db = OpenAt(&env, kDatabaseDir);
  backup::Repository repository = RepositoryOf(&env);
  std::vector<Contents> states;
  for (int round = 0; round < 4; round++) {
    WriteRound(db.get(), round);
    // From the third on there is one table in place of those before.
    if (round == 2) REQUIRE_OK(db->CompactRange("", ""));
    states.push_back(ContentsOf(db.get()));
    REQUIRE_OK(repository.Create(db.get()).status());
  }
  CHECK(TablesIn(&env).size() == 4);
  CHECK_CODE(repository.Prune(0), kInvalidArgument);
  REQUIRE_OK(repository.Prune(9));
  CHECK(repository.List().value().size() == 4);
  REQUIRE_OK(repository.Prune(2));
  const auto list = repository.List();
  REQUIRE(list->size() == 2);
  CHECK(list->front().number == 3);
  CHECK(TablesIn(&env).size() == 2);
  REQUIRE_OK(repository.Verify(0));
  CHECK(RestoredContents(&env, &repository, 3, "/restored/3") == states[2]);
  CHECK(RestoredContents(&env, &repository, 4, "/restored/4") == states[3]);
  CHECK(repository.Create(db.get()).value().number == 5);
}

TEST_CASE("a damaged description hides no other backup, and nothing is removed that it may need") {
  TestEnv env(7);
  const std::unique_ptr<Db> db = OpenAt(&env, kDatabaseDir);
  backup::Repository repository = RepositoryOf(&env);
  for (int round = 0; round < 3; round++) {
    WriteRound(db.get(), round);
    REQUIRE_OK(db->CompactRange("", ""));
    REQUIRE_OK(repository.Create(db.get()).status());
  }
  const std::string description = base::JoinPath(kRepositoryDir, "backups/000002.backup");
  env.files().FlipByte(description, 40, 1);
  const auto list = repository.List();
  REQUIRE(list->size() == 3);
  CHECK(list->at(1).number == 2);
  CHECK(list->at(1).damage.find(description) != std::string::npos);
  CHECK_CODE(repository.Prune(2), kDataLoss);
  CHECK(repository.List().value().size() == 3);
  WriteRound(db.get(), 3);
  REQUIRE_OK(repository.Create(db.get()).status());
  CHECK(TablesIn(&env).size() == 4);
  env.files().FlipByte(description, 40, 1);
  REQUIRE_OK(repository.Verify(0));
}

TEST_CASE("a repository is of one database, and of one call at a time") {
  TestEnv env(8);
  const std::unique_ptr<Db> db = OpenAt(&env, kDatabaseDir);
  const std::unique_ptr<Db> other = OpenAt(&env, "/other");
  backup::Repository repository = RepositoryOf(&env);
  CHECK_CODE(repository.List().status(), kNotFound);
  CHECK_CODE(repository.Verify(0), kNotFound);
  CHECK_CODE(repository.Restore(0, "/restored"), kNotFound);
  WriteRound(db.get(), 0);
  WriteRound(other.get(), 0);
  REQUIRE_OK(repository.Create(db.get()).status());
  CHECK_CODE(repository.Create(other.get()).status(), kFailedPrecondition);
  {
    const auto lock = env.files().Lock(std::string(kRepositoryDir) + "/LOCK");
    REQUIRE_OK(lock.status());
    CHECK_CODE(repository.Create(db.get()).status(), kFailedPrecondition);
    CHECK_CODE(repository.Prune(1), kFailedPrecondition);
    CHECK_CODE(repository.Restore(1, "/restored"), kFailedPrecondition);
    CHECK(repository.List().value().size() == 1);
  }
  REQUIRE_OK(repository.Verify(0));
}

TEST_CASE("a restored database is another branch: tokens of after the backup are refused, and backups go on") {
  TestEnv env(9);
  Options options = SmallTables();
  options.changes_keep_bytes = 64 << 20;
  auto opened = storage::OpenDb(env.env(), kDatabaseDir, options);
  REQUIRE_OK(opened.status());
  const std::unique_ptr<Db> db = *std::move(opened);
  backup::Repository repository = RepositoryOf(&env);
  WriteRound(db.get(), 0);
  const auto token_now = [](Db* of) { return of->ReadChanges({.undurable = true}).value()->token(); };
  REQUIRE_OK(repository.Create(db.get()).status());
  const std::string at_backup = token_now(db.get());
  WriteRound(db.get(), 1);
  const std::string after_backup = token_now(db.get());

  REQUIRE_OK(repository.Restore(1, "/restored"));
  auto again = storage::OpenDb(env.env(), "/restored", options);
  REQUIRE_OK(again.status());
  const std::unique_ptr<Db> restored = *std::move(again);
  CHECK_CODE(restored->ReadChanges({.from = ChangesFrom::Token(after_backup)}).status(), kFailedPrecondition);
  WriteRound(restored.get(), 2);
  // As many operations as were lost, and more, make it no place of this one.
  CHECK_CODE(restored->ReadChanges({.from = ChangesFrom::Token(after_backup)}).status(), kFailedPrecondition);
  REQUIRE_OK(restored->ReadChanges({.from = ChangesFrom::Token(at_backup)}).status());
  const auto next = repository.Create(restored.get());
  REQUIRE_OK(next.status());
  CHECK(next->number == 2);
  CHECK(next->tables == 2);
  CHECK(TablesIn(&env).size() == 2);
  REQUIRE_OK(repository.Verify(0));
}

TEST_CASE("a repository that nobody may write to can be verified and restored from, and nothing else") {
  TestEnv env(10);
  const std::unique_ptr<Db> db = OpenAt(&env, kDatabaseDir);
  backup::Repository repository = RepositoryOf(&env);
  WriteRound(db.get(), 0);
  REQUIRE_OK(repository.Create(db.get()).status());
  env.files().Inject(
      {.kind = FaultKind::kNoAccess, .calls = {FileCall::kLock}, .pattern = "*backups*", .count = Fault::kSticky});
  REQUIRE_OK(repository.Verify(0));
  CHECK(RestoredContents(&env, &repository, 1, "/restored/1") == ContentsOf(db.get()));
  CHECK_CODE(repository.Prune(1), kPermissionDenied);
  CHECK_CODE(repository.Create(db.get()).status(), kPermissionDenied);
}

TEST_CASE("what lies in a repository under names that could be its own does no harm") {
  TestEnv env(11);
  const std::unique_ptr<Db> db = OpenAt(&env, kDatabaseDir);
  backup::Repository repository = RepositoryOf(&env);
  WriteRound(db.get(), 0);
  REQUIRE_OK(repository.Create(db.get()).status());
  const std::string root = kRepositoryDir;
  for (const char* folder : {"tables/x.tmp", "backups/000009/a/b", "backups/y.tmp-z"}) {
    REQUIRE_OK(env.files().CreateDirs(base::JoinPath(root, folder)));
  }
  for (const char* file : {"backups/000008", "backups/000009/a/c", "tables/z.tmp",
                           "backups/18446744073709551615.backup", "backups/note.txt", "tables/README"}) {
    const auto made = env.files().Create(base::JoinPath(root, file), base::AppendMode::kBuffered);
    REQUIRE_OK(made.status());
    REQUIRE_OK((*made)->Append("not of a backup"));
    REQUIRE_OK((*made)->Close());
  }
  WriteRound(db.get(), 1);
  const auto made = repository.Create(db.get());
  REQUIRE_OK(made.status());
  CHECK(made->number == 2);
  REQUIRE_OK(repository.Verify(0));
  REQUIRE_OK(repository.Prune(1));
  CHECK(env.files().Exists(base::JoinPath(root, "backups/note.txt")).value());
  CHECK(!env.files().Exists(base::JoinPath(root, "backups/000009")).value());
  CHECK_CODE(repository.Restore(0, fmt::format("{}/backups/000012", root)), kInvalidArgument);
  CHECK_CODE(repository.Restore(0, root), kInvalidArgument);
}

TEST_CASE("where no description can be read it is not known of which database the backups are") {
  TestEnv env(12);
  const std::unique_ptr<Db> db = OpenAt(&env, kDatabaseDir);
  backup::Repository repository = RepositoryOf(&env);
  WriteRound(db.get(), 0);
  REQUIRE_OK(repository.Create(db.get()).status());
  env.files().FlipByte(base::JoinPath(kRepositoryDir, "backups/000001.backup"), 20, 1);
  CHECK_CODE(repository.Create(db.get()).status(), kDataLoss);
}

TEST_CASE("a backup that is cancelled ends, leaves nothing, and none follows") {
  TestEnv env(13);
  const std::unique_ptr<Db> db = OpenAt(&env, kDatabaseDir);
  backup::Repository repository = RepositoryOf(&env);
  WriteRound(db.get(), 0);
  REQUIRE_OK(repository.Create(db.get()).status());
  const std::set<std::string> before = TablesIn(&env);
  WriteRound(db.get(), 1);
  env.files().SetHook([&](uint64_t /*mutation*/) {
    if (TablesIn(&env).size() > before.size()) repository.Cancel();
  });
  CHECK_CODE(repository.Create(db.get()).status(), kCancelled);
  env.files().SetHook(nullptr);
  CHECK(TablesIn(&env) == before);
  CHECK_CODE(repository.Create(db.get()).status(), kCancelled);
  REQUIRE_OK(repository.Verify(0));
}

}  // namespace bandb::test
