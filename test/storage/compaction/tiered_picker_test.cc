#include "storage/compaction/tiered_picker.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "base/random.h"
#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

namespace {

CompactionSettings Tiered(int runs) {
  CompactionSettings settings{.level0_tables = runs, .level_base_bytes = 100'000, .table_bytes = 10'000};
  settings.style = CompactionStyle::kTiered;
  return settings;
}

std::shared_ptr<const Version> Runs(const std::vector<LevelTable>& tables) {
  auto version = MakeVersion(tables);
  REQUIRE_OK(version.status());
  return *std::move(version);
}

std::vector<uint64_t> PickedNumbers(const std::optional<Compaction>& picked) {
  std::vector<uint64_t> numbers;
  if (!picked) return numbers;
  for (const Compaction::Source& source : picked->Sources()) {
    for (const uint64_t number : Numbers(source.tables)) numbers.push_back(number);
  }
  return numbers;
}

// A table of level 0; the larger the number, the newer it is.
LevelTable Newer(uint64_t number, uint64_t bytes) {
  return {0, Describe(number, "a", "z", number * 10, number * 10 + 9, bytes)};
}

using NumberList = std::vector<uint64_t>;

// What flushes and compactions make of a database, without entries: each merge keeps so many
// percent of its bytes.
struct Stack {
  explicit Stack(const CompactionSettings& with) : settings(with) {}

  void Flush(uint64_t bytes) {
    ++number;
    Apply({}, {0, Describe(number, "a", "z", number * 10, number * 10 + 9, bytes)});
    flushed += bytes;
  }
  // Everything that is picked, one after the other.
  void Rest(uint64_t kept_percent) {
    while (const auto picked = PickTiered(*version, settings, running)) {
      VersionEdit edit;
      TableInfo merged = Describe(++number, "a", "z", kSequenceMax, 0, 0);
      for (const Compaction::Source& source : picked->Sources()) {
        for (const TablePtr& table : source.tables) {
          edit.deleted.push_back({source.level, table->info().number});
          merged.smallest_sequence = std::min(merged.smallest_sequence, table->info().smallest_sequence);
          merged.largest_sequence = std::max(merged.largest_sequence, table->info().largest_sequence);
          merged.file_bytes += table->info().file_bytes;
        }
      }
      merged.file_bytes = std::max<uint64_t>(merged.file_bytes * kept_percent / 100, 1);
      rewritten += merged.file_bytes;
      REQUIRE(picked->Sources().size() + picked->inputs.size() > 2);
      Apply(std::move(edit), {picked->output_level, merged});
    }
  }
  void Apply(VersionEdit edit, const LevelTable& added) {
    edit.added.push_back({added.level, added.info});
    auto next = version->Apply(edit, {std::make_shared<LiveTable>(added.info, nullptr)});
    REQUIRE_OK(next.status());
    version = *std::move(next);
  }
  // The newest first.
  std::vector<TableInfo> RunsNow() const {
    std::vector<TableInfo> runs;
    for (int level = 0; level < kLevels; ++level) {
      for (const TablePtr& table : version->level(level)) runs.push_back(table->info());
    }
    return runs;
  }

  const CompactionSettings settings;
  RunningCompactions running;
  std::shared_ptr<const Version> version = std::make_shared<Version>();
  uint64_t number = 0;
  uint64_t flushed = 0;
  uint64_t rewritten = 0;
};

}  // namespace

TEST_CASE("at rest there are few runs, in the order of their age, and the newer ones are small beside the oldest") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    base::Random random(seed);
    const int trigger = static_cast<int>(1 + random.Uniform(12));
    Stack stack(Tiered(trigger));
    for (int i = 0; i < 300; ++i) {
      stack.Flush(1 + random.Uniform(random.OneIn(4) ? 100'000 : 5'000));
      if (random.OneIn(3)) continue;
      stack.Rest(random.OneIn(2) ? 100 : 20 + random.Uniform(80));
      const std::vector<TableInfo> runs = stack.RunsNow();
      REQUIRE(runs.size() < kRunsOfEach * static_cast<size_t>(trigger));
      uint64_t newer = 0;
      for (size_t at = 0; at + 1 < runs.size(); ++at) {
        REQUIRE(runs[at].smallest_sequence > runs[at + 1].largest_sequence);
        newer += runs[at].file_bytes;
      }
      REQUIRE(newer <= kNewerBytesMax * runs.back().file_bytes);
    }
  }
}

TEST_CASE("each byte is rewritten a few times, fewer where more runs may be") {
  double before = 10;
  for (const int trigger : {2, 4, 8}) {
    Stack stack(Tiered(trigger));
    for (int i = 0; i < 1000; ++i) {
      stack.Flush(1000);
      stack.Rest(100);
    }
    const double times = static_cast<double>(stack.rewritten) / static_cast<double>(stack.flushed);
    CAPTURE(trigger, times);
    CHECK(times < before);
    before = times;
  }
  CHECK(before < 5);
}

TEST_CASE("runs of about one size are merged into the lowest level above the next older one") {
  const LevelTable oldest{6, Describe(1, "a", "z", 1, 1, 500)};
  // Two of a size are not three.
  CHECK(PickedNumbers(PickTiered(*Runs({Newer(9, 10), Newer(8, 10), Newer(7, 90), oldest}), Tiered(3), {})).empty());
  const auto picked = PickTiered(*Runs({Newer(9, 10), Newer(8, 10), Newer(7, 15), oldest}), Tiered(3), {});
  CHECK(PickedNumbers(picked) == NumberList{9, 8, 7});
  CHECK(picked->output_level == 5);
  CHECK_FALSE(picked->is_move);
  // Where an older table of level 0 stays, what is merged stays there, too.
  const auto within = PickTiered(*Runs({Newer(9, 10), Newer(8, 10), Newer(7, 15), Newer(6, 999)}), Tiered(3), {});
  CHECK(PickedNumbers(within) == NumberList{9, 8, 7});
  CHECK(within->output_level == 0);
  // Whole levels are runs.
  const auto levels =
      PickTiered(*Runs({Newer(9, 10), Newer(8, 10), {4, Describe(3, "a", "c", 1, 1, 15)}, oldest}), Tiered(3), {});
  CHECK(PickedNumbers(levels) == NumberList{9, 8, 3});
  CHECK(levels->output_level == 5);
  REQUIRE(levels->between.size() == 1);
  CHECK(levels->between[0].level == 4);
}

TEST_CASE("where runs are too many, those that are the most alike are merged") {
  const std::vector<LevelTable> tables = {Newer(9, 1),
                                          Newer(8, 5),
                                          Newer(7, 20),
                                          Newer(6, 50),
                                          Newer(5, 120),
                                          Newer(4, 600),
                                          {6, Describe(1, "a", "z", 1, 1, 9000)}};
  // Fewer than three times three.
  CHECK_FALSE(PickTiered(*Runs(tables), Tiered(3), {}).has_value());
  const auto picked = PickTiered(*Runs({tables.begin() + 1, tables.end()}), Tiered(2), {});
  CHECK(PickedNumbers(picked) == NumberList{6, 5});
  // One more is too many by two.
  const auto more = PickTiered(*Runs(tables), Tiered(2), {});
  CHECK(PickedNumbers(more) == NumberList{7, 6, 5});
}

TEST_CASE("too much above the oldest run has all merged, once nothing else runs") {
  const auto version =
      Runs({Newer(9, 10), Newer(8, 10), {5, Describe(3, "a", "c", 1, 1, 150)}, {6, Describe(1, "b", "z", 1, 1, 80)}});
  const auto all = PickTiered(*version, Tiered(16), {});
  CHECK(PickedNumbers(all) == NumberList{9, 8, 3, 1});
  CHECK(all->output_level == 6);
  RunningCompactions running;
  running.tables = {8};
  CHECK_FALSE(PickTiered(*version, Tiered(16), running).has_value());
  running.tables = {9};
  CHECK_FALSE(PickTiered(*version, Tiered(16), running).has_value());
}

TEST_CASE("runs that are disjoint move down as they are") {
  const auto version = Runs({{0, Describe(4, "g", "h", 7, 8, 10)},
                             {0, Describe(3, "e", "f", 5, 6, 10)},
                             {0, Describe(2, "c", "d", 3, 4, 10)},
                             {0, Describe(1, "a", "b", 1, 2, 10)}});
  const auto picked = PickTiered(*version, Tiered(2), {});
  REQUIRE(picked.has_value());
  CHECK(picked->is_move);
  CompactionSettings recompressing = Tiered(2);
  recompressing.recompresses_last_level = true;
  CHECK_FALSE(PickTiered(*version, recompressing, {})->is_move);
}

TEST_CASE("a run that is set aside stays, and those on both sides of it are merged apart") {
  Stack stack(Tiered(3));
  for (int i = 0; i < 3; ++i) stack.Flush(1000);
  stack.running.set_aside = {2};
  for (int i = 0; i < 40; ++i) {
    stack.Flush(1000);
    stack.Rest(100);
    const std::vector<TableInfo> runs = stack.RunsNow();
    REQUIRE(runs.size() < kRunsOfEach * 3 + 2);
    REQUIRE(std::any_of(runs.begin(), runs.end(), [](const TableInfo& run) { return run.number == 2; }));
    for (size_t at = 0; at + 1 < runs.size(); ++at) {
      REQUIRE(runs[at].smallest_sequence > runs[at + 1].largest_sequence);
    }
  }
}

TEST_CASE("very many runs are merged in parts, the oldest first") {
  std::vector<LevelTable> tables;
  for (uint64_t number = 1; number <= 300; ++number) tables.push_back(Newer(number, 1000));
  const auto picked = PickTiered(*Runs(tables), Tiered(4), {});
  REQUIRE(picked.has_value());
  CHECK(picked->inputs.size() == kLevel0InputsMax);
  CHECK(picked->inputs.back()->info().number == 1);
  CHECK(picked->output_level == 6);
}

}  // namespace bandb::storage
