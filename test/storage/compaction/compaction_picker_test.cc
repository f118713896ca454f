#include "storage/compaction/compaction_picker.h"

#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

namespace {

constexpr CompactionSettings kSettings{.level0_tables = 2, .level_base_bytes = 10'000, .table_bytes = 1000};

std::string Name(uint64_t at) { return fmt::format("{:03}", at); }

// Tables of 1000 bytes that fill a level from key 0 on, each `keys` keys wide.
void Fill(std::vector<LevelTable>* tables, int level, uint64_t count, uint64_t keys = 5) {
  for (uint64_t i = 0; i < count; ++i) {
    tables->push_back({level, Describe(tables->size() + 1, Name(i * keys), Name(i * keys + keys - 1))});
  }
}

std::shared_ptr<const Version> Make(const std::vector<LevelTable>& tables) {
  auto version = MakeVersion(tables);
  REQUIRE_OK(version.status());
  return *std::move(version);
}

}  // namespace

TEST_CASE("an empty database compacts into the last level, a large one into the first that is worth having") {
  CHECK(TargetsFor(Version(), kSettings).base_level == 6);
  std::vector<LevelTable> tables;
  Fill(&tables, 6, 10);
  CHECK(TargetsFor(*Make(tables), kSettings).base_level == 6);
  Fill(&tables, 5, 1, 500);
  // Nothing may be compacted past a level that holds data.
  CHECK(TargetsFor(*Make(tables), kSettings).base_level == 5);
  tables.clear();
  Fill(&tables, 6, 150);
  const LevelTargets targets = TargetsFor(*Make(tables), kSettings);
  CHECK(targets.base_level == 4);
  CHECK(targets.bytes[6] == 150'000);
  CHECK(targets.bytes[5] == 15'000);
  CHECK(targets.bytes[4] == 10'000);
  CHECK(targets.bytes[3] == 0);
}

TEST_CASE("a database in shape has nothing to compact, and owes nothing") {
  std::vector<LevelTable> tables = {{0, Describe(1, "a", "z", 5, 9)}};
  Fill(&tables, 6, 20);
  const auto version = Make(tables);
  CHECK_FALSE(PickCompaction(*version, kSettings, {}).has_value());
  CHECK(CompactionDebtBytes(*version, kSettings) == 0);
}

TEST_CASE("level 0 is compacted whole into the base level, with what overlaps it there") {
  std::vector<LevelTable> tables;
  Fill(&tables, 6, 4);
  tables.push_back({0, Describe(11, Name(3), Name(7), 5, 9)});
  tables.push_back({0, Describe(12, Name(6), Name(8), 10, 11)});
  const auto version = Make(tables);
  const auto compaction = PickCompaction(*version, kSettings, {});
  REQUIRE(compaction.has_value());
  CHECK(compaction->level == 0);
  CHECK(compaction->output_level == 6);
  CHECK(Numbers(compaction->inputs) == std::vector<uint64_t>{12, 11});
  CHECK(Numbers(compaction->output_inputs) == std::vector<uint64_t>{1, 2});
  CHECK_FALSE(compaction->is_move);
  CHECK(compaction->InputBytes() == 4000);
  CHECK(CompactionDebtBytes(*version, kSettings) == 6000);
  // With any of its tables in use it has to wait.
  for (const uint64_t number : {11, 12, 1, 2}) {
    RunningCompactions running;
    running.tables.insert(number);
    CHECK_FALSE(PickCompaction(*version, kSettings, running).has_value());
  }
  RunningCompactions running;
  running.outputs.push_back({6, Key(Name(0), 1), Key(Name(4), 1)});
  CHECK_FALSE(PickCompaction(*version, kSettings, running).has_value());
  running.outputs[0].level = 5;
  CHECK(PickCompaction(*version, kSettings, running).has_value());
}

TEST_CASE("tables that overlap nothing are moved, those that overlap one another are not") {
  std::vector<LevelTable> tables = {{0, Describe(1, "a", "c", 5, 9)}, {0, Describe(2, "d", "f", 10, 11)}};
  const auto disjoint = PickCompaction(*Make(tables), kSettings, {});
  REQUIRE(disjoint.has_value());
  CHECK(disjoint->is_move);
  tables[1].info = Describe(2, "c", "f", 10, 11);
  const auto touching = PickCompaction(*Make(tables), kSettings, {});
  REQUIRE(touching.has_value());
  CHECK_FALSE(touching->is_move);
}

TEST_CASE("a level that is too large gives the table that costs least, and another while that one is in use") {
  std::vector<LevelTable> tables;
  Fill(&tables, 6, 120);
  const uint64_t first = tables.size() + 1;
  Fill(&tables, 5, 13, 25);
  tables.back().info = Describe(tables.back().info.number, Name(700), Name(701));
  const auto version = Make(tables);
  RunningCompactions running;
  const auto compaction = PickCompaction(*version, kSettings, running);
  REQUIRE(compaction.has_value());
  CHECK(compaction->level == 5);
  CHECK(Numbers(compaction->inputs) == std::vector<uint64_t>{first + 12});
  CHECK(compaction->is_move);
  running.Add(*compaction);
  const auto next = PickCompaction(*version, kSettings, running);
  REQUIRE(next.has_value());
  CHECK(next->inputs[0]->info().number != first + 12);
  CHECK(next->output_inputs.size() == 5);
  running.Remove(*compaction);
  CHECK(running.tables.empty());
  CHECK(running.outputs.empty());
}

TEST_CASE("a table that is set aside is in no compaction, and level 0 goes into the level over it") {
  std::vector<LevelTable> tables;
  Fill(&tables, 6, 4);
  tables.push_back({0, Describe(11, Name(3), Name(12), 5, 9)});
  tables.push_back({0, Describe(12, Name(4), Name(13), 10, 11)});
  RunningCompactions running;
  running.set_aside.insert(2);
  const auto version = Make(tables);
  // As long as nobody has said how far down level 0 may go, it stays.
  CHECK(StuckInLevel0(*version, kSettings, running) == 2);
  CompactionSettings settings = kSettings;
  settings.base_level_max = 5;
  CHECK(StuckInLevel0(*version, settings, running) == 0);
  const auto compaction = PickCompaction(*version, settings, running);
  REQUIRE(compaction.has_value());
  CHECK(compaction->output_level == 5);
  CHECK(Numbers(compaction->inputs) == std::vector<uint64_t>{12, 11});
  CHECK(compaction->output_inputs.empty());
  // What lies over it stays in that level, and the rest goes on down.
  const auto beside = Make({{5, Describe(21, Name(3), Name(7), 5, 6)},
                            {5, Describe(22, Name(10), Name(12), 7, 8)},
                            {6, Describe(1, Name(0), Name(4))},
                            {6, Describe(2, Name(5), Name(9))},
                            {6, Describe(3, Name(10), Name(14))}});
  const auto down = PickCompaction(*beside, settings, running);
  REQUIRE(down.has_value());
  CHECK(Numbers(down->inputs) == std::vector<uint64_t>{22});
  CHECK(Numbers(down->output_inputs) == std::vector<uint64_t>{3});
}

TEST_CASE("over a table of level 0 that is set aside newer ones are merged with their likes, older ones go down") {
  std::vector<LevelTable> tables;
  for (uint64_t i = 1; i <= 3; ++i) tables.push_back({0, Describe(i, "a", "z", i, i)});
  RunningCompactions running;
  running.set_aside.insert(3);
  auto picked = PickCompaction(*Make(tables), kSettings, running);
  REQUIRE(picked.has_value());
  CHECK(picked->output_level == 6);
  CHECK(Numbers(picked->inputs) == std::vector<uint64_t>{2, 1});
  running.set_aside = {1};
  picked = PickCompaction(*Make(tables), kSettings, running);
  REQUIRE(picked.has_value());
  CHECK(picked->output_level == 0);
  CHECK_FALSE(picked->is_move);
  CHECK(Numbers(picked->inputs) == std::vector<uint64_t>{3, 2});
  CHECK(StuckInLevel0(*Make(tables), kSettings, running) == 3);
  // One that is as large as those before it together is merged with them, a larger one is not.
  tables = {{0, Describe(1, "a", "z", 1, 1)},
            {0, Describe(2, "a", "z", 2, 2, 8001)},
            {0, Describe(3, "a", "z", 3, 3, 4000)},
            {0, Describe(4, "a", "z", 4, 4, 2000)},
            {0, Describe(5, "a", "z", 5, 5, 2000)}};
  picked = PickCompaction(*Make(tables), kSettings, running);
  REQUIRE(picked.has_value());
  CHECK(Numbers(picked->inputs) == std::vector<uint64_t>{5, 4, 3});
  tables = {
      {0, Describe(1, "a", "z", 1, 1)}, {0, Describe(2, "a", "z", 2, 2, 8001)}, {0, Describe(3, "a", "z", 3, 3, 4000)}};
  CHECK_FALSE(PickCompaction(*Make(tables), kSettings, running).has_value());
}

TEST_CASE("on demand a range of a level is compacted, all of level 0, and nothing where nothing is") {
  std::vector<LevelTable> tables;
  Fill(&tables, 5, 4);
  Fill(&tables, 6, 4);
  tables.push_back({0, Describe(20, Name(0), Name(1), 5, 9)});
  tables.push_back({0, Describe(21, Name(18), Name(19), 10, 11)});
  const auto version = Make(tables);
  bool blocked = true;
  auto range = PickRange(*version, 5, 6, Spaced(Name(6)), Spaced(Name(11)), {}, &blocked);
  REQUIRE(range.has_value());
  CHECK_FALSE(blocked);
  CHECK(range->is_manual);
  CHECK(Numbers(range->inputs) == std::vector<uint64_t>{2, 3});
  CHECK(Numbers(range->output_inputs) == std::vector<uint64_t>{6, 7});
  range = PickRange(*version, 0, 5, Spaced(Name(0)), Spaced(Name(1)), {}, &blocked);
  REQUIRE(range.has_value());
  CHECK(Numbers(range->inputs) == std::vector<uint64_t>{21, 20});
  // Of very many the oldest.
  for (uint64_t number = 22; number < 22 + kLevel0InputsMax; ++number) {
    tables.push_back({0, Describe(number, Name(0), Name(1), number, number)});
  }
  range = PickRange(*Make(tables), 0, 5, Spaced(Name(0)), Spaced(Name(1)), {}, &blocked);
  REQUIRE(range.has_value());
  CHECK(range->inputs.size() == kLevel0InputsMax);
  CHECK(range->inputs.back()->info().number == 20);
  CHECK_FALSE(PickRange(*version, 5, 6, Spaced(Name(50)), {}, {}, &blocked).has_value());
  CHECK_FALSE(blocked);
  RunningCompactions running;
  running.tables.insert(7);
  CHECK_FALSE(PickRange(*version, 5, 6, Spaced(Name(6)), Spaced(Name(11)), running, &blocked).has_value());
  CHECK(blocked);
  blocked = false;
  const auto rewrite = PickRewrite(*version, 6, {}, Spaced(Name(4)), 100, running, &blocked);
  REQUIRE(rewrite.has_value());
  CHECK_FALSE(blocked);
  CHECK_FALSE(PickRewrite(*version, 6, {}, Spaced(Name(4)), 1, running, &blocked).has_value());
}

TEST_CASE("whatever runs, a compaction that is picked takes nothing of it, and all that overlaps") {
  size_t picked = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    base::Random random(seed);
    std::vector<LevelTable> tables;
    for (int level = 4; level <= 6; ++level) {
      for (uint64_t at = random.Uniform(9); at < 190; at += 1 + random.Uniform(4)) {
        const uint64_t last = at + random.Uniform(12);
        tables.push_back({level, Describe(tables.size() + 1, Name(at), Name(last))});
        at = last;
      }
    }
    tables.push_back({0, Describe(900, Name(random.Uniform(90)), Name(95 + random.Uniform(90)), 5, 9)});
    tables.push_back({0, Describe(901, Name(random.Uniform(90)), Name(95 + random.Uniform(90)), 10, 11)});
    const auto version = Make(tables);
    RunningCompactions running;
    for (std::optional<Compaction> next; (next = PickCompaction(*version, kSettings, running)); ++picked) {
      std::vector<TablePtr> all = next->inputs;
      all.insert(all.end(), next->output_inputs.begin(), next->output_inputs.end());
      REQUIRE_FALSE(running.Holds(all));
      for (const TablePtr& table : version->level(next->output_level)) {
        bool overlaps = false;
        for (const TablePtr& input : next->inputs) {
          overlaps |= KeyRangesOverlap(input->info().smallest, input->info().largest, table->info().smallest,
                                       table->info().largest);
        }
        const auto taken = Numbers(next->output_inputs);
        const bool is_taken = std::find(taken.begin(), taken.end(), table->info().number) != taken.end();
        if (overlaps) REQUIRE(is_taken);
      }
      running.Add(*next);
    }
  }
  CHECK(picked > 100);
}

TEST_CASE("what a table overlaps, and which rewrites least, is what a look at each of them finds") {
  base::Random random(11);
  // The upper one of the two is always too large.
  constexpr CompactionSettings settings{.level0_tables = 2, .level_base_bytes = 1, .table_bytes = 1000};
  // A level's tables, some of which end at a limit that is not theirs.
  const auto fill = [&random](std::vector<LevelTable>* tables, int level) {
    for (uint64_t at = random.Uniform(4); at < 60;) {
      const uint64_t last = at + random.Uniform(6);
      const bool exclusive = last > at && random.OneIn(3);
      const uint64_t number = tables->size() + 1;
      TableInfo info = exclusive ? DescribeUpTo(number, Name(at), Name(last)) : Describe(number, Name(at), Name(last));
      info.file_bytes = 1000 + random.Uniform(1000);
      tables->push_back({level, info});
      at = last + (exclusive ? 0 : 1) + random.Uniform(3);
    }
  };
  const auto overlap = [](const TableInfo& a, const TableInfo& b) {
    return KeyRangesOverlap(a.smallest, a.largest, b.smallest, b.largest);
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<LevelTable> tables;
    fill(&tables, 5);
    fill(&tables, 6);
    RunningCompactions running;
    running.set_aside.insert(1 + random.Uniform(tables.size()));
    const auto version = Make(tables);
    uint64_t least = UINT64_MAX;
    std::vector<uint64_t> best, overlapped;
    for (const TablePtr& table : version->level(5)) {
      if (running.set_aside.contains(table->info().number)) continue;
      std::vector<uint64_t> below;
      uint64_t bytes = 0;
      bool aside = false;
      for (const TablePtr& other : version->level(6)) {
        if (!overlap(table->info(), other->info())) continue;
        below.push_back(other->info().number);
        bytes += other->info().file_bytes;
        aside |= running.set_aside.contains(other->info().number);
      }
      const uint64_t ratio = bytes * 1024 / table->info().file_bytes;
      if (aside || ratio >= least) continue;
      least = ratio;
      best = {table->info().number};
      overlapped = below;
    }
    const auto compaction = PickCompaction(*version, settings, running);
    REQUIRE(compaction.has_value() == !best.empty());
    if (best.empty()) continue;
    CHECK(compaction->level == 5);
    CHECK(Numbers(compaction->inputs) == best);
    CHECK(Numbers(compaction->output_inputs) == overlapped);
  }
}

TEST_CASE("among tens of thousands of tables a pick looks at each of them once") {
  constexpr uint64_t kBelow = 60'000;
  constexpr uint64_t kOverlapped = 10;
  const auto describe = [](uint64_t number, uint64_t first, uint64_t last, uint64_t bytes) {
    return Describe(number, fmt::format("{:07}", first), fmt::format("{:07}", last), 1, 1, bytes);
  };
  std::vector<LevelTable> tables;
  for (uint64_t i = 0; i < kBelow; ++i) tables.push_back({6, describe(i + 1, 2 * i, 2 * i + 1, 1000)});
  for (uint64_t i = 0; i < kBelow / kOverlapped; ++i) {
    const uint64_t first = 2 * kOverlapped * i;
    tables.push_back({5, describe(kBelow + i + 1, first, first + 2 * kOverlapped - 1, 2000)});
  }
  const auto version = Make(tables);
  // With each table of the one level compared with each of the other this takes an hour.
  for (int i = 0; i < 100; ++i) {
    const auto compaction = PickCompaction(*version, {.level_base_bytes = 1, .table_bytes = 1000}, {});
    REQUIRE(compaction.has_value());
    REQUIRE(compaction->level == 5);
    REQUIRE(compaction->output_inputs.size() == kOverlapped);
  }
}

}  // namespace bandb::storage
