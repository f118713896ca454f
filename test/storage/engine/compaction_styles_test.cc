// The shapes in which compactions keep the tables, one after the other on the same data; what may
// be forgotten; and how the last level is compressed.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bandb/changes.h"
#include "storage/db/open_db.h"
#include "storage/table/compression.h"
#include "support/catch.h"
#include "support/random_data.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kStylesDir[] = "/db";

Options StyleOptions(CompactionStyle style) {
  Options options = SmallOptions();
  options.table_bytes = 64 << 10;
  options.level_base_bytes = 64 << 10;
  options.compression = Compression::kNone;
  options.compaction_style = style;
  options.fifo_bytes_max = uint64_t{1} << 40;
  return options;
}

std::string TwoDigits(int i) { return std::to_string(100 + i).substr(1); }

class StyleWorld {
 public:
  explicit StyleWorld(const Options& options) { Open(options); }
  void Open(const Options& options) {
    db.reset();
    db = MustOpen(env.env(), kStylesDir, options);
  }
  // A table of some 26,000 bytes, of keys with this prefix.
  void Fill(const std::string& prefix) {
    for (int i = 0; i < 25; ++i) REQUIRE_OK(db->Put(prefix + TwoDigits(i), RandomBytes(&random, 1000)));
    FlushAndRest();
  }
  void FlushAndRest() {
    REQUIRE_OK(db->Flush());
    Rest();
  }
  void Rest() {
    env.executor().RunReady();
    REQUIRE_OK(storage::CheckInvariants(db.get()));
  }
  bool Has(const std::string& prefix) const { return db->Get(prefix + "07").ok(); }
  std::vector<LevelStats> Levels() const { return db->GetStats().levels; }
  uint64_t Bytes() const { return db->GetStats().table_bytes; }
  uint64_t Tables() const {
    uint64_t tables = 0;
    for (const LevelStats& level : Levels()) tables += level.tables;
    return tables;
  }
  uint64_t Runs() const {
    const std::vector<LevelStats> levels = Levels();
    uint64_t runs = levels[0].tables;
    for (size_t level = 1; level < levels.size(); ++level) runs += levels[level].tables != 0 ? 1 : 0;
    return runs;
  }

  TestEnv env{1};
  base::Random random{7};
  std::unique_ptr<Db> db;
};

std::string Numbered(int i) { return "p" + NumberedKey(static_cast<uint64_t>(i), 3) + "-"; }

}  // namespace

TEST_CASE("tiered, there are few runs, the newer ones small beside the oldest, and less is written than levelled") {
  std::map<CompactionStyle, uint64_t> written;
  for (const CompactionStyle style : {CompactionStyle::kLevelled, CompactionStyle::kTiered}) {
    Options options = StyleOptions(style);
    options.level0_tables = 4;
    StyleWorld world(options);
    for (int i = 0; i < 120; ++i) {
      for (int j = 0; j < 30; ++j) {
        REQUIRE_OK(world.db->Put(NumberedKey(world.random.Uniform(4000), 5), RandomBytes(&world.random, 1000)));
      }
      world.FlushAndRest();
      if (style == CompactionStyle::kTiered) {
        REQUIRE(world.Runs() < 12);
        uint64_t newer = world.Bytes();
        for (const LevelStats& level : world.Levels()) {
          if (level.bytes != 0) newer = world.Bytes() - level.bytes;
        }
        if (world.Levels().back().bytes != 0) REQUIRE(newer <= 2 * world.Levels().back().bytes);
      }
    }
    for (const LevelStats& level : world.Levels()) written[style] += level.bytes_written;
    CHECK(world.db->GetStats().compaction_debt_bytes == 0);
  }
  CAPTURE(written[CompactionStyle::kTiered], written[CompactionStyle::kLevelled]);
  CHECK(written[CompactionStyle::kTiered] < written[CompactionStyle::kLevelled] * 3 / 4);
}

TEST_CASE("a database of any style opens in any other, holds the same, and comes into shape") {
  using enum CompactionStyle;
  StyleWorld world(StyleOptions(kLevelled));
  std::map<std::string, std::string> expected;
  for (const CompactionStyle style :
       {kLevelled, kTiered, kFifo, kLevelled, kFifo, kTiered, kLevelled, kTiered, kFifo, kTiered}) {
    world.Open(StyleOptions(style));
    for (int i = 0; i < 400; ++i) {
      const std::string key = NumberedKey(world.random.Uniform(300), 3);
      if (world.random.OneIn(5)) {
        REQUIRE_OK(world.db->Delete(key));
        expected.erase(key);
        continue;
      }
      expected[key] = RandomBytes(&world.random, 1000);
      REQUIRE_OK(world.db->Put(key, expected[key]));
    }
    world.FlushAndRest();
    if (style == kLevelled) CHECK(world.Levels()[0].tables < 4);
    if (style == kTiered) CHECK(world.Runs() < 12);
    if (world.random.OneIn(2)) REQUIRE_OK(world.db->CompactRange({}, {}));
    std::map<std::string, std::string> found;
    const auto walk = world.db->NewIterator();
    for (walk->SeekToFirst(); walk->Valid(); walk->Next()) found.emplace(walk->key(), walk->value());
    REQUIRE_OK(walk->status());
    REQUIRE(found == expected);
    for (const auto& [key, value] : expected) REQUIRE(world.db->Get(key).value() == value);
  }
}

TEST_CASE("tiered, what was deleted is given back by itself, and CompactRange leaves one run") {
  StyleWorld world(StyleOptions(CompactionStyle::kTiered));
  for (int i = 0; i < 12; ++i) world.Fill(Numbered(i));
  const uint64_t before = world.Bytes();
  WriteBatch batch;
  batch.DeleteRange(Numbered(1), Numbered(11));
  REQUIRE_OK(world.db->Write(batch));
  world.FlushAndRest();
  CHECK(world.Bytes() < before / 3);
  REQUIRE_OK(world.db->CompactRange({}, {}));
  CHECK(world.Runs() == 1);
  CHECK(world.Levels().back().tables == world.Tables());
  CHECK(world.Has(Numbered(0)));
  CHECK_FALSE(world.Has(Numbered(5)));
}

TEST_CASE("first in, first out by size: the oldest go, whole and unread, also after reopening with a lower bound") {
  Options options = StyleOptions(CompactionStyle::kFifo);
  options.fifo_bytes_max = 200'000;
  StyleWorld world(options);
  for (int i = 0; i < 20; ++i) {
    world.Fill(Numbered(i));
    REQUIRE(world.Bytes() <= 200'000);
    REQUIRE(world.Has(Numbered(i)));
  }
  for (int i = 0; i < 20; ++i) CHECK(world.Has(Numbered(i)) == (i >= 13));
  const Stats stats = world.db->GetStats();
  CHECK(stats.forgotten_tables == 13);
  CHECK(stats.forgotten_bytes > 13 * 25'000);
  CHECK(stats.levels[0].bytes_read == 0);
  options.fifo_bytes_max = 100'000;
  world.Open(options);
  world.Rest();
  for (int i = 0; i < 20; ++i) CHECK(world.Has(Numbered(i)) == (i >= 17));
  options.compaction_style = CompactionStyle::kLevelled;
  world.Open(options);
  REQUIRE_OK(world.db->CompactRange({}, {}));
  for (int i = 0; i < 20; ++i) CHECK(world.Has(Numbered(i)) == (i >= 17));
}

TEST_CASE("first in, first out by age: a table goes once its newest write is so old, without anybody's doing") {
  Options options = StyleOptions(CompactionStyle::kFifo);
  options.fifo_bytes_max = 0;
  options.fifo_age_max = absl::Minutes(10);
  StyleWorld world(options);
  for (int i = 0; i < 5; ++i) {
    world.Fill(Numbered(i));
    world.env.executor().RunFor(int64_t{60} * 1'000'000'000);
  }
  CHECK(world.Tables() == 5);
  // The first is ten minutes old after five more.
  world.env.executor().RunFor(int64_t{361} * 1'000'000'000);
  CHECK_FALSE(world.Has(Numbered(0)));
  CHECK_FALSE(world.Has(Numbered(1)));
  CHECK(world.Has(Numbered(2)));
  // Their age survives opening, and counts while it is closed.
  REQUIRE_OK(world.db->Close());
  world.env.clock().AdvanceMillis(60'000);
  world.Open(options);
  world.env.executor().RunFor(1'000'000'000);
  CHECK_FALSE(world.Has(Numbered(2)));
  CHECK(world.Has(Numbered(3)));
  world.env.executor().RunFor(int64_t{600} * 1'000'000'000);
  CHECK(world.Tables() == 0);
}

TEST_CASE("small tables that are joined are as old as the newest of them") {
  Options options = StyleOptions(CompactionStyle::kFifo);
  options.fifo_bytes_max = 0;
  options.fifo_age_max = absl::Minutes(10);
  StyleWorld world(options);
  REQUIRE_OK(world.db->PauseCompactions());
  for (int i = 0; i < 8; ++i) {
    REQUIRE_OK(world.db->Put(Numbered(i) + "07", "v"));
    world.FlushAndRest();
    world.env.executor().RunFor(int64_t{30} * 1'000'000'000);
  }
  REQUIRE_OK(world.db->ContinueCompactions());
  world.Rest();
  CHECK(world.Tables() == 1);
  CHECK(world.db->GetStats().compactions == 1);
  // It was made 30 s after its newest entry was written, and its age counts from there, after an
  // opening, too.
  world.Open(options);
  world.env.executor().RunFor(int64_t{560} * 1'000'000'000);
  CHECK(world.Has(Numbered(0)));
  world.env.executor().RunFor(int64_t{20} * 1'000'000'000);
  CHECK_FALSE(world.Has(Numbered(7)));
  CHECK(world.Tables() == 0);
}

TEST_CASE("what is forgotten brings no older value to light, and nothing that was deleted") {
  // Older values lie in lower levels, with other keys and so in tables of other ages.
  StyleWorld world(StyleOptions(CompactionStyle::kLevelled));
  for (int i = 0; i < 6; ++i) world.Fill(Numbered(i));
  REQUIRE_OK(world.db->CompactRange({}, {}));
  const auto old = world.db->Get(Numbered(2) + "07");
  REQUIRE_OK(old.status());
  Options options = StyleOptions(CompactionStyle::kFifo);
  world.Open(options);
  WriteBatch batch;
  batch.DeleteRange(Numbered(3), Numbered(5));
  batch.Delete(Numbered(5) + "07");
  batch.Put(Numbered(2) + "07", "new");
  REQUIRE_OK(world.db->Write(batch));
  world.FlushAndRest();
  for (uint64_t bytes_max = 65536 * 4; bytes_max >= 65536; bytes_max -= 1000) {
    options.fifo_bytes_max = bytes_max;
    world.Open(options);
    world.Rest();
    const auto found = world.db->Get(Numbered(2) + "07");
    REQUIRE((absl::IsNotFound(found.status()) || *found == "new"));
    REQUIRE_FALSE(world.Has(Numbered(3)));
    REQUIRE_FALSE(world.Has(Numbered(4)));
    REQUIRE_FALSE(world.Has(Numbered(5)));
  }
  CHECK(world.Bytes() <= 65536 + 1000);
}

TEST_CASE("a snapshot keeps what it sees from being forgotten, for as long as it lives") {
  Options options = StyleOptions(CompactionStyle::kFifo);
  options.fifo_bytes_max = 100'000;
  StyleWorld world(options);
  world.Fill(Numbered(0));
  auto snapshot = std::make_unique<Snapshot>(world.db->GetSnapshot());
  for (int i = 1; i < 10; ++i) world.Fill(Numbered(i));
  CHECK(world.Bytes() > 200'000);
  CHECK_OK(world.db->Get(Numbered(0) + "07", {.snapshot = snapshot.get()}).status());
  const auto walk = world.db->NewIterator();
  snapshot.reset();
  world.Rest();
  CHECK(world.Bytes() <= 100'000);
  CHECK_FALSE(world.Has(Numbered(0)));
  // The iterator has its tables still.
  int seen = 0;
  for (walk->SeekToFirst(); walk->Valid(); walk->Next()) ++seen;
  CHECK_OK(walk->status());
  CHECK(seen == 250);
}

TEST_CASE("where one snapshot always lives, what is due is forgotten once those from before are gone") {
  Options options = StyleOptions(CompactionStyle::kFifo);
  options.fifo_bytes_max = 100'000;
  StyleWorld world(options);
  const auto count = [&](const Snapshot* snapshot) {
    int seen = 0;
    const auto walk = world.db->NewIterator({.snapshot = snapshot});
    for (walk->SeekToFirst(); walk->Valid(); walk->Next()) ++seen;
    REQUIRE_OK(walk->status());
    return seen;
  };
  std::unique_ptr<Snapshot> held;
  for (int i = 0; i < 20; ++i) {
    world.Fill(Numbered(i));
    auto next = std::make_unique<Snapshot>(world.db->GetSnapshot());
    const int seen = count(next.get());
    CHECK(seen == count(nullptr));
    held = std::move(next);
    world.Rest();
    // The snapshots see the same though it is forgotten.
    CHECK(count(held.get()) == seen);
    CHECK(world.Has(Numbered(i)));
    CHECK(world.Bytes() <= 100'000 + 27'000);
  }
  // One that is taken when nothing is due keeps what it sees.
  held.reset();
  world.Rest();
  CHECK(world.Bytes() <= 100'000);
  held = std::make_unique<Snapshot>(world.db->GetSnapshot());
  for (int i = 20; i < 30; ++i) world.Fill(Numbered(i));
  CHECK(world.Has(Numbered(19)));
  CHECK(world.Bytes() > 300'000);
}

TEST_CASE("a snapshot that is taken while its tables are being forgotten keeps seeing the same") {
  // At each call of the file system, those that write the edit among them.
  bool any_went = false;
  for (uint64_t call = 1;; ++call) {
    Options options = StyleOptions(CompactionStyle::kFifo);
    options.fifo_bytes_max = 66'000;
    StyleWorld world(options);
    for (int i = 0; i < 2; ++i) world.Fill(Numbered(i));
    std::unique_ptr<Snapshot> snapshot;
    bool had = false;
    const auto see = [&]() {
      const auto walk = world.db->NewIterator({.snapshot = snapshot.get()});
      walk->SeekToFirst();
      REQUIRE(walk->Valid());
      const bool walked = walk->key().substr(0, Numbered(0).size()) == Numbered(0);
      const bool got = world.db->Get(Numbered(0) + "07", {.snapshot = snapshot.get()}).ok();
      REQUIRE(walked == got);
      const std::string key = Numbered(0) + "07";
      REQUIRE(world.db->MultiGet({{key}}, {.snapshot = snapshot.get()})[0].ok() == got);
      return got;
    };
    const uint64_t first = world.env.files().mutations();
    world.env.files().SetHook([&](uint64_t mutation) {
      if (mutation < first + call || snapshot != nullptr) return;
      snapshot = std::make_unique<Snapshot>(world.db->GetSnapshot());
      had = see();
    });
    world.Fill(Numbered(2));
    world.env.files().SetHook(nullptr);
    if (snapshot == nullptr) break;
    CHECK(see() == had);
    any_went |= had && !world.Has(Numbered(0));
    snapshot.reset();
    world.Rest();
    CHECK_FALSE(world.Has(Numbered(0)));
  }
  CHECK(any_went);
}

TEST_CASE("cursors of the change feed are not forgotten") {
  Options options = StyleOptions(CompactionStyle::kFifo);
  options.fifo_bytes_max = 100'000;
  options.changes_keep_bytes = uint64_t{1} << 30;
  StyleWorld world(options);
  REQUIRE_OK(world.db->CreateCursor("c", ChangesFrom::Now()));
  for (int i = 0; i < 20; ++i) {
    if (i % 5 == 0) REQUIRE_OK(world.db->CreateCursor("c" + std::to_string(i), ChangesFrom::Now()));
    world.Fill(Numbered(i));
    REQUIRE(world.Bytes() < 110'000);
  }
  CHECK_FALSE(world.Has(Numbered(10)));
  // Counted are the tables that users had something in, rewritten or not.
  uint64_t gone = 0;
  for (int i = 0; i < 20; ++i) gone += world.Has(Numbered(i)) ? 0 : 1;
  CHECK(world.db->GetStats().forgotten_tables == gone);
  CHECK(world.db->GetStats().forgotten_bytes >= gone * 25'000);
  CHECK(world.db->GetStats().forgotten_bytes <= gone * 30'000);
  world.Open(options);
  world.Rest();
  for (const char* name : {"c", "c0", "c5", "c15"}) {
    ChangesOptions from;
    from.from = ChangesFrom::Cursor(name);
    CHECK_OK(world.db->ReadChanges(from).status());
  }
  // They take no more room as time goes.
  CHECK(world.Tables() < 6);
}

TEST_CASE("a snapshot that sees the system's entries alone keeps nothing from being forgotten") {
  Options options = StyleOptions(CompactionStyle::kFifo);
  options.fifo_bytes_max = 0;
  options.fifo_age_max = absl::Minutes(10);
  options.changes_keep_bytes = uint64_t{1} << 30;
  StyleWorld world(options);
  REQUIRE_OK(world.db->CreateCursor("c", ChangesFrom::Now()));
  world.FlushAndRest();
  const Snapshot snapshot = world.db->GetSnapshot();
  REQUIRE_OK(world.db->CreateCursor("d", ChangesFrom::Now()));
  world.Fill(Numbered(0));
  const uint64_t steps = world.env.executor().steps();
  const int64_t end_nanos = world.env.clock().MonotonicNanos() + int64_t{1200} * 1'000'000'000;
  while (world.env.executor().RunOne(end_nanos)) REQUIRE(world.env.executor().steps() - steps < 1000);
  CHECK_FALSE(world.Has(Numbered(0)));
  CHECK(world.db->GetStats().forgotten_tables == 1);
  for (const char* name : {"c", "d"}) {
    ChangesOptions from;
    from.from = ChangesFrom::Cursor(name);
    CHECK_OK(world.db->ReadChanges(from).status());
  }
}

TEST_CASE("what cannot be opened keeps nothing from being forgotten, for longer than that lasts") {
  enum class Way { kDamaged, kRefused, kNoDescriptor };
  for (const Way way : {Way::kDamaged, Way::kRefused, Way::kNoDescriptor}) {
    CAPTURE(static_cast<int>(way));
    Options options = StyleOptions(CompactionStyle::kFifo);
    options.fifo_bytes_max = 0;
    options.fifo_age_max = absl::Minutes(10);
    StyleWorld world(options);
    for (int i = 0; i < 3; ++i) world.Fill(Numbered(i));
    REQUIRE_OK(world.db->Close());
    std::vector<std::string> paths;
    for (const auto& [path, bytes] : world.env.files().Files()) {
      if (Matches("*.tbl", path)) paths.push_back(path);
    }
    REQUIRE(paths.size() == 3);
    if (way == Way::kDamaged) {
      world.env.files().FlipByte(paths[0], world.env.files().Content(paths[0]).size() - 1, 1);
    } else {
      world.env.files().Inject({.kind = way == Way::kRefused ? FaultKind::kIoError : FaultKind::kNoDescriptor,
                                .calls = {FileCall::kOpen},
                                .pattern = paths[0],
                                .count = Fault::kSticky});
    }
    world.Open(options);
    world.env.executor().RunFor(int64_t{660} * 1'000'000'000);
    REQUIRE_OK(storage::CheckInvariants(world.db.get()));
    CHECK(world.Tables() == (way == Way::kNoDescriptor ? 3 : 0));
    world.env.files().ClearFaults();
    // Without a flush.
    world.env.executor().RunFor(int64_t{120} * 1'000'000'000);
    CHECK(world.Tables() == 0);
    CHECK(world.db->GetStats().damaged_tables.empty());
  }
}

TEST_CASE("writers never wait for a level 0 that is not on its way to anywhere") {
  StyleWorld world(StyleOptions(CompactionStyle::kFifo));
  for (int i = 0; i < 60; ++i) world.Fill(Numbered(i));
  const Stats stats = world.db->GetStats();
  CHECK(stats.levels[0].tables > 20);
  CHECK(stats.stall_count == 0);
  CHECK(stats.compaction_debt_bytes == 0);
  // Levelled, all of it goes down, and few stay.
  world.Open(StyleOptions(CompactionStyle::kLevelled));
  world.Rest();
  CHECK(world.Levels()[0].tables < 4);
  for (int i = 0; i < 60; ++i) CHECK(world.Has(Numbered(i)));
}

TEST_CASE("first in, first out, CompactRange does no more than a flush") {
  StyleWorld world(StyleOptions(CompactionStyle::kFifo));
  for (int i = 0; i < 3; ++i) world.Fill(Numbered(i));
  REQUIRE_OK(world.db->Put("k", "v"));
  REQUIRE_OK(world.db->CompactRange({}, {}));
  CHECK(world.Levels()[0].tables == 4);
  CHECK(world.db->GetStats().compactions == 0);
}

TEST_CASE("the last level is compressed in its own way, also what would only have moved there") {
  if (!storage::CompressionIsBuiltIn(Compression::kZstd)) return;
  for (const CompactionStyle style : {CompactionStyle::kLevelled, CompactionStyle::kTiered}) {
    uint64_t bytes[2] = {0, 0};
    for (const bool with : {false, true}) {
      Options options = StyleOptions(style);
      if (with) options.compression_last_level = Compression::kZstd;
      StyleWorld world(options);
      for (int i = 0; i < 8; ++i) {
        for (int j = 0; j < 40; ++j) {
          REQUIRE_OK(world.db->Put(Numbered(i) + TwoDigits(j), std::string(1000, 'x')));
        }
        world.FlushAndRest();
      }
      bytes[with ? 1 : 0] = world.Levels().back().bytes;
      CHECK((world.Levels().back().bytes_moved == 0) == with);
    }
    CHECK(bytes[0] > 100'000);
    CHECK(bytes[1] < bytes[0] / 5);
  }
}

TEST_CASE("settings of styles that make no sense are refused, all of them named") {
  TestEnv env(1);
  Options options = SmallOptions();
  options.compaction_style = CompactionStyle::kFifo;
  CHECK(storage::OpenDb(env.env(), kStylesDir, options).status().message().find("fifo_age_max") !=
        absl::string_view::npos);
  options.fifo_bytes_max = 100;
  options.fifo_age_max = absl::ZeroDuration();
  options.background_bytes_per_second = 1;
  const absl::Status refused = storage::OpenDb(env.env(), kStylesDir, options).status();
  CHECK_CODE(refused, kInvalidArgument);
  for (const char* name : {"fifo_bytes_max", "fifo_age_max", "background_bytes_per_second"}) {
    CHECK(refused.message().find(name) != absl::string_view::npos);
  }
}

}  // namespace bandb::test
