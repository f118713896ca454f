#include "storage/compaction/fifo_picker.h"

#include <memory>
#include <vector>

#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

namespace {

struct FifoPick {
  std::optional<Compaction> compaction;
  SpaceOutlook outlook;
  std::vector<uint64_t> inputs() const { return compaction ? Numbers(compaction->inputs) : std::vector<uint64_t>{}; }
};

FifoPick PickFrom(const std::vector<LevelTable>& tables, uint64_t bytes_max,
                  const std::vector<Sequence>& snapshots = {}, const RunningCompactions& running = {}) {
  CompactionSettings settings{.level0_tables = 4, .level_base_bytes = 100'000, .table_bytes = 10'000};
  settings.style = CompactionStyle::kFifo;
  settings.fifo_bytes_max = bytes_max;
  const auto version = MakeVersion(tables);
  REQUIRE_OK(version.status());
  FifoPick picked;
  const SnapshotHorizon horizon{
      .snapshots = snapshots, .newest_reader = snapshots.empty() ? 0 : snapshots.back(), .now_ms = 1};
  picked.compaction = PickFifo({**version, settings, running, horizon, 1}, &picked.outlook);
  return picked;
}

// 1000 bytes in level 0; the larger the number, the newer.
LevelTable Flushed(uint64_t number, uint64_t bytes = 1000) {
  return {0, Describe(number, "a", "z", number * 10, number * 10 + 9, bytes)};
}
// With entries of the system, and of users or without.
LevelTable WithSystems(uint64_t number, bool with_users) {
  LevelTable table = Flushed(number);
  table.info.smallest = MakeInternalKey(MakeSpacedKey(Space::kSystem, "c"), MakeTrailer(number * 10 + 9, Kind::kPut));
  if (!with_users) table.info.largest = table.info.smallest;
  return table;
}

using NumberList = std::vector<uint64_t>;

}  // namespace

TEST_CASE("the oldest tables are dropped, as many as are too much") {
  const std::vector<LevelTable> tables = {Flushed(1), Flushed(2), Flushed(3), Flushed(4)};
  CHECK(PickFrom(tables, 0).inputs().empty());
  CHECK(PickFrom(tables, 4000).inputs().empty());
  const FifoPick one = PickFrom(tables, 3999);
  REQUIRE(one.inputs() == NumberList{1});
  CHECK(one.compaction->is_drop);
  CHECK(one.compaction->forgets);
  CHECK(PickFrom(tables, 2000).inputs() == NumberList{1, 2});
}

TEST_CASE("what lies lowest goes first, and what others lie over never before it") {
  const std::vector<LevelTable> tables = {Flushed(9),
                                          Flushed(8),
                                          {5, Describe(3, "a", "c", 5, 8)},
                                          {6, Describe(1, "a", "b", 3, 4)},
                                          {6, Describe(2, "c", "d", 1, 2)}};
  CHECK(PickFrom(tables, 4000).inputs() == NumberList{2});
  CHECK(PickFrom(tables, 3500).inputs() == NumberList{2, 1});
  // A level at a time.
  CHECK(PickFrom(tables, 500).inputs() == NumberList{2, 1});
  CHECK(PickFrom({Flushed(9), Flushed(8), {5, Describe(3, "a", "c", 5, 8)}}, 500).inputs() == NumberList{3});
}

TEST_CASE("what a snapshot sees stays, and all that is newer") {
  const std::vector<LevelTable> tables = {Flushed(1), Flushed(2), Flushed(3)};
  const FifoPick held = PickFrom(tables, 1000, {12});
  CHECK(held.inputs().empty());
  CHECK(held.outlook.waits_for_snapshot);
  CHECK(held.outlook.forgets);
  CHECK_FALSE(PickFrom(tables, 3000, {12}).outlook.forgets);
  CHECK(PickFrom(tables, 1000, {25}).inputs().empty());
  // One from before all that is there sees nothing of it.
  CHECK(PickFrom(tables, 1000, {9}).inputs() == NumberList{1, 2});
}

TEST_CASE("what the system has written is not forgotten: its table is rewritten, with what was left of earlier ones") {
  const FifoPick first = PickFrom({Flushed(1), WithSystems(2, true), Flushed(3)}, 1000);
  REQUIRE(first.inputs() == NumberList{2, 1});
  CHECK(first.compaction->forgets);
  CHECK_FALSE(first.compaction->is_drop);
  // Nothing is gained by what holds nothing else.
  CHECK(PickFrom({WithSystems(1, false), Flushed(2)}, 2000).inputs().empty());
  CHECK(PickFrom({WithSystems(1, false), Flushed(2)}, 1500).inputs() == NumberList{2});
  CHECK(PickFrom({WithSystems(1, false), WithSystems(2, true), Flushed(3)}, 2500).inputs() == NumberList{2, 1});
  // In a level below 0 one at a time.
  LevelTable low = WithSystems(1, true);
  low.level = 6;
  low.info.largest = Key("c", 10);
  const LevelTable beside{6, Describe(2, "d", "e", 12, 13)};
  CHECK(PickFrom({Flushed(9), low, beside}, 1500).inputs() == NumberList{2});
  CHECK(PickFrom({Flushed(9), low}, 1500).inputs() == NumberList{1});
}

TEST_CASE("what is damaged is dropped like the rest, and what is being joined waits") {
  const std::vector<LevelTable> tables = {Flushed(1), Flushed(2), Flushed(3)};
  RunningCompactions running;
  running.set_aside = {1};
  CHECK(PickFrom(tables, 2000, {}, running).inputs() == NumberList{1});
  running = {};
  running.tables = {1};
  CHECK(PickFrom(tables, 1000, {}, running).inputs().empty());
  running.tables = {2};
  CHECK(PickFrom(tables, 1000, {}, running).inputs() == NumberList{1});
}

TEST_CASE("what is damaged is not rewritten: those that need no rewriting go, and what has no users' entries stays") {
  RunningCompactions running;
  running.set_aside = {1};
  // Dropped, and then the other one is rewritten.
  const FifoPick dropped = PickFrom({Flushed(1), WithSystems(2, true), Flushed(3)}, 1000, {}, running);
  REQUIRE(dropped.inputs() == NumberList{1});
  CHECK(dropped.compaction->is_drop);
  CHECK(PickFrom({WithSystems(1, false), WithSystems(2, true), Flushed(3)}, 2500, {}, running).inputs() ==
        NumberList{2});
  // With entries of both it stays, and so does all that is newer.
  CHECK(PickFrom({WithSystems(1, true), Flushed(2), Flushed(3)}, 1000, {}, running).inputs().empty());
  running.set_aside = {2};
  CHECK(PickFrom({Flushed(1), WithSystems(2, true), Flushed(3)}, 1000, {}, running).inputs() == NumberList{1});
  const FifoPick rewritten = PickFrom({WithSystems(1, true), Flushed(2), Flushed(3)}, 1000, {}, running);
  REQUIRE(rewritten.inputs() == NumberList{1});
  CHECK_FALSE(rewritten.compaction->is_drop);
  CHECK(PickFrom({WithSystems(1, true), WithSystems(2, false), WithSystems(3, true), Flushed(4)}, 1000, {}, running)
            .inputs() == NumberList{1});
  running.set_aside = {1, 2};
  CHECK(PickFrom({WithSystems(1, false), WithSystems(2, true), Flushed(3)}, 500, {}, running).inputs().empty());
}

TEST_CASE("many small neighbours are joined, up to the size of a table") {
  std::vector<LevelTable> tables;
  for (uint64_t number = 1; number < kSmallTablesMin; ++number) tables.push_back(Flushed(number));
  CHECK(PickFrom(tables, 0).inputs().empty());
  tables.push_back(Flushed(kSmallTablesMin));
  const FifoPick joined = PickFrom(tables, 0);
  CHECK(joined.inputs().size() == kSmallTablesMin);
  CHECK_FALSE(joined.compaction->forgets);
  CHECK(joined.compaction->output_level == 0);
  // Not with one that is larger than all others, nor beyond the size of a table.
  tables.front() = Flushed(1, 8000);
  CHECK(PickFrom(tables, 0).inputs().empty());
  for (LevelTable& table : tables) table.info.file_bytes = 2000;
  CHECK(PickFrom(tables, 0).inputs().empty());
  // Nor beyond an eighth of what may be there, which would then go all at once.
  for (LevelTable& table : tables) table.info.file_bytes = 500;
  CHECK(PickFrom(tables, 8 * 500 * kSmallTablesMin).inputs().size() == kSmallTablesMin);
  CHECK(PickFrom(tables, 8 * 500 * kSmallTablesMin - 1).inputs().empty());
}

}  // namespace bandb::storage
