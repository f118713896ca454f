// What is a repository, and what is never removed because it may be none.
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backup/backup_rig.h"
#include "backup/repository_mark.h"
#include "base/status.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

const std::string kRoot = kRepositoryDir;
const std::string kMarkPath = base::JoinPath(kRoot, "REPOSITORY");

void PutFile(TestEnv* env, const std::string& path, const std::string& content = "not BanDB's") {
  REQUIRE_OK(env->files().CreateDirs(base::ParentPath(path)));
  const auto made = env->files().Create(path, base::AppendMode::kBuffered);
  REQUIRE_OK(made.status());
  REQUIRE_OK((*made)->Append(content));
  REQUIRE_OK((*made)->Close());
}

// All files below a folder, with what they hold.
std::map<std::string, std::string> FilesIn(TestEnv* env, const std::string& folder) {
  std::map<std::string, std::string> found;
  for (const auto& [path, bytes] : env->files().Files()) {
    if (path.starts_with(folder + "/")) found.emplace(path, env->files().Content(path));
  }
  return found;
}

// But for locks, which hold nothing.
std::map<std::string, std::string> FilesBackedUp(TestEnv* env) {
  std::map<std::string, std::string> found = FilesIn(env, kRoot);
  std::erase_if(found, [](const auto& file) { return file.first.ends_with("/LOCK"); });
  return found;
}

// Takes files out of the repository, and gives them back.
class Away {
 public:
  Away(TestEnv* env, const std::string& folder) : env_(env), files_(FilesIn(env, folder)) {
    for (const auto& [path, content] : files_) REQUIRE_OK(env_->files().Remove(path));
  }
  void GiveBack() {
    for (const auto& [path, content] : files_) PutFile(env_, path, content);
  }

 private:
  TestEnv* const env_;
  const std::map<std::string, std::string> files_;
};

}  // namespace

TEST_CASE("in a directory of something else nothing is made or removed") {
  for (const char* name : {"logs/app.log", "logs/0123456789abcdef0123456789abcdef.log", "tables/users.tbl",
                           "tables/x.tmp", "backups/20261130/dump.sql", "backups/20261130.backup", "backups/notes"}) {
    CAPTURE(name);
    BackupRig rig(41);
    WriteRound(rig.db.get(), 0);
    PutFile(&rig.env, base::JoinPath(kRoot, name));
    const auto before = FilesBackedUp(&rig.env);
    const absl::Status created = rig.repository.Create(rig.db.get(), {}).status();
    CHECK((absl::IsFailedPrecondition(created) || absl::IsDataLoss(created)));
    CHECK(created.message().find(kRoot) != std::string::npos);
    CHECK(!rig.repository.Prune(1).ok());
    CHECK(!rig.repository.Verify(0).ok());
    CHECK(FilesBackedUp(&rig.env) == before);
  }
}

TEST_CASE("other folders beside it are no obstacle to a repository, and stay") {
  BackupRig rig(42);
  for (const char* name : {"data/20261130/x.tmp", "readme.tmp", "tables.txt"}) {
    PutFile(&rig.env, base::JoinPath(kRoot, name));
  }
  const auto before = FilesIn(&rig.env, kRoot);
  rig.BackUp(0);
  rig.BackUp(1);
  REQUIRE_OK(rig.repository.Prune(1));
  const auto after = FilesIn(&rig.env, kRoot);
  for (const auto& [path, content] : before) CHECK(after.contains(path));
}

TEST_CASE("a repository of an earlier release is known by its backups, and gets a mark with the next") {
  BackupRig rig(43);
  rig.BackUp(0);
  rig.BackUp(1);
  REQUIRE_OK(rig.env.files().Remove(kMarkPath));
  REQUIRE_OK(rig.repository.Verify(0));
  CHECK(rig.repository.List()->size() == 2);
  REQUIRE_OK(rig.repository.Prune(1));
  CHECK(!rig.env.files().Exists(kMarkPath).value());
  rig.BackUp(2);
  const auto mark = backup::DecodeMark(rig.env.files().Content(kMarkPath), kMarkPath);
  REQUIRE_OK(mark.status());
  CHECK(!mark->first);
  rig.BackUp(3);
  CHECK(backup::DecodeMark(rig.env.files().Content(kMarkPath), kMarkPath)->id == mark->id);
  REQUIRE_OK(rig.repository.Verify(0));
}

TEST_CASE("where a full disk keeps the mark of an earlier release's repository from being written, only leftovers go") {
  BackupRig rig(49);
  rig.BackUp(0);
  REQUIRE_OK(rig.env.files().Remove(kMarkPath));
  for (const char* name : {"tables/users.tbl", "logs/app.log", "backups/notes", "data/x.tmp", "readme.txt"}) {
    PutFile(&rig.env, base::JoinPath(kRoot, name));
  }
  const auto sound = FilesBackedUp(&rig.env);
  const std::vector<std::string> leftovers = {"tables/0123456789abcdef0123456789abcdef.tbl",
                                              "logs/0123456789abcdef0123456789abcdef.log", "tables/x.tmp",
                                              "backups/000002.tmp-checkpoint/CURRENT", "backups/000002/CURRENT"};
  for (const std::string& name : leftovers) PutFile(&rig.env, base::JoinPath(kRoot, name), "left over");
  REQUIRE(FilesBackedUp(&rig.env).size() == sound.size() + leftovers.size());
  rig.env.files().Inject({.kind = FaultKind::kNoSpace,
                          .calls = {FileCall::kCreate, FileCall::kReserve, FileCall::kAppend},
                          .pattern = "*",
                          .count = Fault::kSticky});
  CHECK_CODE(rig.repository.Create(rig.db.get(), {}).status(), kResourceExhausted);
  CHECK(rig.env.files().failures() > 0);
  // No mark, and of the rest all but what the disk was full of.
  CHECK(FilesBackedUp(&rig.env) == sound);
  rig.env.files().ClearFaults();
  REQUIRE_OK(rig.repository.Create(rig.db.get(), {}).status());
  REQUIRE_OK(rig.repository.Verify(0));
  const auto after = FilesBackedUp(&rig.env);
  CHECK(after.contains(kMarkPath));
  for (const auto& [path, content] : sound) CHECK(after.contains(path));
}

TEST_CASE("in a directory of something else a mark that cannot be written removes nothing") {
  BackupRig rig(50);
  WriteRound(rig.db.get(), 0);
  for (const char* name : {"data/x.tmp", "readme.txt", "0123456789abcdef0123456789abcdef.tbl"}) {
    PutFile(&rig.env, base::JoinPath(kRoot, name));
  }
  const auto before = FilesBackedUp(&rig.env);
  rig.env.files().Inject(
      {.kind = FaultKind::kNoSpace, .calls = {FileCall::kAppend}, .pattern = "*REPOSITORY*", .count = Fault::kSticky});
  CHECK_CODE(rig.repository.Create(rig.db.get(), {}).status(), kResourceExhausted);
  CHECK(rig.env.files().failures() > 0);
  CHECK(FilesBackedUp(&rig.env) == before);
  rig.env.files().ClearFaults();
  REQUIRE_OK(rig.repository.Create(rig.db.get(), {}).status());
  REQUIRE_OK(rig.repository.Verify(0));
  for (const auto& [path, content] : before) CHECK(rig.env.files().Exists(path).value());
}

TEST_CASE("what is on its way back is not taken for leftovers, whichever comes last") {
  const bool has_mark = GENERATE(true, false);
  BackupRig rig(44);
  for (int round = 0; round < 2; round++) {
    WriteRound(rig.db.get(), round);
    REQUIRE_OK(rig.repository.Create(rig.db.get(), {.logs = true}).status());
  }
  const auto whole = FilesBackedUp(&rig.env);
  CAPTURE(has_mark);
  if (!has_mark) REQUIRE_OK(rig.env.files().Remove(kMarkPath));
  Away backups(&rig.env, base::JoinPath(kRoot, "backups"));
  const auto partial = FilesBackedUp(&rig.env);
  CHECK(partial.size() >= 3);
  for (int tries = 0; tries < 2; tries++) {
    CHECK_CODE(rig.repository.Create(rig.db.get(), {}).status(), kFailedPrecondition);
    CHECK(!rig.repository.Prune(1).ok());
    CHECK(FilesBackedUp(&rig.env) == partial);
  }
  // Folders of backups, too, whose descriptions are to come.
  PutFile(&rig.env, base::JoinPath(kRoot, "backups/000002/IDENTITY"));
  Away tables(&rig.env, base::JoinPath(kRoot, "tables"));
  CHECK_CODE(rig.repository.Create(rig.db.get(), {}).status(), kFailedPrecondition);
  CHECK(rig.env.files().Exists(base::JoinPath(kRoot, "backups/000002/IDENTITY")).value());
  REQUIRE_OK(rig.env.files().Remove(base::JoinPath(kRoot, "backups/000002/IDENTITY")));
  tables.GiveBack();
  backups.GiveBack();
  REQUIRE_OK(rig.repository.Verify(0));
  rig.BackUp(2);
  REQUIRE_OK(rig.repository.Verify(0));
  for (const auto& [path, content] : whole) CHECK(rig.env.files().Exists(path).value());
}

TEST_CASE("a first backup that did not end is nothing to keep, after any crash") {
  BackupRig rig(45);
  WriteRound(rig.db.get(), 0);
  std::vector<std::unique_ptr<CrashFileSystem>> images;
  CrashFileSystem& files = rig.env.files();
  for (const Damage damage : kAllDamages) {
    files.SetHook([&](uint64_t mutation) { images.push_back(files.CrashImage(damage, mutation)); });
    backup::Repository repository = RepositoryOf(&rig.env, fmt::format("/first/{}", static_cast<int>(damage)));
    REQUIRE_OK(repository.Create(rig.db.get(), {}).status());
    files.SetHook(nullptr);
    CHECK(images.size() > 15);
    for (std::unique_ptr<CrashFileSystem>& image : images) {
      TestEnv after(4, std::move(image));
      const std::unique_ptr<Db> db = OpenAt(&after, kDatabaseDir);
      const std::string root = fmt::format("/first/{}", static_cast<int>(damage));
      backup::Repository again = RepositoryOf(&after, root);
      REQUIRE_OK(again.Create(db.get(), {}).status());
      REQUIRE_OK(again.Verify(0));
      CHECK(FilesIn(&after, base::JoinPath(root, "tables")).size() == again.List()->back().tables);
    }
    images.clear();
  }
}

TEST_CASE("a damaged mark is named, and backups go on without it") {
  BackupRig rig(46);
  rig.BackUp(0);
  rig.env.files().FlipByte(kMarkPath, 30, 1);
  WriteRound(rig.db.get(), 1);
  for (const absl::Status& status :
       {rig.repository.Create(rig.db.get(), {}).status(), rig.repository.Prune(1), rig.repository.Verify(0)}) {
    CHECK_CODE(status, kDataLoss);
    CHECK(status.message().find(kMarkPath) != std::string::npos);
  }
  REQUIRE_OK(rig.env.files().Remove(kMarkPath));
  REQUIRE_OK(rig.repository.Create(rig.db.get(), {}).status());
  REQUIRE_OK(rig.repository.Verify(0));
}

TEST_CASE("only names that BanDB gives are removed") {
  BackupRig rig(47);
  rig.BackUp(0);
  const std::string id = "0123456789abcdef0123456789abcdef";
  const std::vector<std::string> stay = {"tables/users.tbl", "logs/app.log", "tables/form.tmpl", "backups/a.tmpfile",
                                         "tables/0123456789ABCDEF0123456789ABCDEF.tbl"};
  const std::vector<std::string> go = {"tables/" + id + ".tbl", "logs/" + id + ".log", "tables/" + id + ".tbl.tmp",
                                       "backups/000009.tmp-checkpoint"};
  for (const auto& names : {stay, go}) {
    for (const std::string& name : names) PutFile(&rig.env, base::JoinPath(kRoot, name));
  }
  rig.BackUp(1);
  for (const std::string& name : stay) CHECK(rig.env.files().Exists(base::JoinPath(kRoot, name)).value());
  for (const std::string& name : go) CHECK(!rig.env.files().Exists(base::JoinPath(kRoot, name)).value());
}

TEST_CASE("who may not write to a repository keeps a prune from it by the lock of a directory") {
  BackupRig rig(48);
  rig.BackUp(0);
  rig.BackUp(1);
  TestEnv* const env = &rig.env;
  int locked = 0;
  bool may_lock = true;
  const auto lock_directory = [&](const std::string& path) -> absl::StatusOr<std::unique_ptr<base::FileLock>> {
    ++locked;
    env->files().ClearFaults();
    if (!may_lock) return base::Error(absl::StatusCode::kInternal, "no such locks");
    return env->files().Lock(base::JoinPath(path, "LOCK"));
  };
  backup::Repository reader({.files = &env->files(),
                             .now_ms = [env] { return env->clock().WallMillis(); },
                             .seed = 8,
                             .open = {},
                             .lock_directory = lock_directory},
                            kRoot);
  const auto refuse = [&] {
    env->files().Inject({.kind = FaultKind::kNoAccess, .calls = {FileCall::kLock}, .pattern = "*readers*", .count = 1});
  };
  std::vector<absl::Status> pruned;
  const auto prune = [&](const std::filesystem::path& /*file*/, std::string_view /*name*/) {
    pruned.push_back(rig.repository.Prune(1));
    return absl::OkStatus();
  };
  refuse();
  REQUIRE_OK(reader.HandOver(prune).status());
  CHECK(locked == 1);
  REQUIRE(!pruned.empty());
  for (const absl::Status& status : pruned) CHECK_CODE(status, kFailedPrecondition);
  // Where not even that can be had, it is told what may have become of what is missing.
  may_lock = false;
  for (const auto& [path, content] : FilesIn(env, base::JoinPath(kRoot, "tables"))) {
    REQUIRE_OK(env->files().Remove(path));
  }
  refuse();
  const absl::Status verified = reader.Verify(0);
  CHECK_CODE(verified, kDataLoss);
  CHECK(verified.message().find("pruned meanwhile") != std::string::npos);
  CHECK(rig.repository.Verify(0).message().find("pruned meanwhile") == std::string::npos);
}

}  // namespace bandb::test
