// States between two backups: from the logs that lead from the one to the other.
#include <memory>
#include <string>
#include <vector>

#include "backup/description.h"
#include "backup/history_rig.h"
#include "bandb/changes.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("every state between two backups is restored, by its sequence and by its time, and none in a commit") {
  HistoryRig rig(1);
  rig.BackUp();
  const uint64_t first = rig.db->GetStats().last_sequence;
  for (int backup = 0; backup < 3; backup++) {
    for (int i = 0; i < 9; i++) {
      rig.Commit();
      // Logs that end otherwise: with a flush, a close, and a crash.
      if (i == 2) REQUIRE_OK(rig.db->Flush());
      if (i == 4 && backup != 1) {
        REQUIRE_OK(rig.db->Close());
        rig.Open();
      }
    }
    const BackupInfo made = rig.BackUp();
    CHECK(made.hole.empty());
    CHECK(made.logs >= 2);
    CHECK(made.from_sequence >= first);
  }
  REQUIRE_OK(rig.repository.Verify(0));
  for (size_t i = 0; i < rig.states.size(); i++) {
    const HistoryRig::State& state = rig.states[i];
    CAPTURE(i, state.sequence);
    RestoreInfo info;
    CHECK(rig.Restored({.to_sequence = state.sequence}, &info) == state.contents);
    CHECK(info.last_sequence == state.sequence);
    CHECK(rig.Restored({.to_time = state.time}, &info) == state.contents);
    CHECK(rig.Restored({.to_time = state.time + absl::Milliseconds(9)}) == state.contents);
    const auto planned = rig.repository.Restore({.to_time = state.time, .dry_run = true}, "");
    REQUIRE_OK(planned.status());
    CHECK(planned->last_sequence == info.last_sequence);
    CHECK(planned->time == info.time);
    // In the middle of the next commit.
    if (i + 1 < rig.states.size()) {
      CHECK(rig.Restored({.to_sequence = rig.states[i + 1].sequence - 1}) == state.contents);
    }
  }
  // Nothing is known of after the last backup, or from before the first.
  CHECK_CODE(rig.repository.Restore({.to_sequence = rig.db->GetStats().last_sequence + 1}, "/x").status(), kOutOfRange);
  rig.env.clock().AdvanceMillis(1);
  CHECK_CODE(rig.repository.Restore({.to_time = absl::FromUnixMillis(rig.env.clock().WallMillis())}, "/x").status(),
             kOutOfRange);
  CHECK_CODE(rig.repository.Restore({.to_sequence = first - 1}, "/x").status(), kOutOfRange);
  CHECK_CODE(rig.repository.Restore({.to_time = absl::UnixEpoch()}, "/x").status(), kOutOfRange);
  // On the way to an earlier one.
  CHECK(rig.Restored({.number = 2, .to_sequence = rig.states[4].sequence}) == rig.states[4].contents);
  CHECK_CODE(rig.repository.Restore({.number = 2, .to_sequence = rig.states[12].sequence}, "/x").status(), kOutOfRange);
}

TEST_CASE("the list shows how far each backup reaches, and where logs are missing the making of the backup tells") {
  HistoryRig rig(2, 1);
  rig.BackUp();
  for (int i = 0; i < 5; i++) rig.Commit();
  // More than the one byte that may be kept.
  REQUIRE_OK(rig.db->Flush());
  const BackupInfo made = rig.BackUp();
  CHECK(!made.hole.empty());
  CHECK(made.logs == 0);
  CHECK(made.from_sequence == made.last_sequence);
  const auto list = rig.repository.List();
  REQUIRE_OK(list.status());
  CHECK(!list->back().hole.empty());
  CHECK(list->front().hole.empty());
  CHECK_CODE(rig.repository.Restore({.to_sequence = rig.states[2].sequence}, "/x").status(), kOutOfRange);
  CHECK(rig.Restored({.to_sequence = made.last_sequence}) == rig.states[4].contents);
  CHECK(rig.Restored({.number = 2}) == rig.states[4].contents);
  CHECK(rig.Logs().empty());
  REQUIRE_OK(rig.repository.Verify(0));
}

TEST_CASE("a kept log that is damaged or not what it should be is a hole, and no reason to make no backup") {
  HistoryRig rig(3);
  rig.BackUp();
  for (int i = 0; i < 3; i++) rig.Commit();
  REQUIRE_OK(rig.db->Flush());
  std::string oldest;
  for (const auto& [path, bytes] : rig.env.files().Files()) {
    if (path.starts_with(kDatabaseDir) && path.ends_with(".log") && bytes > 200 && oldest.empty()) oldest = path;
  }
  REQUIRE(!oldest.empty());
  for (const auto& [path, bytes] : rig.env.files().Files()) {
    if (path.starts_with(kDatabaseDir) && path.ends_with(".log") && bytes > 150) rig.env.files().FlipByte(path, 140, 1);
  }
  const BackupInfo made = rig.BackUp();
  CHECK(made.hole.find("offset") != std::string::npos);
  CHECK(rig.Restored({}) == rig.states[2].contents);
  CHECK(rig.Logs().empty());
  // The next one goes on from here.
  rig.Commit();
  CHECK(rig.BackUp().hole.empty());
}

TEST_CASE("logs are held until they are in a backup, and asked of a database that keeps none they are refused") {
  HistoryRig rig(4);
  rig.options.changes_keep_for = absl::ZeroDuration();
  REQUIRE_OK(rig.db->Close());
  rig.Open();
  rig.BackUp();
  for (int i = 0; i < 6; i++) {
    rig.Commit();
    REQUIRE_OK(rig.db->Flush());
  }
  CHECK(rig.BackUp().hole.empty());
  CHECK(rig.Restored({.to_sequence = rig.states[3].sequence}) == rig.states[3].contents);
  const auto cursors = rig.db->ListCursors();
  REQUIRE_OK(cursors.status());
  REQUIRE(cursors->size() == 1);
  CHECK(cursors->front().name == rig.Cursor());
  HistoryRig without(5, 0);
  CHECK_CODE(without.repository.Create(without.db.get(), {.logs = true}).status(), kFailedPrecondition);
  REQUIRE_OK(without.repository.Create(without.db.get(), {}).status());
}

TEST_CASE("a cursor of a user that is called backup is not touched, and two repositories hold logs each for itself") {
  HistoryRig rig(17);
  rig.Commit();
  REQUIRE_OK(rig.db->CreateCursor("backup", ChangesFrom::Oldest()));
  const std::string place = rig.db->ListCursors()->front().token;
  backup::Repository other = RepositoryOf(&rig.env, "/other");
  for (int round = 0; round < 3; round++) {
    rig.Commit();
    CHECK(rig.BackUp().hole.empty());
    const auto made = other.Create(rig.db.get(), {.logs = true});
    REQUIRE_OK(made.status());
    CHECK(made->hole.empty());
  }
  const auto cursors = rig.db->ListCursors();
  REQUIRE(cursors->size() == 3);
  CHECK(cursors->front().name == "backup");
  CHECK(cursors->front().token == place);
  CHECK(rig.Restored({.to_sequence = rig.states[2].sequence}) == rig.states[2].contents);
}

TEST_CASE("the cursor of an earlier release is given up for one of the repository's own, where it is its own") {
  HistoryRig rig(18);
  const bool is_ahead = GENERATE(true, false);
  for (int round = 0; round < 2; round++) {
    rig.Commit();
    REQUIRE_OK(rig.repository.Create(rig.db.get(), {.logs = true, .cursor = "backup"}).status());
  }
  REQUIRE_OK(rig.env.files().Remove(base::JoinPath(kRepositoryDir, "REPOSITORY")));
  rig.Commit();
  if (is_ahead) {
    // By a client that no backup concerns.
    REQUIRE_OK(rig.db->Flush());
    REQUIRE_OK(rig.db->ResetCursor("backup", ChangesFrom::Now()));
  }
  rig.Commit();
  CHECK(rig.BackUp().hole.empty());
  const auto cursors = rig.db->ListCursors();
  REQUIRE(cursors->size() == (is_ahead ? 2 : 1));
  CHECK((cursors->front().name == "backup") == is_ahead);
  CHECK(cursors->back().name.starts_with("bandb.backup."));
  CHECK(rig.Restored({.to_sequence = rig.states[2].sequence}) == rig.states[2].contents);
}

TEST_CASE("what is restored has the tables that were backed up, in whatever shape they are kept") {
  HistoryRig rig(19);
  REQUIRE_OK(rig.db->PauseCompactions());
  for (int i = 0; i < 10; i++) {
    rig.Commit();
    REQUIRE_OK(rig.db->Flush());
  }
  const BackupInfo first = rig.BackUp();
  CHECK(first.tables >= 10);
  // Each log is a start of its own.
  for (int i = 0; i < 12; i++) {
    rig.Commit();
    REQUIRE_OK(rig.db->Flush());
  }
  rig.BackUp();
  RestoreInfo info;
  CHECK(rig.Restored({.to_sequence = rig.states[20].sequence}, &info) == rig.states[20].contents);
  CHECK(info.logs >= 10);
  REQUIRE_OK(rig.repository.Restore({.to_sequence = rig.states[20].sequence}, "/shape").status());
  size_t same = 0;
  for (const auto& [path, bytes] : rig.env.files().Files()) {
    if (!path.starts_with("/db/") || !path.ends_with(".tbl")) continue;
    const std::string there = "/shape" + path.substr(std::string("/db").size());
    if (rig.env.files().Exists(there).value() && rig.env.files().Content(there) == rig.env.files().Content(path))
      ++same;
  }
  CHECK(same == first.tables);
}

TEST_CASE("pruning keeps the logs that lead from a backup that stays, and no others") {
  HistoryRig rig(6);
  for (int backup = 0; backup < 4; backup++) {
    for (int i = 0; i < 3; i++) rig.Commit();
    rig.BackUp();
  }
  const size_t all = rig.Logs().size();
  CHECK(all >= 3);
  REQUIRE_OK(rig.repository.Prune(3));
  CHECK(rig.Logs().size() < all);
  CHECK(rig.Logs().size() >= 2);
  REQUIRE_OK(rig.repository.Verify(0));
  CHECK(rig.Restored({.to_sequence = rig.states[7].sequence}) == rig.states[7].contents);
  CHECK(rig.Restored({.to_sequence = rig.states[6].sequence}) == rig.states[6].contents);
  CHECK_CODE(rig.repository.Restore({.to_sequence = rig.states[4].sequence}, "/x").status(), kOutOfRange);
  CHECK(rig.repository.List()->front().from_sequence == rig.repository.List()->front().last_sequence);
  REQUIRE_OK(rig.repository.Prune(1));
  CHECK(rig.Logs().empty());
  CHECK(rig.Restored({}) == rig.states.back().contents);
  rig.Commit();
  CHECK(rig.BackUp().hole.empty());
}

TEST_CASE("a restored state is another branch: its tokens end there, and its backups go on from it") {
  HistoryRig rig(7);
  const auto token_now = [](Db* of) { return of->ReadChanges({.undurable = true}).value()->token(); };
  rig.BackUp();
  std::vector<std::string> tokens;
  for (int i = 0; i < 6; i++) {
    rig.Commit();
    tokens.push_back(token_now(rig.db.get()));
    REQUIRE_OK(rig.db->Flush());
  }
  REQUIRE_OK(rig.db->Close());
  rig.Open();
  rig.Commit();
  tokens.push_back(token_now(rig.db.get()));
  rig.BackUp();
  REQUIRE_OK(rig.repository.Restore({.to_sequence = rig.states[3].sequence}, "/branch").status());
  auto opened = storage::OpenDb(rig.env.env(), "/branch", rig.options);
  REQUIRE_OK(opened.status());
  const std::unique_ptr<Db> branch = *std::move(opened);
  for (int i = 0; i < 12; i++) REQUIRE_OK(branch->Put(std::to_string(i), "on the branch"));
  for (size_t i = 0; i < tokens.size(); i++) {
    CAPTURE(i);
    const absl::Status read = branch->ReadChanges({.from = ChangesFrom::Token(tokens[i])}).status();
    if (i < 3) CHECK_CODE(read, kOutOfRange);
    if (i == 3) REQUIRE_OK(read);
    if (i > 3) CHECK_CODE(read, kFailedPrecondition);
  }
  // Of what is there already no table is copied, and no logs lead from the other branch.
  const auto made = rig.repository.Create(branch.get(), {.logs = true});
  REQUIRE_OK(made.status());
  CHECK(made->logs == 0);
  REQUIRE_OK(branch->Put("x", "y"));
  const auto next = rig.repository.Create(branch.get(), {.logs = true});
  REQUIRE_OK(next.status());
  CHECK(next->logs == 1);
  CHECK(next->from_sequence == made->last_sequence);
  // What was left over is there as well.
  CHECK(rig.Restored({.number = 2, .to_sequence = rig.states[5].sequence}) == rig.states[5].contents);
  REQUIRE_OK(rig.repository.Verify(0));
}

TEST_CASE("no log that is damaged or missing is restored from") {
  HistoryRig rig(8);
  rig.BackUp();
  for (int i = 0; i < 4; i++) rig.Commit();
  rig.BackUp();
  REQUIRE(rig.Logs().size() == 1);
  const std::string log = rig.Logs().front();
  const RestoreOptions to{.to_sequence = rig.states[1].sequence};
  for (uint64_t offset = 0; offset < rig.env.files().Content(log).size(); offset++) {
    CAPTURE(offset);
    rig.env.files().FlipByte(log, offset, 1);
    CHECK_CODE(rig.repository.Verify(0), kDataLoss);
    CHECK_CODE(rig.repository.Restore(to, "/x").status(), kDataLoss);
    rig.env.files().FlipByte(log, offset, 1);
  }
  // The state of a backup needs none.
  REQUIRE_OK(rig.env.files().Remove(log));
  CHECK_CODE(rig.repository.Verify(0), kDataLoss);
  CHECK_CODE(rig.repository.Restore(to, "/x").status(), kDataLoss);
  for (const auto& [left, bytes] : rig.env.files().Files()) CHECK(!left.starts_with("/x"));
  CHECK(rig.Restored({}) == rig.states.back().contents);
}

TEST_CASE("of a database that was restored from elsewhere, behind every backup that is here, the hole is told") {
  HistoryRig rig(16);
  rig.Commit();
  backup::Repository elsewhere = RepositoryOf(&rig.env, "/elsewhere");
  REQUIRE_OK(elsewhere.Create(rig.db.get(), {.logs = true}).status());
  rig.Commit();
  const BackupInfo here = rig.BackUp();
  CHECK(here.hole.empty());
  // Nothing new is no hole.
  CHECK(rig.BackUp().hole.empty());
  REQUIRE_OK(elsewhere.Restore({}, "/branch").status());
  auto opened = storage::OpenDb(rig.env.env(), "/branch", rig.options);
  REQUIRE_OK(opened.status());
  const std::unique_ptr<Db> branch = *std::move(opened);
  const auto back_up = [&] {
    const auto made = rig.repository.Create(branch.get(), {.logs = true});
    REQUIRE_OK(made.status());
    CHECK(made->hole.empty() == rig.repository.List()->back().hole.empty());
    return *made;
  };
  SECTION("while it is behind") {
    const BackupInfo made = back_up();
    CHECK(made.last_sequence < here.last_sequence);
    CHECK(made.hole.find("ahead of them") != std::string::npos);
  }
  SECTION("when it has as many operations") {
    // Its cursor is one, too.
    REQUIRE_OK(branch->CreateCursor(rig.Cursor(), ChangesFrom::Oldest()));
    while (branch->GetStats().last_sequence < here.last_sequence) REQUIRE_OK(branch->Put("key", "on the branch"));
    const BackupInfo made = back_up();
    CHECK(made.last_sequence == here.last_sequence);
    CHECK(made.hole.find("or written elsewhere, after") != std::string::npos);
  }
  REQUIRE_OK(branch->Put("key", "of after the hole"));
  CHECK(back_up().hole.empty());
}

TEST_CASE("after a backup that does not say of which history it is, logs lead from none, and that is told") {
  HistoryRig rig(11);
  rig.Commit();
  rig.BackUp();
  // As a node has one made, or an earlier release.
  const std::string path = base::JoinPath(kRepositoryDir, "backups/000001.backup");
  auto description = backup::Decode(rig.env.files().Content(path), path);
  REQUIRE_OK(description.status());
  description->place.clear();
  description->commit_ms = 0;
  description->complete_ms.reset();
  rig.env.files().SetContent(path, backup::Encode(*description));
  rig.Commit();
  const BackupInfo made = rig.BackUp();
  CHECK(made.hole.find("backup 1 does not say") != std::string::npos);
  CHECK_FALSE(rig.repository.List()->back().hole.empty());
  CHECK_CODE(rig.repository.Restore({.to_sequence = rig.states[1].sequence - 1}, "/x").status(), kOutOfRange);
  CHECK_CODE(rig.repository.Restore({.number = 1, .to_time = rig.states[1].time}, "/x").status(), kOutOfRange);
  rig.Commit();
  CHECK(rig.BackUp().hole.empty());
  CHECK(rig.Restored({.to_sequence = rig.states[1].sequence}) == rig.states[1].contents);
}

TEST_CASE("the hold on logs is made again where it was let go, and what it cannot do is told beside the backup") {
  HistoryRig rig(12);
  rig.options.changes_keep_for = absl::ZeroDuration();
  REQUIRE_OK(rig.db->Close());
  rig.Open();
  rig.Commit();
  rig.BackUp();
  rig.Commit();
  rig.OnceCopied([&] { REQUIRE_OK(rig.db->DropCursor(rig.Cursor())); });
  const std::string cursor = rig.Cursor();
  const BackupInfo made = rig.BackUp();
  CHECK(made.warning.empty());
  for (int i = 0; i < 3; i++) {
    rig.Commit();
    REQUIRE_OK(rig.db->Flush());
  }
  CHECK(rig.BackUp().hole.empty());
  rig.Commit();
  rig.OnceCopied([&] {
    REQUIRE_OK(rig.db->DropCursor(rig.Cursor()));
    rig.env.files().Inject({.calls = {FileCall::kSync}, .pattern = "*.log", .count = 1});
    CHECK_FALSE(rig.db->Put("more", "value", {.sync = true}).ok());
    rig.env.files().ClearFaults();
  });
  const BackupInfo without = rig.BackUp();
  CHECK(without.warning.find(fmt::format("the cursor \"{}\" could not be moved", cursor)) != std::string::npos);
  CHECK(without.warning.find("or not at all") != std::string::npos);
  CHECK(rig.Restored({}) == rig.states.back().contents);
}

}  // namespace bandb::test
