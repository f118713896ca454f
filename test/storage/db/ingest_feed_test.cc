// What an ingest is to those who read the change feed: a gap that none of them passes unawares.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "storage/commit/write_requests.h"
#include "storage/db/feed_world.h"
#include "storage/db_feed.h"
#include "storage/db_ingest.h"
#include "storage/engine/engine.h"
#include "storage/model/model_ingest.h"

namespace bandb::test {

namespace {

constexpr IngestOptions kAllowed{.allow_gap_in_changes = true};

absl::StatusOr<uint64_t> IngestKeys(Db* db, const IngestOptions& options = {}) {
  ModelWrite write;
  for (const char* const key : {"i1", "i2", "i3"}) {
    write.changes.push_back({ModelChange::Kind::kPut, key, std::string(300, 'i')});
  }
  return Ingest(db, write, options);
}

Options KeepingNothing() {
  Options options = SmallOptions();
  options.changes_keep_bytes = 0;
  return options;
}

}  // namespace

TEST_CASE("an ingest is refused while logs are kept for the change feed, or there is a cursor that it would lose") {
  FeedWorld keeping;
  keeping.Put("a");
  CHECK_CODE(IngestKeys(&keeping.db()).status(), kFailedPrecondition);
  CHECK_CODE(keeping->Get("i1").status(), kNotFound);
  CHECK(keeping->GetStats().last_sequence == 1);

  FeedWorld world(KeepingNothing());
  REQUIRE_OK(world->CreateCursor("cursor", ChangesFrom::Now()));
  CHECK_CODE(IngestKeys(&world.db()).status(), kFailedPrecondition);
  REQUIRE_OK(IngestKeys(&world.db(), kAllowed).status());
  CHECK(world->GetStats().lost_cursors == 1);
  CHECK_CODE(world.ReadStatus(ChangesFrom::Cursor("cursor")), kOutOfRange);
  // One that is lost has nothing to lose.
  REQUIRE_OK(IngestKeys(&world.db()).status());
  REQUIRE_OK(world->ResetCursor("cursor", ChangesFrom::Now()));
  CHECK_CODE(IngestKeys(&world.db()).status(), kFailedPrecondition);
  REQUIRE_OK(world->DropCursor("cursor"));
  REQUIRE_OK(IngestKeys(&world.db()).status());
}

TEST_CASE("a reader that goes on from before an ingest is told that what comes next is gone, whatever it had read") {
  for (const bool keeps : {false, true}) {
    FeedWorld world(keeps ? KeepingOptions() : KeepingNothing());
    world.Put("a");
    const Snapshot snapshot = world->GetSnapshot();
    const absl::Time before = absl::FromUnixMillis(world.env().clock().WallMillis());
    const auto behind = world.Read(From(ChangesFrom::Oldest()));
    const auto at_end = world.Read(From(ChangesFrom::Oldest()));
    const auto undurable = world.Read(From(ChangesFrom::Now(), true));
    CHECK(Keys(at_end.get()) == "a");
    const std::string token = at_end->token();
    world.env().clock().AdvanceMillis(10);
    world.Put("b", false);
    const auto version = IngestKeys(&world.db(), kAllowed);
    REQUIRE_OK(version.status());
    Commit commit;
    for (ChangeReader* const reader : {behind.get(), at_end.get(), undurable.get()}) {
      CHECK_CODE(reader->Next(&commit, absl::ZeroDuration()), kOutOfRange);
    }
    CHECK(world->GetStats().oldest_change == *version + 1);
    CHECK(LogFiles(&world.env()) == 1);
    for (int life = 0; life < 2; ++life) {
      CHECK_CODE(world.ReadStatus(ChangesFrom::Token(token)), kOutOfRange);
      CHECK_CODE(world.ReadStatus(ChangesFrom::Time(before)), kOutOfRange);
      if (life == 0) CHECK_CODE(world.ReadStatus(ChangesFrom::Snapshot(snapshot)), kOutOfRange);
      const auto reader = world.Read(From(ChangesFrom::Oldest()));
      world.Put("c");
      CHECK(Keys(reader.get()).ends_with("c"));
      if (life == 0) world.PowerLoss(keeps ? KeepingOptions() : KeepingNothing());
    }
  }
}

TEST_CASE("after an ingest the feed goes on as from a beginning, over flushes and openings") {
  FeedWorld world;
  world.FillLog("a");
  REQUIRE_OK(IngestKeys(&world.db(), kAllowed).status());
  const Snapshot snapshot = world->GetSnapshot();
  REQUIRE_OK(world->CreateCursor("cursor", ChangesFrom::Snapshot(snapshot)));
  world.FillLog("b");
  world.Put("c");
  world.Close();
  world.Open(KeepingOptions());
  const std::string keys = Keys(world.Read(From(ChangesFrom::Cursor("cursor"))).get());
  CHECK(keys.starts_with("b00b01"));
  CHECK(keys.ends_with("b39c"));
  CHECK(keys == Keys(world.Read(From(ChangesFrom::Oldest())).get()));
  const auto cursors = world->ListCursors();
  REQUIRE_OK(cursors.status());
  CHECK((*cursors)[0].lag_commits == 41);
  CHECK_OK(world->VerifyChecksums());
}

TEST_CASE("logs that were kept are let go once the ingest is durable, and not before") {
  FeedWorld world;
  world.FillLog("a");
  world.Put("b");
  const size_t logs = LogFiles(&world.env());
  REQUIRE(logs == 2);
  bool found = false;
  world.env().files().SetHook([&](uint64_t /*mutation*/) {
    // Each state that power loss may leave meanwhile has all, or is after the gap.
    TestEnv after(3, world.env().files().CrashImage(Damage::kLost, 5));
    const std::unique_ptr<Db> db = MustOpen(after.env(), kFeedDir, KeepingOptions());
    const auto reader = db->ReadChanges(From(ChangesFrom::Oldest()));
    REQUIRE_OK(reader.status());
    const std::string keys = Keys(reader->get());
    const bool ingested = db->Get("i1").ok();
    CHECK((ingested ? keys.empty() : keys.starts_with("a00") && keys.ends_with("b")));
    found |= ingested;
  });
  REQUIRE_OK(IngestKeys(&world.db(), kAllowed).status());
  world.env().files().SetHook(nullptr);
  CHECK(found);
  CHECK(LogFiles(&world.env()) == 1);
}

namespace {

// A feed of an engine, into whose writes of cursors ingests come.
class CrossedFeed {
 public:
  CrossedFeed() = default;
  ~CrossedFeed() {
    engine_->BeginClose([](const absl::Status& /*at_rest*/) {});
    env_.executor().RunReady();
    CHECK_OK(engine_->FinishClose());
  }
  // So many are to come.
  void Cross(int ingests) { ingests_ = ingests; }
  // Something else comes, once, before what takes a cursor away is written.
  void CrossDrop(std::function<void()> other) { before_drop_ = std::move(other); }
  storage::DbFeed& feed() { return feed_; }

 private:
  absl::Status Await(storage::BlockingWrite* write) {
    engine_->Submit(write);
    if (write->sync && !write->IsComplete()) engine_->SyncWaiting();
    if (!write->IsComplete()) REQUIRE(write->Wait(&env_.executor(), base::kForever));
    return write->TakeOutcome();
  }
  void IngestOne() {
    bool given = false;
    const auto next = [&](IngestEntry* entry) -> absl::StatusOr<bool> {
      entry->key = "key";
      return !std::exchange(given, true);
    };
    const auto commit = [this](storage::IngestCommit* ingest) {
      storage::BlockingWrite write;
      write.ingest = ingest;
      return Await(&write);
    };
    REQUIRE_OK(storage::IngestTables(engine_.get(), &turn_, next, kAllowed, commit).status());
  }
  absl::Status Write(const WriteBatch& batch) {
    bool drops = false;
    batch.ForEach([&](const BatchItem& item) { drops |= item.kind == BatchItemKind::kDelete; });
    if (drops && before_drop_ != nullptr) std::exchange(before_drop_, nullptr)();
    if (ingests_ > 0) {
      --ingests_;
      IngestOne();
    }
    storage::BlockingWrite write;
    write.FromBatch(batch);
    write.system = write.sync = true;
    return Await(&write);
  }

  TestEnv env_{1};
  const std::unique_ptr<storage::Engine> engine_ =
      storage::Engine::Open(env_.env(), kFeedDir, KeepingNothing()).value();
  storage::IngestTurn turn_;
  int ingests_ = 0;
  std::function<void()> before_drop_;
  storage::DbFeed feed_{engine_.get(), [this](const WriteBatch& batch) { return Write(batch); },
                        []() { return absl::OkStatus(); }};
};

}  // namespace

TEST_CASE("a cursor that an ingest loses while it is made is made again, or there is none") {
  CrossedFeed crossed;
  storage::DbFeed& feed = crossed.feed();
  REQUIRE_OK(feed.CreateCursor("first", ChangesFrom::Now()));
  const std::string token = (*feed.ListCursors())[0].token;
  REQUIRE_OK(feed.DropCursor("first"));
  crossed.Cross(1);
  REQUIRE_OK(feed.CreateCursor("crossed", ChangesFrom::Now()));
  REQUIRE(feed.ListCursors()->size() == 1);
  CHECK_FALSE((*feed.ListCursors())[0].lost);
  REQUIRE_OK(feed.DropCursor("crossed"));
  crossed.Cross(10);
  CHECK_CODE(feed.CreateCursor("again", ChangesFrom::Now()), kOutOfRange);
  CHECK(feed.ListCursors()->empty());
  crossed.Cross(0);
  REQUIRE_OK(feed.CreateCursor("again", ChangesFrom::Now()));
  CHECK_CODE(feed.CreateCursor("old", ChangesFrom::Token(token)), kOutOfRange);
}

TEST_CASE("whoever gives up a cursor that an ingest has lost leaves one alone that was made under its name meanwhile") {
  CrossedFeed crossed;
  storage::DbFeed& feed = crossed.feed();
  std::string token;
  crossed.CrossDrop([&] {
    REQUIRE_OK(feed.DropCursor("cursor"));
    REQUIRE_OK(feed.CreateCursor("cursor", ChangesFrom::Now()));
    token = feed.ListCursors()->at(0).token;
  });
  crossed.Cross(1);
  CHECK_CODE(feed.CreateCursor("cursor", ChangesFrom::Now()), kOutOfRange);
  const auto cursors = feed.ListCursors();
  REQUIRE_OK(cursors.status());
  REQUIRE(cursors->size() == 1);
  CHECK((*cursors)[0].token == token);
  CHECK_FALSE((*cursors)[0].lost);
  // It is in the store as well, where the next opening finds it.
  CHECK_OK(feed.DropCursor("cursor"));
}

}  // namespace bandb::test
