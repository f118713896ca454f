// Compactions that somebody asks for: what CompactRange gives back, wherever it lies, and what
// readers bring about.
#include <memory>
#include <optional>
#include <string>

#include "storage/db.h"
#include "storage/engine/engine.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";

std::string KeyOf(int i) { return "key" + std::to_string(1000 + i); }

class World {
 public:
  explicit World(uint64_t seed = 1) : env(seed) {
    Options options;
    options.write_buffer_bytes = 64 << 10;
    options.table_bytes = 64 << 10;
    options.compression = Compression::kNone;
    auto opened = storage::OpenDb(env.env(), kDir, options);
    REQUIRE_OK(opened.status());
    db = *std::move(opened);
  }
  // Several tables' worth, in the last level.
  void Fill() {
    for (int i = 0; i < 300; ++i) REQUIRE_OK(db->Put(KeyOf(i), std::string(1000, static_cast<char>('a' + i % 26))));
    Compact();
    REQUIRE(BytesAbove() == 0);
    REQUIRE(LastLevel().tables >= 5);
  }
  void Compact() { REQUIRE_OK(db->CompactRange({}, {})); }
  LevelStats LastLevel() const { return db->GetStats().levels.back(); }
  uint64_t BytesAbove() const { return db->GetStats().table_bytes - LastLevel().bytes; }
  uint64_t KeysSeen() const {
    const auto walk = db->NewIterator();
    uint64_t keys = 0;
    for (walk->SeekToFirst(); walk->Valid(); walk->Next()) ++keys;
    CHECK_OK(walk->status());
    return keys;
  }

  TestEnv env;
  std::unique_ptr<Db> db;
};

}  // namespace

TEST_CASE("when CompactRange returns, the tables that it replaced are gone from the disk") {
  World world;
  for (int round = 0; round < 5; ++round) {
    world.Fill();
    uint64_t disk_bytes = 0;
    for (const auto& [path, bytes] : world.env.files().Files()) disk_bytes += Matches("*.tbl", path) ? bytes : 0;
    CHECK(disk_bytes == world.db->GetStats().table_bytes);
  }
}

TEST_CASE("deletes that a snapshot held up in the last level go with the next compaction") {
  for (const bool by_range : {false, true}) {
    World world;
    world.Fill();
    std::optional<Snapshot> snapshot(world.db->GetSnapshot());
    if (by_range) {
      WriteBatch batch;
      batch.DeleteRange(KeyOf(0), KeyOf(290));
      REQUIRE_OK(world.db->Write(batch));
    } else {
      for (int i = 0; i < 290; ++i) REQUIRE_OK(world.db->Delete(KeyOf(i)));
    }
    const uint64_t before = world.LastLevel().bytes;
    world.Compact();
    CHECK(world.BytesAbove() == 0);
    CHECK(world.LastLevel().bytes >= before);
    CHECK(world.db->Get(KeyOf(7), {.snapshot = &*snapshot}).ok());
    snapshot.reset();
    world.Compact();
    CHECK(world.LastLevel().tables == 1);
    CHECK(world.LastLevel().bytes < before / 20);
    CHECK(world.KeysSeen() == 10);
  }
}

TEST_CASE("what a compaction kept for a snapshot that has gone meanwhile goes with the next one") {
  // Which of the two comes first is up to the seed.
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    World world(seed);
    world.Fill();
    {
      const Snapshot snapshot = world.db->GetSnapshot();
      for (int i = 0; i < 290; ++i) {
        REQUIRE_OK(world.db->Delete(KeyOf(i)));
        // So many tables in level 0 that a compaction begins, as long as there is the snapshot.
        if (i % 60 == 59) REQUIRE_OK(world.db->Flush());
      }
    }
    world.Compact();
    CHECK(world.BytesAbove() == 0);
    CHECK(world.LastLevel().tables == 1);
    CHECK(world.KeysSeen() == 10);
  }
}

TEST_CASE("what has expired in the last level goes, and nothing is left of it") {
  World world;
  for (int i = 0; i < 100; ++i) {
    WriteBatch batch;
    batch.PutWithTtl(KeyOf(i), std::string(1000, 'x'), absl::Seconds(10));
    REQUIRE_OK(world.db->Write(batch));
  }
  world.Compact();
  CHECK(world.KeysSeen() == 100);
  CHECK(world.LastLevel().bytes > 0);
  world.env.clock().AdvanceMillis(20'000);
  CHECK(world.KeysSeen() == 0);
  world.Compact();
  CHECK(world.LastLevel().tables == 0);
  CHECK(world.db->GetStats().table_bytes == 0);
}

TEST_CASE("a compaction of a range leaves the tables of other ranges alone") {
  World world;
  world.Fill();
  const uint64_t written = world.LastLevel().bytes_written;
  const uint64_t tables = world.LastLevel().tables;
  REQUIRE_OK(world.db->CompactRange(KeyOf(100), KeyOf(101)));
  const uint64_t more = world.LastLevel().bytes_written - written;
  CHECK(more > 0);
  CHECK(more < 3 * (64 << 10));
  CHECK(world.LastLevel().tables == tables);
  CHECK(world.KeysSeen() == 300);
}

TEST_CASE("what was written by the compaction itself is not written twice") {
  World world;
  for (int i = 0; i < 100; ++i) REQUIRE_OK(world.db->Put(KeyOf(i), std::string(100, 'x')));
  world.Compact();
  const Stats stats = world.db->GetStats();
  // The flush wrote it once, and the way down to the last level once.
  CHECK(stats.levels.back().bytes_written == stats.levels.back().bytes);
}

TEST_CASE("a few tables in level 0 are compacted once many iterators have read them, and not before") {
  World world;
  world.Fill();
  REQUIRE_OK(world.db->Put(KeyOf(7), "new"));
  REQUIRE_OK(world.db->Flush());
  const auto read = [&world](int iterators) {
    for (int i = 0; i < iterators; ++i) CHECK(world.db->NewIterator()->status().ok());
    world.env.executor().RunReady();
  };
  // As many as a compaction of so little is worth, at the least.
  read(999);
  CHECK(world.db->GetStats().levels[0].tables == 1);
  read(1);
  CHECK(world.db->GetStats().levels[0].tables == 0);
  CHECK(world.BytesAbove() == 0);
  CHECK(*world.db->Get(KeyOf(7)) == "new");
  CHECK(world.KeysSeen() == 300);
  // With nothing in level 0 there is nothing to gain.
  const uint64_t compactions = world.db->GetStats().compactions;
  read(3000);
  CHECK(world.db->GetStats().compactions == compactions);
  // A new table is a new count.
  REQUIRE_OK(world.db->Put(KeyOf(8), "newer"));
  REQUIRE_OK(world.db->Flush());
  read(999);
  CHECK(world.db->GetStats().levels[0].tables == 1);
  read(1);
  CHECK(world.db->GetStats().levels[0].tables == 0);
}

TEST_CASE("a compaction that iterators want while another one runs is not forgotten when that one ends") {
  World world;
  world.Fill();
  REQUIRE_OK(world.db->Put(KeyOf(7), "new"));
  REQUIRE_OK(world.db->Close());
  Options options;
  options.compression = Compression::kNone;
  options.background_threads = 2;  // of which one compacts
  auto opened = storage::Engine::Open(world.env.env(), kDir, options);
  REQUIRE_OK(opened.status());
  const std::unique_ptr<storage::Engine> engine = *std::move(opened);
  bool flushed = false;
  engine->WhenFlushed([&flushed](const absl::Status& status) { flushed = status.ok(); });
  world.env.executor().RunReady();
  REQUIRE(flushed);
  REQUIRE(engine->GetStats().levels[0].tables == 1);

  bool compacted = false;
  engine->CompactRange(KeyOf(200), {}, [&compacted](const absl::Status& status) { compacted = status.ok(); });
  for (int i = 0; i < 1000; ++i) CHECK_OK(engine->NewIterator({})->status());
  CHECK(engine->GetStats().compactions == 0);
  world.env.executor().RunReady();
  CHECK(compacted);
  CHECK(engine->GetStats().levels[0].tables == 0);

  bool closed = false;
  engine->BeginClose([&closed](const absl::Status& status) { closed = status.ok(); });
  world.env.executor().RunReady();
  REQUIRE(closed);
  CHECK_OK(engine->FinishClose());
}

}  // namespace bandb::test
