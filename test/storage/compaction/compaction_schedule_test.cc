#include "storage/compaction/compaction_schedule.h"

#include <set>

#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

namespace {

using WorkKind = CompactionSchedule::Work::Kind;

constexpr CompactionSettings kSettings{.level0_tables = 2, .level_base_bytes = 10'000, .table_bytes = 1000};

std::shared_ptr<const Version> Make(const std::vector<LevelTable>& tables) {
  auto version = MakeVersion(tables);
  REQUIRE_OK(version.status());
  return *std::move(version);
}

// A level 0 with two tables, which is due, over two tables of the last level.
std::shared_ptr<const Version> Due() {
  return Make({{0, Describe(3, "a", "c", 5, 6)},
               {0, Describe(4, "b", "d", 7, 8)},
               {6, Describe(1, "a", "b")},
               {6, Describe(2, "c", "d")}});
}

// A level 0 with one table, which is not.
std::shared_ptr<const Version> NotDue() {
  return Make({{0, Describe(3, "a", "c", 5, 6)}, {6, Describe(1, "a", "b")}, {6, Describe(2, "c", "d")}});
}

struct Fixture {
  explicit Fixture(std::shared_ptr<const Version> first, int compactions_max = 1)
      : version(std::move(first)), schedule(kSettings, compactions_max) {}

  CompactionSchedule::Work Next() {
    auto work = schedule.Next({.version = version.get(), .may_flush = frozen, .next_file_number = 100});
    CHECK_OK(schedule.CheckInvariants(*version));
    return work;
  }
  // All of it; the outcome is kept.
  void AddManual() {
    schedule.AddManual(Spaced("a"), Spaced("z"),
                       [this](absl::Status status) { outcomes.push_back(std::move(status)); });
  }

  std::shared_ptr<const Version> version;
  bool frozen = false;
  CompactionSchedule schedule;
  std::vector<absl::Status> outcomes;
};

}  // namespace

TEST_CASE("a flush goes first, and one at a time") {
  Fixture f(Due());
  f.frozen = true;
  CHECK(f.Next().kind == WorkKind::kFlush);
  CHECK(f.schedule.flush_running());
  CHECK(f.Next().kind == WorkKind::kCompaction);
  CHECK(f.Next().kind == WorkKind::kNothing);
  f.schedule.FlushEnded();
  CHECK(f.Next().kind == WorkKind::kFlush);
  f.schedule.FlushEnded();
  f.frozen = false;
  CHECK(f.Next().kind == WorkKind::kNothing);
}

TEST_CASE("no more compactions run at a time than are allowed, and none shares a table with another") {
  // Two levels that are too large, apart from each other.
  std::vector<LevelTable> tables;
  for (uint64_t i = 0; i < 40; ++i) {
    const std::string key = fmt::format("{:03}", i);
    tables.push_back({5, Describe(100 + i, key, key)});
    tables.push_back({6, Describe(200 + i, key, key)});
  }
  for (const int compactions_max : {1, 3}) {
    Fixture f(Make(tables), compactions_max);
    std::set<uint64_t> used;
    for (int i = 0; i < compactions_max; ++i) {
      const auto work = f.Next();
      REQUIRE(work.kind == WorkKind::kCompaction);
      for (const auto* inputs : {&work.compaction.inputs, &work.compaction.output_inputs}) {
        for (const uint64_t number : Numbers(*inputs)) CHECK(used.insert(number).second);
      }
    }
    CHECK(f.Next().kind == WorkKind::kNothing);
    CHECK(f.schedule.compactions_running() == compactions_max);
  }
}

TEST_CASE("a CompactRange waits for what runs when its turn comes, and nothing else begins meanwhile") {
  Fixture f(Due(), 2);
  const auto running = f.Next();
  REQUIRE(running.kind == WorkKind::kCompaction);
  CHECK_FALSE(running.compaction.is_manual);
  f.AddManual();
  CHECK(f.Next().kind == WorkKind::kNothing);
  CHECK(f.schedule.CompactionEnded(running.compaction, true) == nullptr);
  const auto work = f.Next();
  REQUIRE(work.kind == WorkKind::kCompaction);
  CHECK(work.compaction.is_manual);
  CHECK(work.compaction.level == 0);
  CHECK(work.compaction.output_level == 6);
}

TEST_CASE("a CompactRange takes very many tables of level 0 in parts") {
  std::vector<LevelTable> tables;
  for (uint64_t number = 1; number <= kLevel0InputsMax + 3; ++number) {
    tables.push_back({0, Describe(number, "a", "b", number, number)});
  }
  Fixture f(Make(tables));
  f.AddManual();
  auto work = f.Next();
  REQUIRE(work.kind == WorkKind::kCompaction);
  REQUIRE(work.compaction.is_manual);
  CHECK(work.compaction.inputs.size() == kLevel0InputsMax);
  CHECK(work.compaction.inputs.back()->info().number == 1);
  tables.erase(tables.begin(), tables.begin() + static_cast<ptrdiff_t>(kLevel0InputsMax));
  tables.push_back({6, Describe(101, "a", "b", 1, 1)});
  f.version = Make(tables);
  CHECK(f.schedule.CompactionEnded(work.compaction, true) == nullptr);
  work = f.Next();
  REQUIRE(work.kind == WorkKind::kCompaction);
  REQUIRE(work.compaction.is_manual);
  CHECK(work.compaction.level == 0);
  CHECK(work.compaction.inputs.size() == 3);
  f.version = Make({{6, Describe(102, "a", "b", 1, 1)}});
  CHECK(f.schedule.CompactionEnded(work.compaction, true) == nullptr);
  CHECK(f.Next().kind == WorkKind::kManualDone);
}

TEST_CASE("a CompactRange goes down level by level, and at last rewrites what was in the last one before") {
  Fixture f(NotDue());
  f.AddManual();
  auto work = f.Next();
  REQUIRE(work.kind == WorkKind::kCompaction);
  CHECK(work.compaction.level == 0);
  // One compaction of it runs at a time.
  CHECK(f.Next().kind == WorkKind::kNothing);
  // Of the old tables of the last level one was left, beside what the compaction wrote.
  f.version = Make({{6, Describe(2, "c", "d")}, {6, Describe(101, "a", "b")}});
  CHECK(f.schedule.CompactionEnded(work.compaction, true) == nullptr);
  work = f.Next();
  REQUIRE(work.kind == WorkKind::kCompaction);
  CHECK(work.compaction.level == 6);
  CHECK(work.compaction.output_level == 6);
  CHECK(Numbers(work.compaction.inputs) == std::vector<uint64_t>{2});
  f.version = Make({{6, Describe(102, "c", "d")}, {6, Describe(101, "a", "b")}});
  CHECK(f.schedule.CompactionEnded(work.compaction, true) == nullptr);
  work = f.Next();
  REQUIRE(work.kind == WorkKind::kManualDone);
  work.done(absl::OkStatus());
  CHECK(f.outcomes.size() == 1);
  CHECK(f.Next().kind == WorkKind::kNothing);
}

TEST_CASE("a second CompactRange begins when the first is done") {
  Fixture f(Make({}));
  f.AddManual();
  f.AddManual();
  CHECK(f.Next().kind == WorkKind::kManualDone);
  CHECK(f.Next().kind == WorkKind::kManualDone);
  CHECK(f.Next().kind == WorkKind::kNothing);
}

TEST_CASE("a CompactRange that is given up while it runs ends with its compaction, and those that wait end at once") {
  Fixture f(NotDue());
  f.AddManual();
  f.AddManual();
  const auto work = f.Next();
  REQUIRE(work.kind == WorkKind::kCompaction);
  std::vector<CompactionSchedule::Done> abandoned;
  f.schedule.AbandonManual(&abandoned);
  CHECK(abandoned.size() == 1);
  const CompactionSchedule::Done done = f.schedule.CompactionEnded(work.compaction, false);
  REQUIRE(done != nullptr);
  CHECK(f.Next().kind == WorkKind::kNothing);
}

TEST_CASE("a compaction of a CompactRange that has come to nothing is picked once more, unless that is given up") {
  Fixture f(NotDue());
  f.AddManual();
  const auto work = f.Next();
  REQUIRE(work.kind == WorkKind::kCompaction);
  CHECK(f.schedule.CompactionEnded(work.compaction, true, true) == nullptr);
  const auto again = f.Next();
  REQUIRE(again.kind == WorkKind::kCompaction);
  CHECK(again.compaction.is_manual);
  CHECK(again.compaction.level == work.compaction.level);
  CHECK(Numbers(again.compaction.inputs) == Numbers(work.compaction.inputs));
  CHECK(f.schedule.CompactionEnded(again.compaction, false, true) != nullptr);
  CHECK(f.Next().kind == WorkKind::kNothing);
}

TEST_CASE("what newer tables can be put under is below none of what overlaps them, and held until they are there") {
  const auto version = Make({{0, Describe(5, "a", "b", 9, 9)},
                             {1, Describe(3, "d", "f", 7, 8)},
                             {4, Describe(2, "k", "p", 5, 6)},
                             {6, Describe(1, "a", "z", 1, 2)}});
  const auto level_of = [&](const char* begin, const char* end, const CompactionSettings& settings = kSettings) {
    CompactionSchedule schedule(settings, 1);
    const TableInfo info = Describe(9, begin, end, 20, 21);
    const int level = schedule.BeginHold(*version, info.smallest, info.largest);
    CHECK_OK(schedule.CheckInvariants(*version));
    schedule.EndHold(level, info.smallest, info.largest);
    CHECK_OK(schedule.CheckInvariants(*version));
    return level;
  };
  CHECK(level_of("b", "c") == 0);
  CHECK(level_of("c", "d") == 0);
  CHECK(level_of("g", "k") == 3);
  CHECK(level_of("g", "h") == 5);
  // Between two tables, and over one.
  CHECK(level_of("c", "g") == 0);
  CHECK(level_of("zz", "zzz") == 6);
  CompactionSettings other = kSettings;
  other.recompresses_last_level = true;
  CHECK(level_of("zz", "zzz", other) == 5);
  other.style = CompactionStyle::kFifo;
  CHECK(level_of("zz", "zzz", other) == 0);
}

TEST_CASE("no compaction begins to write where tables are about to be put, and none goes where one writes") {
  const auto version = Make({{0, Describe(3, "a", "c", 5, 6)},
                             {0, Describe(4, "k", "m", 7, 8)},
                             {6, Describe(1, "a", "b")},
                             {6, Describe(2, "m", "n")}});
  Fixture f(version, 2);
  const TableInfo between = Describe(9, "e", "f", 20, 21);
  int level = f.schedule.BeginHold(*version, between.smallest, between.largest);
  CHECK(level == 6);
  // Level 0 would be merged into it, over all of it.
  CHECK(f.Next().kind == WorkKind::kNothing);
  f.AddManual();
  CHECK(f.Next().kind == WorkKind::kNothing);
  CHECK(f.outcomes.empty());
  f.schedule.EndHold(level, between.smallest, between.largest);
  CompactionSchedule::Work work = f.Next();
  REQUIRE(work.kind == WorkKind::kCompaction);
  CHECK(work.compaction.output_level == 6);
  level = f.schedule.BeginHold(*version, between.smallest, between.largest);
  CHECK(level == 5);
  f.schedule.EndHold(level, between.smallest, between.largest);
  f.schedule.CompactionEnded(work.compaction, true);
}

TEST_CASE("iterators that have used up their allowance have level 0 compacted, however few tables it has") {
  Fixture f(NotDue());
  CHECK(f.Next().kind == WorkKind::kNothing);
  ReadAllowance allowance;
  allowance.Renew(f.schedule.RenewAllowance(*f.version));
  for (int i = 0; i < 999; ++i) REQUIRE_FALSE(allowance.Take());
  CHECK(allowance.Take());
  CHECK_FALSE(allowance.Take());
  f.schedule.WantLevel0();
  const auto work = f.Next();
  REQUIRE(work.kind == WorkKind::kCompaction);
  CHECK(work.compaction.level == 0);
  f.schedule.CompactionEnded(work.compaction, true);
  // With an empty level 0 no iterator loses anything.
  CHECK(f.schedule.RenewAllowance(*Make({{6, Describe(1, "a", "b")}})) == INT64_MAX);
  CHECK(f.Next().kind == WorkKind::kNothing);
}

TEST_CASE("a CompactRange that meets a table that is set aside ends with its damage, others go around it") {
  Fixture f(Due());
  CHECK(f.schedule.SetAside(2, 6, false));
  CHECK_FALSE(f.schedule.SetAside(2, 6, false));
  CHECK(f.schedule.settings().base_level_max == 5);
  const auto around = f.Next();
  REQUIRE(around.kind == WorkKind::kCompaction);
  CHECK(around.compaction.output_level == 5);
  f.AddManual();
  // Until what runs has ended it may be that which is in the way.
  CHECK(f.Next().kind == WorkKind::kNothing);
  CHECK(f.schedule.CompactionEnded(around.compaction, true) == nullptr);
  f.version = Make({{5, Describe(5, "a", "d", 5, 8)}, {6, Describe(1, "a", "b")}, {6, Describe(2, "c", "d")}});
  const auto ended = f.Next();
  REQUIRE(ended.kind == WorkKind::kManualDone);
  CHECK_CODE(ended.status, kDataLoss);
  f.schedule.TakeBack();
  CHECK(f.schedule.settings().base_level_max == kLevels - 1);
  CHECK(f.Next().kind == WorkKind::kCompaction);
}

TEST_CASE("space is looked for when nothing else is to do, one compaction at a time, and again when there is news") {
  TableInfo wasteful = Describe(1, "a", "b");
  wasteful.entries = 100;
  wasteful.space.hidden = 50;
  wasteful.largest_sequence = wasteful.smallest_sequence + 5;
  Fixture f(Make({{6, wasteful}, {6, Describe(2, "c", "d")}}), 3);
  SnapshotHorizon horizon{.snapshots = {wasteful.smallest_sequence}, .now_ms = 10};
  const auto next = [&] {
    return f.schedule.Next({.version = f.version.get(), .next_file_number = 100, .horizon = &horizon, .now_ms = 10});
  };
  CHECK(f.schedule.wants_space());
  CHECK(next().kind == WorkKind::kNothing);
  CHECK_FALSE(f.schedule.wants_space());
  CHECK(f.schedule.space_outlook().waits_for_snapshot);
  // The snapshot is gone, which nobody has said yet.
  horizon.snapshots.clear();
  CHECK(next().kind == WorkKind::kNothing);
  f.schedule.WantSpace();
  const auto work = next();
  REQUIRE(work.kind == WorkKind::kCompaction);
  CHECK(Numbers(work.compaction.inputs) == std::vector<uint64_t>{1});
  // While it runs nobody looks; at its end somebody does.
  CHECK(next().kind == WorkKind::kNothing);
  CHECK(f.schedule.wants_space());
  f.version = Make({{6, Describe(3, "a", "b")}, {6, Describe(2, "c", "d")}});
  CHECK(f.schedule.CompactionEnded(work.compaction, true) == nullptr);
  CHECK(next().kind == WorkKind::kNothing);
  CHECK_FALSE(f.schedule.wants_space());
}

}  // namespace bandb::storage
