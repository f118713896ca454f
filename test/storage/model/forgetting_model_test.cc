// A database that forgets, beside a map of what was written last: each key has its latest value or
// none, and one that was seen to be gone stays gone until it is written again, whatever is done to
// the database, in whichever style it is opened, and however it ends. Snapshots and iterators see
// what they saw first. Every write is synced, so that nothing else is lost.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bandb/changes.h"
#include "storage/db/open_db.h"
#include "storage/model/db_model.h"
#include "support/catch.h"
#include "support/random_data.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kForgettingDir[] = "/db";
using Entries = std::map<std::string, std::string>;

// Of a NumberedKey.
uint64_t NumberOf(std::string_view key) { return std::stoull(std::string(key.substr(3))); }

class ForgettingModel {
 public:
  explicit ForgettingModel(uint64_t seed) : random_(seed), env_(std::make_unique<TestEnv>(random_.Next())) {
    Open();
    REQUIRE_OK(db_->CreateCursor("cursor", ChangesFrom::Now()));
  }

  void Run(int steps) {
    for (int step = 0; step < steps; ++step) {
      INFO("step " << step);
      Step();
      REQUIRE_OK(storage::CheckInvariants(db_.get()));
    }
    CheckAll();
  }
  uint64_t forgotten() const { return forgotten_ + db_->GetStats().forgotten_tables; }
  uint64_t crashes() const { return crashes_; }

 private:
  struct Held {
    Snapshot snapshot;
    Entries seen;
  };

  void Open() {
    Options options = SmallOptions();
    options.table_bytes = 64 << 10;
    options.level_base_bytes = 64 << 10;
    options.level0_tables = static_cast<int>(1 + random_.Uniform(4));
    options.background_threads = static_cast<int>(1 + random_.Uniform(4));
    options.changes_keep_bytes = random_.OneIn(2) ? uint64_t{1} << 30 : 0;
    // Mostly one that forgets.
    options.compaction_style =
        random_.OneIn(3) ? static_cast<CompactionStyle>(random_.Uniform(2)) : CompactionStyle::kFifo;
    options.fifo_bytes_max = (64 << 10) + random_.Uniform(300'000);
    if (random_.OneIn(3)) options.fifo_age_max = absl::Seconds(1 + random_.Uniform(100));
    if (random_.OneIn(3)) options.fifo_bytes_max = 0;
    if (options.fifo_bytes_max == 0 && options.fifo_age_max == absl::InfiniteDuration()) {
      options.fifo_age_max = absl::Seconds(20);
    }
    db_ = MustOpen(env_->env(), kForgettingDir, options);
  }

  std::string Key() { return NumberedKey(random_.Uniform(200), 3); }

  void Step() {
    const uint64_t what = random_.Uniform(1000);
    if (what < 600) {
      const std::string key = Key();
      latest_[key] = RandomBytes(&random_, random_.Uniform(2500));
      gone_.erase(key);
      REQUIRE_OK(db_->Put(key, latest_[key], {.sync = true}));
    } else if (what < 640) {
      const std::string key = Key();
      latest_.erase(key);
      REQUIRE_OK(db_->Delete(key, {.sync = true}));
    } else if (what < 645) {
      std::string begin = Key(), limit = Key();
      if (limit < begin) std::swap(begin, limit);
      WriteBatch batch;
      batch.DeleteRange(begin, limit);
      latest_.erase(latest_.lower_bound(begin), latest_.lower_bound(limit));
      REQUIRE_OK(db_->Write(batch, {.sync = true}));
    } else if (what < 760) {
      Check(Key());
    } else if (what < 780) {
      CheckAll();
    } else if (what < 800) {
      REQUIRE_OK(db_->Flush());
    } else if (what < 804) {
      REQUIRE_OK(db_->CompactRange({}, {}));
    } else if (what < 815) {
      env_->executor().RunFor(static_cast<int64_t>(random_.Uniform(10'000)) * 1'000'000);
    } else if (what < 835) {
      TakeOrDropSnapshot();
    } else if (what < 860) {
      CheckHeld();
    } else if (what < 866) {
      Reopen();
    } else if (what < 872) {
      Crash();
    } else {
      env_->executor().RunOne();
    }
  }

  void Check(const std::string& key) {
    INFO("key " << key);
    const auto found = db_->Get(key);
    const auto expected = latest_.find(key);
    if (absl::IsNotFound(found.status())) {
      if (expected != latest_.end()) gone_.insert(key);
      return;
    }
    REQUIRE_OK(found.status());
    REQUIRE(expected != latest_.end());
    REQUIRE(*found == expected->second);
    REQUIRE_FALSE(gone_.contains(key));
  }

  Entries Walk(const Snapshot* snapshot) {
    Entries found;
    const auto walk = db_->NewIterator({.snapshot = snapshot});
    for (walk->SeekToFirst(); walk->Valid(); walk->Next()) found.emplace(walk->key(), walk->value());
    REQUIRE_OK(walk->status());
    return found;
  }

  void CheckAll() {
    const Entries found = Walk(nullptr);
    for (const auto& [key, value] : found) {
      INFO("key " << key);
      const auto expected = latest_.find(key);
      REQUIRE(expected != latest_.end());
      REQUIRE(value == expected->second);
      REQUIRE_FALSE(gone_.contains(key));
    }
    for (const auto& [key, value] : latest_) {
      if (!found.contains(key)) gone_.insert(key);
    }
  }

  void TakeOrDropSnapshot() {
    if (held_.size() < 3 && !random_.OneIn(3)) {
      Snapshot snapshot = db_->GetSnapshot();
      // What it sees first counts, now or a little later.
      for (uint64_t i = random_.Uniform(3); i > 0; --i) env_->executor().RunOne();
      Entries seen = Walk(&snapshot);
      held_.push_back({std::move(snapshot), std::move(seen)});
    } else if (!held_.empty()) {
      held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(random_.Uniform(held_.size())));
    }
  }

  void CheckHeld() {
    for (const Held& held : held_) {
      REQUIRE(Walk(&held.snapshot) == held.seen);
      const std::string key = Key();
      const auto expected = held.seen.find(key);
      const auto found = db_->Get(key, {.snapshot = &held.snapshot});
      REQUIRE(found.ok() == (expected != held.seen.end()));
      if (found.ok()) REQUIRE(*found == expected->second);
    }
  }

  void Reopen() {
    CheckAll();
    held_.clear();
    forgotten_ += db_->GetStats().forgotten_tables;
    REQUIRE_OK(db_->Close());
    db_.reset();
    Open();
    CheckOpened();
  }

  void Crash() {
    if (random_.OneIn(2)) CheckAll();
    ++crashes_;
    forgotten_ += db_->GetStats().forgotten_tables;
    const Damage damage = kAllDamages[random_.Uniform(std::size(kAllDamages))];
    auto image = random_.OneIn(2) ? env_->files().CrashImage(damage, random_.Next())
                                  : env_->files().ProcessDeathImage(random_.Next());
    const int64_t wall_ms = env_->clock().WallMillis();
    env_->files().Stop();
    held_.clear();
    db_.reset();
    env_ = std::make_unique<TestEnv>(random_.Next(), std::move(image));
    env_->clock().JumpWallMillis(wall_ms + 1 - env_->clock().WallMillis());
    Open();
    CheckOpened();
  }

  void CheckOpened() {
    CheckAll();
    CHECK_CODE(db_->CreateCursor("cursor", ChangesFrom::Now()), kAlreadyExists);
  }

  base::Random random_;
  std::unique_ptr<TestEnv> env_;
  std::unique_ptr<Db> db_;
  Entries latest_;
  // Seen to be gone since they were written.
  std::set<std::string> gone_;
  std::vector<Held> held_;
  uint64_t forgotten_ = 0;
  uint64_t crashes_ = 0;
};

}  // namespace

TEST_CASE("what is forgotten stays so, and no key goes back, in any style and through any crash") {
  const DbModel::Seeds seeds = DbModel::SeedsToRun();
  uint64_t forgotten = 0;
  uint64_t crashes = 0;
  for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    INFO("seed " << seed);
    ForgettingModel model(seed);
    model.Run(3000);
    forgotten += model.forgotten();
    crashes += model.crashes();
  }
  if (seeds.named) return;
  CHECK(forgotten > 100);
  CHECK(crashes > 30);
}

TEST_CASE("forgetting that a crash cuts short has happened or not") {
  // An image before each call that changes something; keys are numbered in the order of their
  // writes.
  uint64_t images = 0;
  uint64_t newest = 0;
  TestEnv env(1);
  base::Random random(5);
  Options options = SmallOptions();
  options.compaction_style = CompactionStyle::kFifo;
  options.fifo_bytes_max = 70'000;
  env.files().SetHook([&](uint64_t) {
    const Damage damage = kAllDamages[images++ % std::size(kAllDamages)];
    TestEnv after(images, env.files().CrashImage(damage, images));
    const auto db = storage::OpenDb(after.env(), kForgettingDir, options);
    // Before it was made there is none.
    REQUIRE_OK(db.status());
    // All up to some key, and none before it: what was synced, at the least.
    const auto walk = (*db)->NewIterator();
    walk->SeekToFirst();
    uint64_t next = walk->Valid() ? NumberOf(walk->key()) : newest;
    for (; walk->Valid(); walk->Next()) REQUIRE(NumberOf(walk->key()) == next++);
    REQUIRE_OK(walk->status());
    REQUIRE(next >= newest);
    REQUIRE_OK((*db)->Close());
  });
  const auto db = MustOpen(env.env(), kForgettingDir, options);
  for (int i = 0; i < 250; ++i) {
    REQUIRE_OK(db->Put(NumberedKey(static_cast<uint64_t>(i), 4), RandomBytes(&random, 1000), {.sync = true}));
    newest = static_cast<uint64_t>(i) + 1;
    if (i % 9 == 0) env.executor().RunReady();
  }
  REQUIRE_OK(db->Flush());
  env.executor().RunReady();
  env.files().SetHook(nullptr);
  CHECK(db->GetStats().forgotten_tables > 3);
  CHECK(images > 300);
}

}  // namespace bandb::test
