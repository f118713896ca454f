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
    if (path.starts_with(base::JoinPath(kRepositoryDir, "tables/"))) tables.insert(path);
  }
  return tables;
}

}  // namespace

TEST_CASE("each backup restores to the state that it was made of, and no table is stored twice") {
  BackupRig rig(1);
  std::vector<Contents> states;
  uint64_t stored_before = 0;
  for (int round = 0; round < 5; round++) {
    WriteRound(rig.db.get(), round);
    states.push_back(ContentsOf(rig.db.get()));
    rig.env.clock().AdvanceMillis(1000);
    const auto made = rig.repository.Create(rig.db.get(), {});
    REQUIRE_OK(made.status());
    CHECK(made->number == static_cast<uint64_t>(round) + 1);
    CHECK(made->tables == static_cast<uint64_t>(round) + 1);
    CHECK(made->last_sequence == rig.db->GetStats().last_sequence);
    CHECK(made->time == absl::FromUnixMillis(rig.env.clock().WallMillis()));
    CHECK(TablesIn(&rig.env).size() == made->tables);
    // One new table, and the small files.
    uint64_t stored = 0;
    for (const auto& [path, bytes] : rig.env.files().Files()) {
      const bool counts = !path.ends_with(".backup") && !path.ends_with("LOCK") && !path.ends_with("REPOSITORY");
      if (path.starts_with(kRepositoryDir) && counts) stored += bytes;
    }
    CHECK(made->new_bytes == stored - stored_before);
    stored_before = stored;
  }
  REQUIRE_OK(rig.repository.Verify(0));
  const auto list = rig.repository.List();
  REQUIRE_OK(list.status());
  REQUIRE(list->size() == 5);
  for (size_t i = 0; i < 5; i++) {
    CHECK((*list)[i].number == i + 1);
    CHECK((*list)[i].damage.empty());
    CHECK(RestoredContents(&rig.env, &rig.repository, i + 1, fmt::format("/restored/{}", i)) == states[i]);
  }
  CHECK(RestoredContents(&rig.env, &rig.repository, 0, "/restored/newest") == states[4]);
  CHECK_CODE(rig.repository.Restore({.number = 1}, "/restored/newest").status(), kAlreadyExists);
  CHECK_CODE(rig.repository.Restore({.number = 6}, "/restored/six").status(), kNotFound);
}

TEST_CASE("of what the repository has nothing but the headers is read from the database") {
  BackupRig rig(2);
  rig.BackUp(0);
  // Damage beyond the header of a table that is there already is nothing to this backup.
  for (const auto& [path, bytes] : rig.env.files().Files()) {
    if (path.starts_with(kDatabaseDir) && path.ends_with(".tbl")) rig.env.files().FlipByte(path, 100, 1);
  }
  const auto second = rig.repository.Create(rig.db.get(), {});
  REQUIRE_OK(second.status());
  CHECK(second->new_bytes < 2048);
  REQUIRE_OK(rig.repository.Verify(0));
}

TEST_CASE("one more backup of a database with one new byte in a hundred costs little more than the new bytes") {
  BackupRig rig(15);
  base::Random random(3);
  const auto write_table = [&](int table) {
    for (int i = 0; i < 50; i++) {
      std::string value(2048, '\0');
      for (char& byte : value) byte = static_cast<char>(random.Next());
      REQUIRE_OK(rig.db->Put(fmt::format("{:03}-{:03}", table, i), value));
    }
    REQUIRE_OK(rig.db->Flush());
  };
  for (int table = 0; table < 60; table++) write_table(table);
  REQUIRE_OK(rig.repository.Create(rig.db.get(), {}).status());
  const uint64_t before = rig.db->GetStats().table_bytes;
  write_table(60);
  const uint64_t more = rig.db->GetStats().table_bytes - before;
  CHECK(more > 50 * 2048);
  const auto made = rig.repository.Create(rig.db.get(), {});
  REQUIRE_OK(made.status());
  CHECK(static_cast<double>(made->new_bytes) <= 1.2 * static_cast<double>(more));
}

TEST_CASE("a damaged table of the database is found when it is backed up, and the backups before it stay") {
  BackupRig rig(3);
  rig.BackUp(0);
  const std::set<std::string> before = TablesIn(&rig.env);
  WriteRound(rig.db.get(), 1);
  std::string newest;
  for (const auto& [path, bytes] : rig.env.files().Files()) {
    if (path.starts_with(kDatabaseDir) && path.ends_with(".tbl")) newest = std::max(newest, path);
  }
  rig.env.files().FlipByte(newest, 100, 1);
  const absl::Status status = rig.repository.Create(rig.db.get(), {}).status();
  CHECK_CODE(status, kDataLoss);
  CHECK(status.message().find(newest.substr(newest.rfind('/'))) != std::string::npos);
  CHECK(TablesIn(&rig.env) == before);
  CHECK(rig.repository.List().value().size() == 1);
  REQUIRE_OK(rig.repository.Verify(0));
  rig.env.files().FlipByte(newest, 100, 1);
  REQUIRE_OK(rig.repository.Create(rig.db.get(), {}).status());
  REQUIRE_OK(rig.repository.Verify(0));
}

TEST_CASE("each flipped byte of a repository, and each file that is missing, is found and named") {
  BackupRig rig(4);
  for (int round = 0; round < 2; round++) {
    rig.BackUp(round);
  }
  int files = 0;
  for (const auto& [path, bytes] : rig.env.files().Files()) {
    if (!path.starts_with(kRepositoryDir) || path.ends_with("LOCK")) continue;
    ++files;
    for (uint64_t offset = 0; offset < bytes; offset++) {
      rig.env.files().FlipByte(path, offset, static_cast<uint8_t>(1 << (offset % 8)));
      const absl::Status status = rig.repository.Verify(0);
      CAPTURE(path, offset, status.ToString());
      CHECK_CODE(status, kDataLoss);
      CHECK(status.message().find(path) != std::string::npos);
      rig.env.files().FlipByte(path, offset, static_cast<uint8_t>(1 << (offset % 8)));
    }
    const std::string content = rig.env.files().Content(path);
    rig.env.files().Truncate(path, bytes - 1);
    CHECK_CODE(rig.repository.Verify(0), kDataLoss);
    rig.env.files().SetContent(path, content);
    // Which an earlier release did not make.
    if (path.ends_with(".backup") || path.ends_with("REPOSITORY")) continue;
    const std::string elsewhere = "/elsewhere";
    REQUIRE_OK(rig.env.files().Rename(path, elsewhere));
    CHECK_CODE(rig.repository.Verify(0), kDataLoss);
    REQUIRE_OK(rig.env.files().Rename(elsewhere, path));
  }
  CHECK(files >= 10);
  REQUIRE_OK(rig.repository.Verify(0));
  CHECK_CODE(rig.repository.Verify(3), kNotFound);
}

TEST_CASE("nothing that is damaged is restored, and no part of it is left") {
  BackupRig rig(5);
  rig.BackUp(0);
  for (const auto& [path, bytes] : rig.env.files().Files()) {
    if (!path.starts_with(kRepositoryDir) || path.ends_with("LOCK") || path.ends_with("REPOSITORY")) continue;
    rig.env.files().FlipByte(path, bytes / 2, 4);
    CHECK_CODE(rig.repository.Restore({.number = 1}, "/restored/one").status(), kDataLoss);
    rig.env.files().FlipByte(path, bytes / 2, 4);
    for (const auto& [left, left_bytes] : rig.env.files().Files()) CHECK(!left.starts_with("/restored"));
  }
  rig.env.files().SetFreeBytes(100);
  CHECK_CODE(rig.repository.Restore({.number = 1}, "/restored/one").status(), kResourceExhausted);
}

TEST_CASE("a file that is gone is damage, and a device that cannot read is none") {
  BackupRig rig(14);
  rig.BackUp(0);
  for (const std::string& table : TablesIn(&rig.env)) {
    rig.env.files().Inject(
        {.kind = FaultKind::kIoError, .calls = {FileCall::kRead}, .pattern = table, .count = Fault::kSticky});
    CHECK_CODE(rig.repository.Verify(0), kInternal);
    CHECK_CODE(rig.repository.Restore({.number = 1}, "/restored").status(), kInternal);
    rig.env.files().ClearFaults();
    REQUIRE_OK(rig.env.files().Remove(table));
  }
  CHECK_CODE(rig.repository.Verify(0), kDataLoss);
  CHECK_CODE(rig.repository.Restore({.number = 1}, "/restored").status(), kDataLoss);
  CHECK_CODE(rig.repository.Restore({.number = 2}, "/restored").status(), kNotFound);
}

TEST_CASE("pruning keeps the newest and what they need, and numbers are not given again") {
  BackupRig rig(6);
  std::vector<Contents> states;
  for (int round = 0; round < 4; round++) {
    WriteRound(rig.db.get(), round);
    // From the third on there is one table in place of those before.
    if (round == 2) REQUIRE_OK(rig.db->CompactRange("", ""));
    states.push_back(ContentsOf(rig.db.get()));
    REQUIRE_OK(rig.repository.Create(rig.db.get(), {}).status());
  }
  CHECK(TablesIn(&rig.env).size() == 4);
  CHECK_CODE(rig.repository.Prune(0), kInvalidArgument);
  REQUIRE_OK(rig.repository.Prune(9));
  CHECK(rig.repository.List().value().size() == 4);
  REQUIRE_OK(rig.repository.Prune(2));
  const auto list = rig.repository.List();
  REQUIRE(list->size() == 2);
  CHECK(list->front().number == 3);
  CHECK(TablesIn(&rig.env).size() == 2);
  REQUIRE_OK(rig.repository.Verify(0));
  CHECK(RestoredContents(&rig.env, &rig.repository, 3, "/restored/3") == states[2]);
  CHECK(RestoredContents(&rig.env, &rig.repository, 4, "/restored/4") == states[3]);
  CHECK(rig.repository.Create(rig.db.get(), {}).value().number == 5);
}

TEST_CASE("a damaged description hides no other backup, and nothing is removed that it may need") {
  BackupRig rig(7);
  for (int round = 0; round < 3; round++) {
    WriteRound(rig.db.get(), round);
    REQUIRE_OK(rig.db->CompactRange("", ""));
    REQUIRE_OK(rig.repository.Create(rig.db.get(), {}).status());
  }
  const std::string description = base::JoinPath(kRepositoryDir, "backups/000002.backup");
  rig.env.files().FlipByte(description, 40, 1);
  const auto list = rig.repository.List();
  REQUIRE(list->size() == 3);
  CHECK(list->at(1).number == 2);
  CHECK(list->at(1).damage.find(description) != std::string::npos);
  CHECK_CODE(rig.repository.Prune(2), kDataLoss);
  CHECK(rig.repository.List().value().size() == 3);
  rig.BackUp(3);
  CHECK(TablesIn(&rig.env).size() == 4);
  rig.env.files().FlipByte(description, 40, 1);
  REQUIRE_OK(rig.repository.Verify(0));
}

TEST_CASE("a repository is of one database, and of one call at a time that makes or prunes") {
  BackupRig rig(8);
  const std::unique_ptr<Db> other = OpenAt(&rig.env, "/other");
  CHECK_CODE(rig.repository.List().status(), kNotFound);
  CHECK_CODE(rig.repository.Verify(0), kNotFound);
  CHECK_CODE(rig.repository.Restore({.number = 0}, "/restored").status(), kNotFound);
  WriteRound(rig.db.get(), 0);
  WriteRound(other.get(), 0);
  REQUIRE_OK(rig.repository.Create(rig.db.get(), {}).status());
  CHECK_CODE(rig.repository.Create(other.get(), {}).status(), kFailedPrecondition);
  {
    const auto lock = rig.env.files().Lock(base::JoinPath(kRepositoryDir, "LOCK"));
    REQUIRE_OK(lock.status());
    CHECK_CODE(rig.repository.Create(rig.db.get(), {}).status(), kFailedPrecondition);
    CHECK_CODE(rig.repository.Prune(1), kFailedPrecondition);
    CHECK(rig.repository.List().value().size() == 1);
    // A reader is in nobody's way, except a prune's.
    REQUIRE_OK(rig.repository.Verify(0));
    REQUIRE_OK(rig.repository.Restore({.number = 1}, "/beside").status());
  }
  std::vector<std::unique_ptr<base::FileLock>> readers;
  for (int place = 1; place <= backup::kReadersMax; ++place) {
    const std::string path = fmt::format("{}/readers/{}/LOCK", kRepositoryDir, place);
    REQUIRE_OK(rig.repository.Verify(0));
    CHECK_CODE(rig.repository.Restore({.number = 7}, "/none").status(), kNotFound);
    REQUIRE_OK(rig.env.files().CreateDirs(base::ParentPath(path)));
    auto lock = rig.env.files().Lock(path);
    REQUIRE_OK(lock.status());
    readers.push_back(*std::move(lock));
    CHECK_CODE(rig.repository.Prune(1), kFailedPrecondition);
    REQUIRE_OK(rig.repository.Create(rig.db.get(), {}).status());
  }
  CHECK_CODE(rig.repository.Verify(0), kFailedPrecondition);
  readers.clear();
  REQUIRE_OK(rig.repository.Prune(1));
  REQUIRE_OK(rig.repository.Verify(0));
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
  REQUIRE_OK(repository.Create(db.get(), {}).status());
  const std::string at_backup = token_now(db.get());
  WriteRound(db.get(), 1);
  const std::string after_backup = token_now(db.get());

  REQUIRE_OK(repository.Restore({.number = 1}, "/restored").status());
  auto again = storage::OpenDb(env.env(), "/restored", options);
  REQUIRE_OK(again.status());
  const std::unique_ptr<Db> restored = *std::move(again);
  CHECK_CODE(restored->ReadChanges({.from = ChangesFrom::Token(after_backup)}).status(), kFailedPrecondition);
  WriteRound(restored.get(), 2);
  // As many operations as were lost, and more, make it no place of this one.
  CHECK_CODE(restored->ReadChanges({.from = ChangesFrom::Token(after_backup)}).status(), kFailedPrecondition);
  REQUIRE_OK(restored->ReadChanges({.from = ChangesFrom::Token(at_backup)}).status());
  const auto next = repository.Create(restored.get(), {});
  REQUIRE_OK(next.status());
  CHECK(next->number == 2);
  CHECK(next->tables == 2);
  CHECK(TablesIn(&env).size() == 2);
  REQUIRE_OK(repository.Verify(0));
}

TEST_CASE("a repository that nobody may write to can be verified and restored from, and nothing else") {
  BackupRig rig(10);
  rig.BackUp(0);
  rig.env.files().Inject(
      {.kind = FaultKind::kNoAccess, .calls = {FileCall::kLock}, .pattern = "*backups*", .count = Fault::kSticky});
  REQUIRE_OK(rig.repository.Verify(0));
  CHECK(RestoredContents(&rig.env, &rig.repository, 1, "/restored/1") == ContentsOf(rig.db.get()));
  CHECK_CODE(rig.repository.Prune(1), kPermissionDenied);
  CHECK_CODE(rig.repository.Create(rig.db.get(), {}).status(), kPermissionDenied);
}

TEST_CASE("what lies in a repository under names that could be its own does no harm") {
  BackupRig rig(11);
  rig.BackUp(0);
  const std::string root = kRepositoryDir;
  for (const char* folder : {"tables/x.tmp", "backups/000009/a/b", "backups/y.tmp-z"}) {
    REQUIRE_OK(rig.env.files().CreateDirs(base::JoinPath(root, folder)));
  }
  for (const char* file : {"backups/000008", "backups/000009/a/c", "tables/z.tmp",
                           "backups/18446744073709551615.backup", "backups/note.txt", "tables/README"}) {
    const auto made = rig.env.files().Create(base::JoinPath(root, file), base::AppendMode::kBuffered);
    REQUIRE_OK(made.status());
    REQUIRE_OK((*made)->Append("not of a backup"));
    REQUIRE_OK((*made)->Close());
  }
  WriteRound(rig.db.get(), 1);
  const auto made = rig.repository.Create(rig.db.get(), {});
  REQUIRE_OK(made.status());
  CHECK(made->number == 2);
  REQUIRE_OK(rig.repository.Verify(0));
  REQUIRE_OK(rig.repository.Prune(1));
  CHECK(rig.env.files().Exists(base::JoinPath(root, "backups/note.txt")).value());
  CHECK(!rig.env.files().Exists(base::JoinPath(root, "backups/000009")).value());
  CHECK_CODE(rig.repository.Restore({.number = 0}, fmt::format("{}/backups/000012", root)).status(), kInvalidArgument);
  CHECK_CODE(rig.repository.Restore({.number = 0}, root).status(), kInvalidArgument);
}

TEST_CASE("where no description can be read it is not known of which database the backups are") {
  BackupRig rig(12);
  rig.BackUp(0);
  rig.env.files().FlipByte(base::JoinPath(kRepositoryDir, "backups/000001.backup"), 20, 1);
  CHECK_CODE(rig.repository.Create(rig.db.get(), {}).status(), kDataLoss);
}

TEST_CASE("a backup that is cancelled ends, leaves nothing, and none follows") {
  BackupRig rig(13);
  rig.BackUp(0);
  const std::set<std::string> before = TablesIn(&rig.env);
  WriteRound(rig.db.get(), 1);
  rig.env.files().SetHook([&](uint64_t /*mutation*/) {
    if (TablesIn(&rig.env).size() > before.size()) rig.repository.Cancel();
  });
  CHECK_CODE(rig.repository.Create(rig.db.get(), {}).status(), kCancelled);
  rig.env.files().SetHook(nullptr);
  CHECK(TablesIn(&rig.env) == before);
  CHECK_CODE(rig.repository.Create(rig.db.get(), {}).status(), kCancelled);
  REQUIRE_OK(rig.repository.Verify(0));
}

}  // namespace bandb::test
