// A database whose backups have its logs, and every state that it has had.
#ifndef BANDB_TEST_BACKUP_HISTORY_RIG_H_
#define BANDB_TEST_BACKUP_HISTORY_RIG_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backup/backup_rig.h"
#include "support/catch.h"

namespace bandb::test {

// A database that keeps its logs, and every state that it has had.
struct HistoryRig {
  static constexpr int64_t kYearMillis = int64_t{365} * 24 * 3600 * 1000;
  static constexpr int64_t kMinuteMillis = 60'000;

  struct State {
    uint64_t sequence = 0;
    absl::Time time{};
    Contents contents{};
  };

  explicit HistoryRig(uint64_t seed, uint64_t keep_bytes = 64 << 20) : env(seed), repository(RepositoryOf(&env)) {
    options = SmallTables();
    options.changes_keep_bytes = keep_bytes;
    Open();
  }

  void Open() {
    auto opened = storage::OpenDb(env.env(), kDatabaseDir, options);
    REQUIRE_OK(opened.status());
    db = *std::move(opened);
  }

  // A commit of four operations.
  void Commit() {
    env.clock().AdvanceMillis(10);
    WriteBatch batch;
    const int i = ++commits;
    const auto put = [&](const std::string& key, const std::string& value) {
      batch.Put(key, value);
      contents.insert_or_assign(key, value);
    };
    put(fmt::format("key{:03}", i % 17), std::to_string(i));
    put("last", std::to_string(i));
    const std::string deleted = fmt::format("key{:03}", (i + 5) % 17);
    batch.Delete(deleted);
    contents.erase(deleted);
    batch.DeleteRange("key015", "key016");
    contents.erase("key015");
    REQUIRE_OK(db->Write(batch));
    states.push_back({db->GetStats().last_sequence, absl::FromUnixMillis(env.clock().WallMillis()), contents});
  }

  BackupInfo BackUp() {
    env.clock().AdvanceMillis(10);
    const auto made = repository.Create(db.get(), {.logs = true});
    REQUIRE_OK(made.status());
    return *made;
  }

  // A commit that expires in an hour.
  void CommitForAnHour() {
    env.clock().AdvanceMillis(10);
    WriteBatch batch;
    batch.PutWithTtl("hour", "value", absl::Hours(1));
    REQUIRE_OK(db->Write(batch));
    contents.insert_or_assign("hour", "value");
    states.push_back({db->GetStats().last_sequence, absl::FromUnixMillis(env.clock().WallMillis()), contents});
  }

  // A commit while the clock is ahead, which is then accepted as it is again.
  void CommitAhead(
      const std::function<void()>& meanwhile = [] {}, int64_t ahead_ms = kYearMillis) {
    env.clock().JumpWallMillis(ahead_ms);
    Commit();
    meanwhile();
    env.clock().JumpWallMillis(-ahead_ms);
    REQUIRE_OK(db->AcceptClock());
  }

  // Calls this once, when the first table of a backup was copied.
  void OnceCopied(std::function<void()> call) {
    const auto stored = [this] {
      const auto all = env.files().Files();
      return std::count_if(all.begin(), all.end(), [](const auto& file) {
        return file.first.starts_with(base::JoinPath(kRepositoryDir, "tables/")) && file.first.ends_with(".tbl");
      });
    };
    env.files().SetHook([this, stored, before = stored(), call = std::move(call)](uint64_t /*mutation*/) {
      if (stored() == before) return;
      const std::function<void()> once = call;
      env.files().SetHook(nullptr);
      once();
    });
  }

  // Of the state as of a sequence, and of one as of a time.
  Contents Restored(const RestoreOptions& to, RestoreInfo* info = nullptr) {
    const std::string dir = fmt::format("/restored/{}", ++restores);
    const auto restored = repository.Restore(to, dir);
    REQUIRE_OK(restored.status());
    if (info != nullptr) *info = *restored;
    const std::unique_ptr<Db> opened = OpenAt(&env, dir);
    CHECK(opened->GetStats().last_sequence == restored->last_sequence);
    REQUIRE_OK(opened->VerifyChecksums());
    return ContentsOf(opened.get());
  }

  // By which the database holds logs for the repository.
  std::string Cursor() {
    const std::string mark = env.files().Content(base::JoinPath(kRepositoryDir, "REPOSITORY"));
    return "bandb.backup." + mark.substr(mark.find("id ") + 3, 32);
  }

  std::vector<std::string> Logs() {
    std::vector<std::string> logs;
    for (const auto& [path, bytes] : env.files().Files()) {
      if (path.starts_with(base::JoinPath(kRepositoryDir, "logs/"))) logs.push_back(path);
    }
    return logs;
  }

  TestEnv env;
  Options options;
  std::unique_ptr<Db> db;
  backup::Repository repository;
  Contents contents;
  std::vector<State> states;
  int commits = 0;
  int restores = 0;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_BACKUP_HISTORY_RIG_H_
