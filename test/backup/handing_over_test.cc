// Files of a repository that are handed to a program.
#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "backup/backup_rig.h"
#include "base/status.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

// Takes files, as a program does that has them elsewhere, until it is told to refuse one.
struct Elsewhere {
  explicit Elsewhere(TestEnv* env) : env(env) {}

  Backup::HandOver Take() {
    return [this](const std::filesystem::path& file, std::string_view name) -> absl::Status {
      if (!refuses.empty() && name.ends_with(refuses)) {
        return base::Error(absl::StatusCode::kUnknown, "the command ended with exit code 7");
      }
      // What another file is there, is one that tells of a hole.
      const bool is_changed = file.string().starts_with(base::JoinPath(kRepositoryDir, "handed/"));
      CHECK(is_changed == tells_of_hole.contains(std::string(name)));
      if (!is_changed) CHECK(file.string() == base::JoinPath(kRepositoryDir, name));
      const std::string to = base::JoinPath("/elsewhere", name);
      REQUIRE_OK(env->files().CreateDirs(base::ParentPath(to)));
      if (!env->files().Exists(to).value()) {
        const auto made = env->files().Create(to, base::AppendMode::kBuffered);
        REQUIRE_OK(made.status());
        REQUIRE_OK((*made)->Close());
      }
      env->files().SetContent(to, env->files().Content(file.string()));
      names.emplace_back(name);
      return absl::OkStatus();
    };
  }

  TestEnv* const env;
  std::string refuses;
  std::set<std::string> tells_of_hole;
  std::vector<std::string> names;
};

}  // namespace

TEST_CASE("files are handed over once, each description after what it names, and make a whole repository") {
  BackupRig rig(21);
  Elsewhere elsewhere(&rig.env);
  for (int round = 0; round < 3; round++) {
    WriteRound(rig.db.get(), round);
    REQUIRE_OK(rig.repository.Create(rig.db.get(), {.logs = true}).status());
    if (round == 1) continue;
    CHECK(rig.repository.HandOver(elsewhere.Take()).value() == (round == 0 ? 1 : 2));
    CHECK(elsewhere.names.back().ends_with(fmt::format("00000{}.backup", round + 1)));
    CHECK(rig.repository.HandOver(elsewhere.Take()).value() == 0);
  }
  const std::set<std::string> once(elsewhere.names.begin(), elsewhere.names.end());
  CHECK(once.size() == elsewhere.names.size());
  CHECK(std::any_of(once.begin(), once.end(), [](const std::string& name) { return name.starts_with("logs/"); }));
  backup::Repository there = RepositoryOf(&rig.env, "/elsewhere");
  REQUIRE_OK(there.Verify(0));
  CHECK(there.List()->size() == 3);
  CHECK(RestoredContents(&rig.env, &there, 0, "/restored") == ContentsOf(rig.db.get()));
}

TEST_CASE("where a file is refused its backup counts as missing, and all of it is handed over again") {
  BackupRig rig(22);
  rig.BackUp(0);
  rig.BackUp(1);
  Elsewhere elsewhere(&rig.env);
  elsewhere.refuses = "000002/IDENTITY";
  const absl::Status refused = rig.repository.HandOver(elsewhere.Take()).status();
  CHECK_CODE(refused, kUnknown);
  CHECK(refused.message().find("000002/IDENTITY") != std::string::npos);
  CHECK(refused.message().find("exit code 7") != std::string::npos);
  const size_t before = elsewhere.names.size();
  elsewhere.refuses.clear();
  CHECK(rig.repository.HandOver(elsewhere.Take()).value() == 1);
  for (size_t i = before; i < elsewhere.names.size(); i++) {
    CHECK(elsewhere.names[i].find("000001") == std::string::npos);
  }
  backup::Repository there = RepositoryOf(&rig.env, "/elsewhere");
  REQUIRE_OK(there.Verify(0));
  // What a call has left that did not end.
  const std::string left = base::JoinPath(kRepositoryDir, "handed/000001.backup.tmp");
  REQUIRE_OK(rig.env.files().Create(left, base::AppendMode::kBuffered).status());
  // Marks of what was pruned go; what one backup after it needs was handed over.
  REQUIRE_OK(rig.repository.Prune(1));
  CHECK(rig.repository.HandOver(elsewhere.Take()).value() == 0);
  CHECK(!rig.env.files().Exists(base::JoinPath(kRepositoryDir, "handed/000001")).value());
  CHECK(!rig.env.files().Exists(left).value());
}

namespace {

// Makes the backup of a round, with the logs that lead to it.
uint64_t BackUpWithLogs(BackupRig* rig, int round) {
  WriteRound(rig->db.get(), round);
  const auto made = rig->repository.Create(rig->db.get(), {.logs = true});
  REQUIRE_OK(made.status());
  CHECK(made->hole.empty());
  return made->last_sequence;
}

}  // namespace

TEST_CASE("where logs were pruned before they were handed over, the repository elsewhere tells of the hole") {
  BackupRig rig(23);
  Elsewhere elsewhere(&rig.env);
  const bool before_is_there = GENERATE(true, false);
  std::vector<uint64_t> ends;
  for (int round = 0; round < 3; round++) {
    ends.push_back(BackUpWithLogs(&rig, round));
    if (round == 0 || (round == 1 && before_is_there)) REQUIRE_OK(rig.repository.HandOver(elsewhere.Take()).status());
  }
  REQUIRE_OK(rig.repository.Prune(1));
  ends.push_back(BackUpWithLogs(&rig, 3));
  elsewhere.refuses = "000003.backup";
  elsewhere.tells_of_hole = {"backups/000003.backup"};
  const absl::Status refused = rig.repository.HandOver(elsewhere.Take()).status();
  CHECK_CODE(refused, kUnknown);
  elsewhere.refuses.clear();
  CHECK(rig.repository.HandOver(elsewhere.Take()).value() == 2);
  for (const auto& [path, bytes] : rig.env.files().Files()) {
    CHECK_FALSE((path.starts_with(base::JoinPath(kRepositoryDir, "handed")) && path.ends_with(".backup")));
  }
  backup::Repository there = RepositoryOf(&rig.env, "/elsewhere");
  REQUIRE_OK(there.Verify(0));
  const auto list = there.List();
  REQUIRE_OK(list.status());
  REQUIRE(list->size() == (before_is_there ? 4 : 3));
  const BackupInfo& after_hole = (*list)[list->size() - 2];
  CHECK(after_hole.number == 3);
  CHECK_FALSE(after_hole.hole.empty());
  CHECK(after_hole.from_sequence == after_hole.last_sequence);
  CHECK(list->back().hole.empty());
  // In the hole, and on its far side.
  for (const uint64_t sequence : {ends[2] - 1, ends[0]}) {
    const absl::Status hole = there.Restore({.to_sequence = sequence}, "/restored").status();
    CHECK_CODE(hole, kOutOfRange);
    CHECK(hole.message().find("there is no log") != std::string::npos);
  }
  REQUIRE_OK(there.Restore({.number = 1, .to_sequence = ends[0]}, "/first").status());
  REQUIRE_OK(there.Restore({.to_sequence = ends[3] - 1}, "/last").status());
}

TEST_CASE("a backup whose logs lead from one that is not there tells of the hole") {
  BackupRig rig(24);
  uint64_t end = 0;
  for (int round = 0; round < 3; round++) end = BackUpWithLogs(&rig, round);
  REQUIRE_OK(rig.env.files().Remove(base::JoinPath(kRepositoryDir, "backups/000002.backup")));
  const auto list = rig.repository.List();
  REQUIRE_OK(list.status());
  CHECK(list->front().hole.empty());
  CHECK(list->back().hole.find("backup 2") != std::string::npos);
  const absl::Status hole = rig.repository.Restore({.to_sequence = end - 1}, "/restored").status();
  CHECK_CODE(hole, kOutOfRange);
  CHECK(hole.message().find("backup 2") != std::string::npos);
  // Of the oldest there is nothing to tell.
  REQUIRE_OK(rig.repository.Prune(1));
  CHECK(rig.repository.List()->front().hole.empty());
}

TEST_CASE("only of a repository that is not there it is said that nothing is found") {
  BackupRig rig(25);
  CHECK_CODE(rig.repository.HandOver({}).status(), kNotFound);
  rig.BackUp(0);
  rig.BackUp(1);
  const auto not_found = [](const std::filesystem::path& /*file*/, std::string_view /*name*/) {
    return base::Error(absl::StatusCode::kNotFound, "no shell");
  };
  const absl::Status refused = rig.repository.HandOver(not_found).status();
  CHECK_CODE(refused, kUnknown);
  CHECK(refused.message().find("no shell") != std::string::npos);
  const std::string second = base::JoinPath(kRepositoryDir, "backups/000002.backup");
  const auto take_away = [&](const std::filesystem::path& /*file*/, std::string_view /*name*/) {
    rig.env.files().Remove(second).IgnoreError();
    return absl::OkStatus();
  };
  const absl::Status gone = rig.repository.HandOver(take_away).status();
  CHECK_CODE(gone, kDataLoss);
  CHECK(gone.message().find(second) != std::string::npos);
}

}  // namespace bandb::test
