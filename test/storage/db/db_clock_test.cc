// Times to live while somebody sets the clock.
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";

void PutBrief(Db* db) {
  WriteBatch batch;
  batch.PutWithTtl("brief", "value", absl::Seconds(1));
  REQUIRE_OK(db->Write(batch));
}

}  // namespace

TEST_CASE("a key that has expired stays away when the clock is set back") {
  TestEnv env(1);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  PutBrief(db.get());
  CHECK_OK(db->Get("brief").status());
  env.clock().AdvanceMillis(999);
  CHECK_OK(db->Get("brief").status());
  env.clock().AdvanceMillis(1);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
  env.clock().JumpWallMillis(-60'000);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
  const auto walk = db->NewIterator();
  walk->SeekToFirst();
  CHECK_FALSE(walk->Valid());
  // Times to live go on from the latest time that was seen.
  PutBrief(db.get());
  CHECK_OK(db->Get("brief").status());
  env.clock().JumpWallMillis(62'000);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
}

TEST_CASE("a value tells when it expires, wherever it is read from") {
  TestEnv env(4);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  const int64_t now_ms = env.clock().WallMillis();
  const std::string large(100'000, 'x');
  WriteBatch batch;
  batch.Put("always", "1");
  batch.PutWithTtl("an hour", "2", absl::Hours(1));
  batch.PutWithTtl("longest", "3", absl::Seconds(INT64_MAX));
  batch.PutUntil("then", large, absl::FromUnixMillis(now_ms + 5000));
  batch.PutUntil("gone", "4", absl::FromUnixMillis(now_ms));
  REQUIRE_OK(db->Write(batch));
  for (const bool in_table : {false, true}) {
    if (in_table) REQUIRE_OK(db->Flush());
    const struct {
      const char* key;
      absl::Time expiry;
    } rows[] = {{"an hour", absl::FromUnixMillis(now_ms + 3'600'000)},
                {"always", absl::InfiniteFuture()},
                {"then", absl::FromUnixMillis(now_ms + 5000)},
                {"longest", absl::FromUnixMillis(INT64_MAX)}};
    // One object for all: what is read next says nothing of what was read before.
    PinnedValue value;
    for (const auto& row : rows) {
      REQUIRE_OK(db->GetPinned(row.key, &value));
      CHECK(value.expiry() == row.expiry);
    }
    PinnedValue moved = std::move(value);
    CHECK(moved.expiry() == absl::FromUnixMillis(INT64_MAX));
    moved.Reset();
    CHECK(moved.expiry() == absl::InfiniteFuture());
    CHECK_CODE(db->GetPinned("gone", &moved), kNotFound);
    const std::unique_ptr<Iterator> it = db->NewIterator();
    for (const auto& row : rows) {
      it->Seek(row.key);
      REQUIRE(it->Valid());
      CHECK(it->expiry() == row.expiry);
      it->SeekForPrev(row.key);
      CHECK(it->key() == row.key);
      CHECK(it->expiry() == row.expiry);
    }
    it->Seek("zzz");
    CHECK(it->expiry() == absl::InfiniteFuture());
  }
  env.clock().AdvanceMillis(4999);
  CHECK_OK(db->Get("then").status());
  env.clock().AdvanceMillis(1);
  CHECK_CODE(db->Get("then").status(), kNotFound);
}

TEST_CASE("it stays away after the database was closed, too") {
  TestEnv env(2);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  PutBrief(db.get());
  env.clock().AdvanceMillis(5000);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
  REQUIRE_OK(db->Close());
  env.clock().JumpWallMillis(-4900);
  db = MustOpen(env.env(), kDir);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
}

TEST_CASE("it stays away after the process died, if a table was written since") {
  TestEnv env(3);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  PutBrief(db.get());
  env.clock().AdvanceMillis(5000);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
  // Its last write was committed before the key expired.
  REQUIRE_OK(db->Flush());
  TestEnv after(4, env.files().CrashImage(Damage::kLost, 5));
  after.clock().Advance(env.clock().MonotonicNanos() - after.clock().MonotonicNanos());
  after.clock().JumpWallMillis(-4900);
  db = MustOpen(after.env(), kDir);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
  db.reset();
}

namespace {

constexpr int64_t kYearMillis = int64_t{365} * 24 * 3600 * 1000;

// A value of an hour, which was read once while the clock was ten years ahead.
void ReadAhead(TestEnv* env, Db* db) {
  WriteBatch batch;
  batch.PutWithTtl("hour", "value", absl::Hours(1));
  batch.Put("always", "value");
  REQUIRE_OK(db->Write(batch));
  env->clock().JumpWallMillis(10 * kYearMillis);
  CHECK_CODE(db->Get("hour").status(), kNotFound);
  env->clock().JumpWallMillis(-10 * kYearMillis);
  CHECK_CODE(db->Get("hour").status(), kNotFound);
  CHECK(db->GetStats().expiry_ahead_ms == static_cast<uint64_t>(10 * kYearMillis));
}

// Times to live go by the clock again.
void CheckByTheClock(TestEnv* env, Db* db) {
  CHECK(db->GetStats().expiry_ahead_ms == 0);
  CHECK_OK(db->Get("always").status());
  PutBrief(db);
  CHECK_OK(db->Get("brief").status());
  env->clock().AdvanceMillis(1000);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
}

}  // namespace

TEST_CASE("a clock that was ahead holds expiry until it is accepted as it is, also after a restart") {
  TestEnv env(5);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  ReadAhead(&env, db.get());
  const bool ahead_in_log = GENERATE(false, true);
  const bool flushed = GENERATE(false, true);
  if (ahead_in_log) {
    env.clock().JumpWallMillis(10 * kYearMillis);
    REQUIRE_OK(db->Put("ahead", "value"));
    env.clock().JumpWallMillis(-10 * kYearMillis);
  }
  // Closing writes it down.
  REQUIRE_OK(db->Close());
  db = MustOpen(env.env(), kDir);
  CHECK(env.logger().Text().find("AcceptClock") != std::string::npos);
  CHECK(db->GetStats().expiry_ahead_ms > 0);
  CHECK_CODE(db->Get("hour").status(), kNotFound);
  if (flushed) REQUIRE_OK(db->Flush());
  REQUIRE_OK(db->AcceptClock());
  CHECK(db->GetStats().expiry_ahead_ms == 0);
  SECTION("at once") { CheckByTheClock(&env, db.get()); }
  SECTION("after power loss") {
    TestEnv after(6, env.files().CrashImage(Damage::kLost, 5));
    after.clock().AdvanceMillis(10'000);
    const std::unique_ptr<Db> again = MustOpen(after.env(), kDir);
    CheckByTheClock(&after, again.get());
  }
  SECTION("after more edits and another life") {
    REQUIRE_OK(db->Flush());
    REQUIRE_OK(db->Close());
    db = MustOpen(env.env(), kDir);
    CheckByTheClock(&env, db.get());
    REQUIRE_OK(db->Close());
    db = MustOpen(env.env(), kDir);
    CHECK(db->GetStats().expiry_ahead_ms == 0);
  }
}

TEST_CASE("a clock is accepted once only: what it shows later is held as before") {
  TestEnv env(7);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  ReadAhead(&env, db.get());
  REQUIRE_OK(db->AcceptClock());
  CHECK_OK(db->Get("hour").status());
  CheckByTheClock(&env, db.get());
  env.clock().JumpWallMillis(-500);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
  REQUIRE_OK(db->Put("more", "value"));
  REQUIRE_OK(db->Close());
  CHECK_CODE(db->AcceptClock(), kFailedPrecondition);
  db = MustOpen(env.env(), kDir);
  CHECK_CODE(db->Get("brief").status(), kNotFound);
  REQUIRE_OK(storage::CheckInvariants(db.get()));
}

namespace {

// Until a compaction has begun.
void AwaitCompaction(TestEnv* env, Db* db) {
  for (int i = 0; i < 10'000 && db->GetStats().running_compactions.empty(); ++i) env->executor().RunOne();
  REQUIRE(db->GetStats().running_compactions.size() == 1);
}

// Has the memtable frozen, waiting for nothing.
void FillMemtable(Db* db) {
  for (int i = 0; i < 1000 && db->GetStats().immutable_memtables == 0; ++i) {
    REQUIRE_OK(db->Put("filler" + std::to_string(i), std::string(1000, 'x')));
  }
  REQUIRE(db->GetStats().immutable_memtables == 1);
}

// Puts the clock right, and goes on with what was held.
void AcceptAndGoOn(TestEnv* env, Db* db) {
  env->clock().JumpWallMillis(-10 * kYearMillis);
  REQUIRE_OK(db->AcceptClock());
  REQUIRE_OK(db->Get("hour").status());
  if (db->GetStats().compaction_pauses != 0) REQUIRE_OK(db->ContinueCompactions());
  env->executor().RunFor(int64_t{60} * 1'000'000'000);
  CHECK(db->GetStats().running_compactions.empty());
  CHECK(db->GetStats().immutable_memtables == 0);
  CHECK_OK(db->Get("hour").status());
  REQUIRE_OK(storage::CheckInvariants(db));
  env->clock().AdvanceMillis(3'600'000);
  CHECK_CODE(db->Get("hour").status(), kNotFound);
}

}  // namespace

TEST_CASE("what is there again once the clock is accepted is not dropped by a compaction that began before") {
  TestEnv env(10);
  Options options = SmallOptions();
  options.level0_tables = 2;
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
  REQUIRE_OK(db->Put("filler", "value"));
  REQUIRE_OK(db->PutWithTtl("hour", "value", absl::Hours(1)));
  REQUIRE_OK(db->Flush());
  env.clock().JumpWallMillis(10 * kYearMillis);
  FillMemtable(db.get());
  AwaitCompaction(&env, db.get());
  REQUIRE_OK(db->PauseCompactions());
  AcceptAndGoOn(&env, db.get());
  // It was begun once more.
  CHECK(db->GetStats().compactions > 0);
}

TEST_CASE("nor for a snapshot from before the clock got there again") {
  TestEnv env(16);
  Options options = SmallOptions();
  options.level0_tables = 2;
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
  REQUIRE_OK(db->Put("filler", "value"));
  REQUIRE_OK(db->PutWithTtl("second", "value", absl::Seconds(1)));
  REQUIRE_OK(db->Flush());
  env.clock().JumpWallMillis(5000);
  FillMemtable(db.get());
  AwaitCompaction(&env, db.get());
  REQUIRE_OK(db->PauseCompactions());
  env.clock().JumpWallMillis(-5000);
  REQUIRE_OK(db->AcceptClock());
  const Snapshot snapshot = db->GetSnapshot();
  env.clock().AdvanceMillis(10'000);
  REQUIRE_OK(db->ContinueCompactions());
  env.executor().RunReady();
  CHECK(db->GetStats().compactions > 0);
  CHECK_OK(db->Get("second", {.snapshot = &snapshot}).status());
  CHECK_CODE(db->Get("second").status(), kNotFound);
}

TEST_CASE("nor by a flush") {
  TestEnv env(11);
  Options options = SmallOptions();
  options.background_bytes_per_second = 64 << 10;
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
  // After this one the next has to wait.
  for (int i = 0; i < 30; ++i) REQUIRE_OK(db->Put("filler" + std::to_string(i), std::string(1000, 'y')));
  REQUIRE_OK(db->Flush());
  REQUIRE_OK(db->PutWithTtl("hour", "value", absl::Hours(1)));
  env.clock().JumpWallMillis(10 * kYearMillis);
  FillMemtable(db.get());
  AcceptAndGoOn(&env, db.get());
  CHECK(db->GetStats().flushes == 2);
}

TEST_CASE("nor is it forgotten for its age") {
  TestEnv env(12);
  Options options = SmallOptions();
  options.compaction_style = CompactionStyle::kFifo;
  options.fifo_age_max = absl::Hours(2);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
  REQUIRE_OK(db->PutWithTtl("hour", "value", absl::Hours(1)));
  REQUIRE_OK(db->Flush());
  env.clock().JumpWallMillis(10 * kYearMillis);
  FillMemtable(db.get());
  AwaitCompaction(&env, db.get());
  REQUIRE_OK(db->PauseCompactions());
  AcceptAndGoOn(&env, db.get());
  CHECK(db->GetStats().forgotten_tables == 0);
}

TEST_CASE("what was written while the clock was ahead keeps nothing from being forgotten once that is over") {
  TestEnv env(17);
  Options options = SmallOptions();
  options.compaction_style = CompactionStyle::kFifo;
  options.fifo_age_max = absl::Minutes(10);
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
  env.clock().JumpWallMillis(10 * kYearMillis);
  for (const char* key : {"ahead", "next", "young"}) {
    REQUIRE_OK(db->Put(key, "value"));
    REQUIRE_OK(db->Flush());
    if (key == std::string_view("ahead")) {
      env.clock().JumpWallMillis(-10 * kYearMillis);
      REQUIRE_OK(db->AcceptClock());
    }
    env.executor().RunFor(int64_t{240} * 1'000'000'000);
  }
  CHECK_OK(db->Get("ahead").status());
  // With the next that is old, and also where one snapshot always lives.
  std::unique_ptr<Snapshot> held;
  const bool has_snapshots = GENERATE(false, true);
  for (int i = 0; i < 10; ++i) {
    if (has_snapshots) {
      auto next = std::make_unique<Snapshot>(db->GetSnapshot());
      held = std::move(next);
    }
    env.executor().RunFor(int64_t{19} * 1'000'000'000);
  }
  CHECK_CODE(db->Get("ahead").status(), kNotFound);
  CHECK_CODE(db->Get("next").status(), kNotFound);
  CHECK_OK(db->Get("young").status());
}

TEST_CASE("a clock that is not accepted, since writes have stopped, changes nothing of what has expired") {
  TestEnv env(8);
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir);
  ReadAhead(&env, db.get());
  const uint64_t ahead_ms = db->GetStats().expiry_ahead_ms;
  REQUIRE(ahead_ms > 0);
  env.files().Inject({.calls = {FileCall::kSync}, .pattern = "*.log", .count = 1});
  REQUIRE_FALSE(db->Put("more", "value", {.sync = true}).ok());
  CHECK_CODE(db->AcceptClock(), kFailedPrecondition);
  CHECK(db->GetStats().expiry_ahead_ms == ahead_ms);
  CHECK_CODE(db->Get("hour").status(), kNotFound);
}

namespace {

// When it is asked, something happens first, or before the answer is used.
class EventfulClock final : public base::Clock {
 public:
  explicit EventfulClock(base::Clock* clock) : clock_(clock) {}

  int64_t MonotonicNanos() override { return clock_->MonotonicNanos(); }
  int64_t WallMillis() override {
    if (const auto event = std::exchange(before_, nullptr); event != nullptr) event();
    const int64_t millis = clock_->WallMillis();
    if (const auto event = std::exchange(after_, nullptr); event != nullptr) event();
    return millis;
  }
  void Before(std::function<void()> event) { before_ = std::move(event); }
  void After(std::function<void()> event) { after_ = std::move(event); }

 private:
  base::Clock* const clock_;
  std::function<void()> before_;
  std::function<void()> after_;
};

}  // namespace

TEST_CASE("a key that is renewed before it expires is never absent, however long a read takes") {
  TestEnv env(9);
  EventfulClock clock(&env.clock());
  base::Env with_clock = env.env();
  with_clock.clock = &clock;
  const bool in_table = GENERATE(false, true);
  std::unique_ptr<Db> db = MustOpen(with_clock, kDir);
  const auto put = [&] { return db->PutWithTtl("lease", "held", absl::Milliseconds(100)); };
  // Whenever a read asks for the time: the key is renewed in time, and then the read is held up.
  const auto renew = [&] {
    env.clock().AdvanceMillis(90);
    REQUIRE_OK(put());
    env.clock().AdvanceMillis(20);
  };
  REQUIRE_OK(put());
  if (in_table) REQUIRE_OK(db->Flush());
  for (int i = 0; i < 3; ++i) {
    clock.Before(renew);
    CHECK_OK(db->Get("lease").status());
    clock.Before(renew);
    CHECK_OK(db->MultiGet({"lease"})[0].status());
    clock.Before(renew);
    const auto walk = db->NewIterator();
    walk->SeekToFirst();
    CHECK(walk->Valid());
  }
  env.clock().AdvanceMillis(100);
  CHECK_CODE(db->Get("lease").status(), kNotFound);
}

TEST_CASE("a batch that a value must be there for is not done once the value has expired") {
  TestEnv env(13);
  EventfulClock clock(&env.clock());
  base::Env with_clock = env.env();
  with_clock.clock = &clock;
  const std::unique_ptr<Db> db = MustOpen(with_clock, kDir);
  const auto late = [&] { env.clock().AdvanceMillis(100); };
  // The conditions are judged in time, and then it takes long.
  const auto write = [&](WriteBatch batch) {
    REQUIRE_OK(db->PutWithTtl("lease", "mine", absl::Milliseconds(100)));
    clock.After(late);
    return db->Write(batch);
  };
  const bool is_empty = GENERATE(false, true);
  const auto guarded = [&](const std::function<void(WriteBatch*)>& guard) {
    WriteBatch batch;
    guard(&batch);
    if (!is_empty) batch.Put("guarded", "1");
    return batch;
  };
  CHECK_CODE(write(guarded([](WriteBatch* batch) { batch->RequirePresent("lease"); })), kAborted);
  CHECK_CODE(write(guarded([](WriteBatch* batch) { batch->RequireValue("lease", "mine"); })), kAborted);
  // The earliest of all counts.
  REQUIRE_OK(db->PutWithTtl("longer", "value", absl::Hours(1)));
  CHECK_CODE(write(guarded([](WriteBatch* batch) {
               batch->RequirePresent("lease");
               batch->RequirePresent("longer");
             })),
             kAborted);
  PinnedValue value;
  REQUIRE_OK(db->PutWithTtl("lease", "mine", absl::Milliseconds(100)));
  REQUIRE_OK(db->GetPinned("lease", &value));
  clock.After(late);
  CHECK_CODE(db->Write(guarded([&](WriteBatch* batch) { batch->RequireVersion("lease", value.version()); })), kAborted);
  CHECK_CODE(db->Get("guarded").status(), kNotFound);
  // What must not be there, and what has no end, does not become untrue.
  CHECK_OK(write(guarded([](WriteBatch* batch) {
    batch->RequireAbsent("nothing");
    batch->RequirePresent("longer");
    batch->RequireEmptyRange("n", "o");
  })));
  REQUIRE_OK(db->Put("always", "value"));
  CHECK_OK(write(guarded([](WriteBatch* batch) { batch->RequirePresent("always"); })));
}

TEST_CASE("a key that is renewed in time is in every snapshot, at any time of its taking") {
  TestEnv env(15);
  EventfulClock clock(&env.clock());
  base::Env with_clock = env.env();
  with_clock.clock = &clock;
  const std::unique_ptr<Db> db = MustOpen(with_clock, kDir);
  const auto renew = [&] {
    env.clock().AdvanceMillis(90);
    REQUIRE_OK(db->PutWithTtl("lease", "held", absl::Milliseconds(100)));
    env.clock().AdvanceMillis(20);
  };
  REQUIRE_OK(db->PutWithTtl("lease", "held", absl::Milliseconds(100)));
  for (const bool before : {true, false}) {
    if (before) clock.Before(renew);
    if (!before) clock.After(renew);
    const Snapshot snapshot = db->GetSnapshot();
    CHECK_OK(db->Get("lease", {.snapshot = &snapshot}).status());
    env.clock().AdvanceMillis(1000);
    CHECK_OK(db->Get("lease", {.snapshot = &snapshot}).status());
    CHECK_CODE(db->Get("lease").status(), kNotFound);
    REQUIRE_OK(db->PutWithTtl("lease", "held", absl::Milliseconds(100)));
  }
}

}  // namespace bandb::test
