// A database with a change feed in a world of its own, for the tests of the feed.
#ifndef BANDB_TEST_STORAGE_DB_FEED_WORLD_H_
#define BANDB_TEST_STORAGE_DB_FEED_WORLD_H_

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

#include "bandb/changes.h"
#include "bandb/db.h"
#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

inline constexpr char kFeedDir[] = "/data/db";

inline Options KeepingOptions() {
  Options options = SmallOptions();
  options.changes_keep_bytes = 1 << 20;
  return options;
}

inline ChangesOptions From(ChangesFrom from, bool undurable = false) {
  ChangesOptions options;
  options.from = std::move(from);
  options.undurable = undurable;
  return options;
}

class FeedWorld {
 public:
  explicit FeedWorld(const Options& options = KeepingOptions(), uint64_t seed = 1)
      : env_(std::make_unique<TestEnv>(seed)) {
    Open(options);
  }

  void Open(const Options& options) {
    db_.reset();
    db_ = MustOpen(env_->env(), kFeedDir, options);
  }
  void PowerLoss(const Options& options = KeepingOptions()) {
    const int64_t wall_ms = env_->clock().WallMillis();
    auto image = env_->files().CrashImage(Damage::kLost, 7);
    env_->files().Stop();
    db_.reset();
    env_ = std::make_unique<TestEnv>(2, std::move(image));
    env_->clock().JumpWallMillis(wall_ms - env_->clock().WallMillis());
    Open(options);
  }
  Db* operator->() { return db_.get(); }
  Db& db() { return *db_; }
  TestEnv& env() { return *env_; }
  void Close() { REQUIRE_OK(db_->Close()); }
  void Destroy() { db_.reset(); }

  void Put(const std::string& key, bool sync = true) { REQUIRE_OK(db_->Put(key, "v", {.sync = sync})); }
  // Fills a memtable and flushes it, so that a log ends.
  void FillLog(const std::string& prefix) {
    for (int i = 0; i < 40; ++i) REQUIRE_OK(db_->Put(fmt::format("{}{:02}", prefix, i), std::string(500, 'v')));
    REQUIRE_OK(db_->Flush());
  }
  std::unique_ptr<ChangeReader> Read(const ChangesOptions& options) {
    auto reader = db_->ReadChanges(options);
    REQUIRE_OK(reader.status());
    return *std::move(reader);
  }
  absl::Status ReadStatus(ChangesFrom from) { return db_->ReadChanges(From(std::move(from))).status(); }

 private:
  std::unique_ptr<TestEnv> env_;
  std::unique_ptr<Db> db_;
};

// The keys of all that comes at once.
inline std::string Keys(ChangeReader* reader) {
  std::string keys;
  Commit commit;
  while (true) {
    REQUIRE_OK(reader->Next(&commit, absl::ZeroDuration()));
    if (commit.empty()) return keys;
    for (const Change& change : commit.changes) keys += change.key;
  }
}

inline size_t LogFiles(TestEnv* env) {
  size_t count = 0;
  for (const auto& [path, bytes] : env->files().Files()) count += path.ends_with(".log");
  return count;
}

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_DB_FEED_WORLD_H_
