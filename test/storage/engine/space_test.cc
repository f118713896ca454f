// Space that is given back with nothing to do by hand: what was deleted, what has expired, what a
// snapshot held, and small tables.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";
constexpr int kKeys = 300;

std::string KeyOf(int i) { return "key" + std::to_string(1000 + i); }

class World {
 public:
  World() : env(1) { Open(); }
  void Open() {
    db.reset();
    Options options;
    options.write_buffer_bytes = 64 << 10;
    options.table_bytes = 64 << 10;
    options.compression = Compression::kNone;
    db = MustOpen(env.env(), kDir, options);
  }
  void Put(char fill) {
    for (int i = 0; i < kKeys; ++i) REQUIRE_OK(db->Put(KeyOf(i), std::string(1000, fill)));
  }
  // Several tables' worth, in the last level.
  void Fill() {
    Put('a');
    Compact();
    REQUIRE(LastLevel().tables >= 5);
    REQUIRE(LastLevel().bytes == Bytes());
  }
  // Of keys [from, to), one by one or at once.
  void Delete(int from, int to, bool by_range) {
    WriteBatch batch;
    if (by_range) batch.DeleteRange(KeyOf(from), KeyOf(to));
    for (int i = from; i < to && !by_range; ++i) batch.Delete(KeyOf(i));
    REQUIRE_OK(db->Write(batch));
  }
  void Compact() { REQUIRE_OK(db->CompactRange({}, {})); }
  // All that the database does by itself.
  void FlushAndRest() {
    REQUIRE_OK(db->Flush());
    Rest();
  }
  void Rest() {
    env.executor().RunReady();
    CHECK_OK(storage::CheckInvariants(db.get()));
  }
  uint64_t Bytes() const { return db->GetStats().table_bytes; }
  uint64_t Tables() const {
    uint64_t tables = 0;
    for (const LevelStats& level : db->GetStats().levels) tables += level.tables;
    return tables;
  }
  LevelStats LastLevel() const { return db->GetStats().levels.back(); }
  uint64_t BytesRead() const {
    uint64_t bytes = 0;
    for (const LevelStats& level : db->GetStats().levels) bytes += level.bytes_read;
    return bytes;
  }
  int KeysSeen(const Snapshot* snapshot = nullptr) const {
    const auto walk = db->NewIterator({.snapshot = snapshot});
    int keys = 0;
    for (walk->SeekToFirst(); walk->Valid(); walk->Next()) ++keys;
    CHECK_OK(walk->status());
    return keys;
  }

  TestEnv env;
  std::unique_ptr<Db> db;
};

}  // namespace

TEST_CASE("what was deleted, key by key or at once, is given back after the flush") {
  for (const bool by_range : {false, true}) {
    World world;
    world.Fill();
    const uint64_t before = world.Bytes();
    world.Delete(5, kKeys - 5, by_range);
    world.FlushAndRest();
    CHECK(world.KeysSeen() == 10);
    CHECK(world.Bytes() < before / 10);
    world.Delete(0, kKeys, by_range);
    world.FlushAndRest();
    CHECK(world.KeysSeen() == 0);
    CHECK(world.Bytes() == 0);
  }
}

TEST_CASE("tables that a range delete covers wholly go unread") {
  World world;
  world.Fill();
  const uint64_t read = world.BytesRead();
  world.Delete(0, kKeys, true);
  world.FlushAndRest();
  CHECK(world.Bytes() == 0);
  // The range delete itself is read once, when it has nothing left to hide.
  CHECK(world.BytesRead() - read < 10'000);
}

TEST_CASE("a range delete that covers a good part of one table gives that back, one of few keys does nothing") {
  World world;
  for (int i = 0; i < 50; ++i) REQUIRE_OK(world.db->Put(KeyOf(i), std::string(1000, 'a')));
  world.Compact();
  REQUIRE(world.Tables() == 1);
  CHECK(world.KeysSeen() == 50);
  const uint64_t before = world.Bytes();
  world.Delete(10, 13, true);
  world.FlushAndRest();
  CHECK(world.Tables() == 2);
  world.Delete(13, 40, true);
  world.FlushAndRest();
  CHECK(world.Tables() == 1);
  CHECK(world.Bytes() < before / 2);
  CHECK(world.KeysSeen() == 20);
}

TEST_CASE("what a range delete covers of a table that nobody has read is told by its index") {
  World world;
  for (int i = 0; i < 50; ++i) REQUIRE_OK(world.db->Put(KeyOf(i), std::string(1000, 'a')));
  world.Compact();
  REQUIRE(world.Tables() == 1);
  // Nothing is open.
  world.Open();
  const uint64_t compactions = world.db->GetStats().compactions;
  const uint64_t read = world.BytesRead();
  world.Delete(10, 12, true);
  world.FlushAndRest();
  CHECK(world.db->GetStats().compactions == compactions);
  CHECK(world.BytesRead() == read);
  CHECK(world.Tables() == 2);
  world.Open();
  world.Delete(12, 40, true);
  world.FlushAndRest();
  CHECK(world.Tables() == 1);
  CHECK(world.KeysSeen() == 20);
}

TEST_CASE("a table whose index cannot be read is not asked for it again and again") {
  World world;
  for (int i = 0; i < 50; ++i) REQUIRE_OK(world.db->Put(KeyOf(i), std::string(1000, 'a')));
  world.Compact();
  world.Open();
  for (const auto& [path, bytes] : world.env.files().Files()) {
    if (!Matches("*.tbl", path)) continue;
    world.env.files().Inject(
        {.kind = FaultKind::kIoError, .calls = {FileCall::kOpen}, .pattern = path, .count = Fault::kSticky});
  }
  world.Delete(10, 40, true);
  const uint64_t failures = world.env.files().failures();
  world.FlushAndRest();
  CHECK(world.env.files().failures() == failures + 1);
  CHECK(world.Tables() == 2);
  world.env.files().ClearFaults();
  CHECK(world.KeysSeen() == 20);
  REQUIRE_OK(world.db->Put("more", "value"));
  world.FlushAndRest();
  CHECK(world.Bytes() < 25'000);
}

TEST_CASE("a few deletes among much else bring nothing about") {
  World world;
  world.Fill();
  const uint64_t compactions = world.db->GetStats().compactions;
  for (int i = 0; i < kKeys; i += 10) world.Delete(i, i + 1, false);
  world.FlushAndRest();
  CHECK(world.db->GetStats().compactions == compactions);
  CHECK(world.db->GetStats().levels[0].tables == 1);
}

TEST_CASE("what a snapshot held is given back when it goes, also if the database was opened again meanwhile") {
  enum class Way { kDeletes, kRange, kOverwrites };
  for (const Way way : {Way::kDeletes, Way::kRange, Way::kOverwrites}) {
    for (const bool reopens : {false, true}) {
      World world;
      world.Fill();
      const uint64_t before = world.Bytes();
      std::optional<Snapshot> snapshot(world.db->GetSnapshot());
      if (way == Way::kOverwrites) {
        world.Put('b');
      } else {
        world.Delete(0, kKeys, way == Way::kRange);
      }
      world.FlushAndRest();
      world.Compact();
      world.Rest();
      CHECK(world.Bytes() >= before);
      CHECK(world.db->Get(KeyOf(7), {.snapshot = &*snapshot}).value() == std::string(1000, 'a'));
      if (reopens) {
        REQUIRE_OK(world.db->Close());
        world.db.reset();
      }
      snapshot.reset();
      if (reopens) world.Open();
      world.Rest();
      CHECK(world.KeysSeen() == (way == Way::kOverwrites ? kKeys : 0));
      CHECK(world.Bytes() <= (way == Way::kOverwrites ? before + before / 20 : 0));
    }
  }
}

TEST_CASE("a table stays while a snapshot lies between the range deletes that cover it") {
  World world;
  world.Fill();
  // No table ends where the two meet.
  world.Delete(0, kKeys / 2, true);
  std::optional<Snapshot> snapshot(world.db->GetSnapshot());
  world.Delete(kKeys / 2, kKeys, true);
  world.FlushAndRest();
  CHECK(world.KeysSeen() == 0);
  CHECK(world.KeysSeen(&*snapshot) == kKeys / 2);
  for (int i = 0; i < kKeys; ++i) {
    CAPTURE(i);
    const auto found = world.db->Get(KeyOf(i), {.snapshot = &*snapshot});
    CHECK(found.ok() == (i >= kKeys / 2));
  }
  snapshot.reset();
  world.Rest();
  CHECK(world.KeysSeen() == 0);
  CHECK(world.Bytes() == 0);
}

TEST_CASE("what has expired is given back when a quarter of a table has, and the rest in time") {
  World world;
  for (int i = 0; i < kKeys; ++i) {
    WriteBatch batch;
    batch.PutWithTtl(KeyOf(i), std::string(1000, 'x'), absl::Seconds(i < kKeys / 2 ? 100 : 10'000));
    REQUIRE_OK(world.db->Write(batch));
  }
  REQUIRE_OK(world.db->Flush());
  world.env.executor().RunReady();
  const uint64_t before = world.Bytes();
  world.env.executor().RunFor(50'000'000'000);
  CHECK(world.Bytes() == before);
  world.env.executor().RunFor(120'000'000'000);
  CHECK(world.Bytes() < before * 6 / 10);
  CHECK(world.KeysSeen() == kKeys / 2);
  // Closing does not wait for it.
  REQUIRE_OK(world.db->Close());
  world.db.reset();
  world.Open();
  world.env.executor().RunFor(10'200'000'000'000);
  CHECK(world.KeysSeen() == 0);
  CHECK(world.Bytes() == 0);
}

TEST_CASE("many small flushes of ascending keys end in few tables, and rewrite each byte a few times") {
  World world;
  uint64_t flushed = 0;
  for (int i = 0; i < 600; ++i) {
    REQUIRE_OK(world.db->Put(KeyOf(i), std::string(100, 'x')));
    world.FlushAndRest();
  }
  CHECK(world.KeysSeen() == 600);
  CHECK(world.Tables() < 40);
  uint64_t written = 0;
  for (const LevelStats& level : world.db->GetStats().levels) written += level.bytes_written;
  flushed = world.db->GetStats().levels[0].bytes_written;
  CHECK(written < 8 * flushed);
  // It stays that way.
  const uint64_t compactions = world.db->GetStats().compactions;
  world.Rest();
  CHECK(world.db->GetStats().compactions == compactions);
}

TEST_CASE("an idle database looks seldom for what expires, and a closed one not at all") {
  constexpr int64_t kHour = 3'600'000'000'000;
  World world;
  // Each table expires before all that were there.
  for (int i = 0; i < 20; ++i) {
    WriteBatch batch;
    batch.PutWithTtl(KeyOf(i), "x", absl::Hours(1000 - i));
    REQUIRE_OK(world.db->Write(batch));
    REQUIRE_OK(world.db->Flush());
    world.Rest();
  }
  world.Compact();
  world.Rest();
  uint64_t before = world.env.executor().steps();
  world.env.executor().RunFor(kHour);
  CHECK(world.env.executor().steps() - before < 200);
  // What is about to expire when the clock is set back never does.
  WriteBatch batch;
  batch.PutWithTtl(KeyOf(500), "x", absl::Seconds(1));
  REQUIRE_OK(world.db->Write(batch));
  REQUIRE_OK(world.db->Flush());
  world.Rest();
  world.env.clock().JumpWallMillis(-1'000'000'000);
  before = world.env.executor().steps();
  world.env.executor().RunFor(kHour);
  CHECK(world.env.executor().steps() - before < 3 * 3600);
  REQUIRE_OK(world.db->Close());
  world.Rest();
  before = world.env.executor().steps();
  world.env.executor().RunFor(kHour);
  // A timer that is still to come does nothing.
  CHECK(world.env.executor().steps() - before <= 21);
}

TEST_CASE("many snapshots that end while another one holds something are few looks") {
  World world;
  world.Fill();
  const Snapshot oldest = world.db->GetSnapshot();
  world.Delete(0, kKeys, true);
  world.FlushAndRest();
  std::vector<Snapshot> others;
  for (int i = 0; i < 1000; ++i) others.push_back(world.db->GetSnapshot());
  const uint64_t before = world.env.executor().steps();
  others.clear();
  world.Rest();
  CHECK(world.env.executor().steps() - before < 10);
  CHECK(world.db->Get(KeyOf(7), {.snapshot = &oldest}).value() == std::string(1000, 'a'));
}

TEST_CASE("older versions below stay hidden when a table between them and a range delete is dropped") {
  for (const bool holds : {false, true}) {
    CAPTURE(holds);
    World world;
    for (int i = 0; i < 50; ++i) REQUIRE_OK(world.db->Put(KeyOf(i), std::string(1000, 'a')));
    world.Compact();
    CHECK(world.KeysSeen() == 50);
    for (int i = 10; i < 13; ++i) REQUIRE_OK(world.db->Put(KeyOf(i), std::string(1000, 'b')));
    world.FlushAndRest();
    REQUIRE(world.Tables() == 2);
    std::optional<Snapshot> snapshot;
    if (holds) snapshot.emplace(world.db->GetSnapshot());
    world.Delete(10, 13, true);
    world.FlushAndRest();
    if (holds) {
      CHECK(world.Tables() == 3);
      for (int i = 10; i < 13; ++i) {
        CHECK(world.db->Get(KeyOf(i), {.snapshot = &*snapshot}).value() == std::string(1000, 'b'));
      }
      snapshot.reset();
      world.Rest();
    }
    // The range delete, and what lies at the bottom.
    CHECK(world.Tables() == 2);
    for (const bool compacted : {false, true}) {
      if (compacted) world.Compact();
      CHECK(world.KeysSeen() == 47);
      for (int i = 10; i < 13; ++i) CHECK_CODE(world.db->Get(KeyOf(i)).status(), kNotFound);
    }
  }
}

TEST_CASE("whatever was done, reads are right and a further look finds nothing to do") {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    using State = std::map<std::string, std::string>;
    struct Seen {
      Snapshot snapshot;
      State state;
    };
    World world;
    base::Random random(seed);
    State state;
    std::vector<Seen> seen;
    const auto walked = [&](const Snapshot* snapshot) {
      State found;
      const auto walk = world.db->NewIterator({.snapshot = snapshot});
      for (walk->SeekToFirst(); walk->Valid(); walk->Next()) found.emplace(walk->key(), walk->value());
      CHECK_OK(walk->status());
      return found;
    };
    for (int round = 0; round < 40; ++round) {
      const int from = static_cast<int>(random.Uniform(kKeys));
      const int to = from + 1 + static_cast<int>(random.Uniform(random.OneIn(3) ? kKeys : 20));
      switch (random.Uniform(4)) {
        case 0:
          world.Delete(from, to, true);
          state.erase(state.lower_bound(KeyOf(from)), state.lower_bound(KeyOf(to)));
          break;
        case 1:
          world.Delete(from, to, false);
          state.erase(state.lower_bound(KeyOf(from)), state.lower_bound(KeyOf(to)));
          break;
        default:
          for (int i = from; i < to; ++i) {
            const std::string value(200 + random.Uniform(1000), static_cast<char>('a' + round % 26));
            REQUIRE_OK(world.db->Put(KeyOf(i), value));
            state[KeyOf(i)] = value;
          }
      }
      if (random.OneIn(4)) seen.push_back({world.db->GetSnapshot(), state});
      if (!seen.empty() && random.OneIn(4)) {
        seen.erase(seen.begin() + static_cast<ptrdiff_t>(random.Uniform(seen.size())));
      }
      if (random.OneIn(8)) world.Compact();
      world.FlushAndRest();
      REQUIRE(walked(nullptr) == state);
      for (const Seen& then : seen) REQUIRE(walked(&then.snapshot) == then.state);
    }
    seen.clear();
    world.Rest();
    REQUIRE(walked(nullptr) == state);
    // An open looks at everything, and knows less of tables than one who has read them.
    for (const bool again : {false, true}) {
      REQUIRE_OK(world.db->Close());
      world.db.reset();
      world.Open();
      world.Rest();
      if (again) CHECK(world.db->GetStats().compactions == 0);
    }
    REQUIRE(walked(nullptr) == state);
  }
}

}  // namespace bandb::test
