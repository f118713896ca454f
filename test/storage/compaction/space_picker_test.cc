#include "storage/compaction/space_picker.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

namespace {

constexpr CompactionSettings kSettings{.level0_tables = 4, .level_base_bytes = 100'000, .table_bytes = 10'000};
constexpr uint64_t kNowMs = 1000;

struct Waste {
  uint64_t deletes = 0;
  uint64_t hidden = 0;
  uint64_t expired_at_ms = UINT64_MAX;
};

// A table of 100 entries and 1000 bytes.
TableInfo Wasteful(uint64_t number, std::string_view first, std::string_view last, const Waste& waste,
                   Sequence smallest = 1, Sequence largest = 100) {
  TableInfo info = Describe(number, first, last, smallest, largest);
  info.entries = 100;
  info.deletes = waste.deletes;
  info.space = {.hidden = waste.hidden, .expired_at_ms = waste.expired_at_ms};
  return info;
}

struct Picked {
  std::optional<Compaction> compaction;
  SpaceOutlook outlook;
  std::vector<uint64_t> inputs() const { return compaction ? Numbers(compaction->inputs) : std::vector<uint64_t>{}; }
};

Picked Pick(const std::vector<LevelTable>& tables, const std::vector<Sequence>& snapshots = {},
            const RunningCompactions& running = {}, uint64_t horizon_ms = kNowMs) {
  const auto version = MakeVersion(tables);
  REQUIRE_OK(version.status());
  Picked picked;
  const SnapshotHorizon horizon{.snapshots = snapshots, .now_ms = horizon_ms};
  picked.compaction = PickForSpace({**version, kSettings, running, horizon, kNowMs}, &picked.outlook);
  return picked;
}

using NumberList = std::vector<uint64_t>;

}  // namespace

TEST_CASE("a table is rewritten where it is once a quarter of it is waste, and no snapshot keeps that") {
  CHECK_FALSE(Pick({{6, Wasteful(1, "a", "c", {})}}).compaction.has_value());
  CHECK_FALSE(Pick({{6, Wasteful(1, "a", "c", {.deletes = 24})}}).compaction.has_value());
  CHECK_FALSE(Pick({{6, Wasteful(1, "a", "c", {.hidden = 24})}}).compaction.has_value());
  const Picked picked = Pick({{6, Wasteful(1, "a", "c", {.deletes = 13, .hidden = 12})}});
  REQUIRE(picked.inputs() == NumberList{1});
  CHECK(picked.compaction->level == 6);
  CHECK(picked.compaction->output_level == 6);
  CHECK(picked.compaction->Rewrites());
  // Deletes have to stay where something lies below; what is hidden has not.
  CHECK(Pick({{5, Wasteful(1, "a", "c", {.hidden = 25})}, {6, Describe(2, "b", "b")}}).inputs() == NumberList{1});
  RunningCompactions running;
  running.set_aside.insert(1);
  CHECK_FALSE(Pick({{6, Wasteful(1, "a", "c", {.hidden = 50})}}, {}, running).compaction.has_value());
}

TEST_CASE("what a snapshot keeps waits for its end") {
  const std::vector<LevelTable> hidden = {{6, Wasteful(1, "a", "c", {.hidden = 50}, 10, 20)}};
  const std::vector<LevelTable> deleted = {{6, Wasteful(1, "a", "c", {.deletes = 50}, 10, 20)}};
  for (const Sequence snapshot : {10, 15, 19}) {
    for (const auto& tables : {hidden, deleted}) {
      const Picked picked = Pick(tables, {snapshot});
      CHECK_FALSE(picked.compaction.has_value());
      CHECK(picked.outlook.waits_for_snapshot);
    }
  }
  // One that sees all of the table tells nothing in it apart.
  CHECK(Pick(hidden, {20}).inputs() == NumberList{1});
  CHECK(Pick(deleted, {20}).inputs() == NumberList{1});
  // One that sees nothing of it would see what is deleted in it.
  CHECK(Pick(hidden, {9}).inputs() == NumberList{1});
  CHECK_FALSE(Pick(deleted, {9}).compaction.has_value());
}

TEST_CASE("what has expired is rewritten then, and the outlook says when") {
  CHECK(Pick({{6, Wasteful(1, "a", "c", {.expired_at_ms = kNowMs})}}).inputs() == NumberList{1});
  const Picked later = Pick({{5, Wasteful(1, "a", "c", {.expired_at_ms = kNowMs + 7})},
                             {6, Wasteful(2, "a", "c", {.expired_at_ms = kNowMs + 5})}});
  CHECK_FALSE(later.compaction.has_value());
  CHECK(later.outlook.next_expiry_ms == kNowMs + 5);
  CHECK_FALSE(later.outlook.waits_for_snapshot);
  // For a snapshot it has not.
  const Picked held = Pick({{6, Wasteful(1, "a", "c", {.expired_at_ms = kNowMs})}}, {500}, {}, kNowMs - 1);
  CHECK_FALSE(held.compaction.has_value());
  CHECK(held.outlook.waits_for_snapshot);
  CHECK(held.outlook.next_expiry_ms == UINT64_MAX);
}

TEST_CASE("deletes sink where that gives back a quarter of what it rewrites") {
  // 100 deletes over 100 entries: all of 2000 bytes.
  std::vector<LevelTable> tables = {{0, Wasteful(1, "a", "z", {.deletes = 100}, 101, 200)},
                                    {6, Wasteful(2, "a", "z", {})}};
  const Picked picked = Pick(tables);
  REQUIRE(picked.inputs() == NumberList{1});
  CHECK(picked.compaction->output_level == 6);
  CHECK(Numbers(picked.compaction->output_inputs) == NumberList{2});
  CHECK_FALSE(picked.compaction->is_manual);
  CHECK_FALSE(Pick(tables, {150}).compaction.has_value());
  CHECK(Pick(tables, {150}).outlook.waits_for_snapshot);
  // 100 deletes over 900 entries: 1000 bytes of 10,000.
  tables.pop_back();
  for (int i = 0; i < 9; ++i) {
    const std::string key(1, static_cast<char>('b' + i));
    TableInfo info = Wasteful(10 + static_cast<uint64_t>(i), key, key + "z", {});
    info.file_bytes = 9000;
    info.entries = 900;
    tables.push_back({6, info});
  }
  CHECK_FALSE(Pick(tables).compaction.has_value());
  // With nothing in the way they move, and are rewritten there.
  tables.resize(1);
  const Picked moved = Pick(tables);
  REQUIRE(moved.inputs() == NumberList{1});
  CHECK(moved.compaction->is_move);
}

TEST_CASE("eight small neighbours become one table, unless one of them outweighs the rest") {
  std::vector<LevelTable> tables;
  for (uint64_t i = 0; i < 8; ++i) {
    tables.push_back({6, Describe(i + 1, fmt::format("{:02}", i), fmt::format("{:02}", i), 1, 1, 100)});
  }
  CHECK(Pick(tables).inputs().size() == 8);
  tables[3].info.file_bytes = 700;
  CHECK(Pick(tables).inputs().size() == 8);
  tables[3].info.file_bytes = 701;
  CHECK_FALSE(Pick(tables).compaction.has_value());
  tables[3].info.file_bytes = 100;
  RunningCompactions running;
  running.set_aside.insert(5);
  CHECK_FALSE(Pick(tables, {}, running).compaction.has_value());
  // Together they would be larger than a table.
  for (LevelTable& table : tables) table.info.file_bytes = 1300;
  CHECK_FALSE(Pick(tables).compaction.has_value());
}

TEST_CASE("tables are dropped that a range delete above covers, down to the last level, and no others") {
  TableFolder folder;
  const auto covering = [&](const std::vector<RangeTombstone>& tombstones) {
    const TablePtr table = folder.Write({}, tombstones);
    REQUIRE_OK(table->Reader().status());
    return table;
  };
  const auto pick = [&](const TablePtr& top, const std::vector<Sequence>& snapshots, SpaceOutlook* outlook) {
    VersionEdit edit;
    std::vector<TablePtr> added = {top};
    edit.added.push_back({5, top->info()});
    const std::vector<TableInfo> below = {Wasteful(101, "a", "b", {}),      Wasteful(102, "bz", "c", {}),
                                          Wasteful(103, "ca", "e", {}, 10), Wasteful(104, "f", "g", {}, 20),
                                          DescribeUpTo(105, "h", "m"),      Wasteful(106, "m", "n", {})};
    for (const TableInfo& info : below) {
      edit.added.push_back({6, info});
      added.push_back(std::make_shared<LiveTable>(info, nullptr));
    }
    const auto version = Version().Apply(edit, added);
    REQUIRE_OK(version.status());
    return PickForSpace({**version, kSettings, {}, {.snapshots = snapshots, .now_ms = kNowMs}, kNowMs}, outlook);
  };
  SpaceOutlook outlook;
  auto picked = pick(covering({{Spaced("c"), Spaced("m"), 500}}), {}, &outlook);
  REQUIRE(picked.has_value());
  CHECK(picked->is_drop);
  CHECK(Numbers(picked->inputs) == NumberList{103, 104, 105});
  // A snapshot that sees entries and not the range delete keeps their tables.
  picked = pick(covering({{Spaced("c"), Spaced("m"), 500}}), {15}, &outlook);
  REQUIRE(picked.has_value());
  CHECK(Numbers(picked->inputs) == NumberList{104});
  CHECK(outlook.waits_for_snapshot);
  picked = pick(covering({{Spaced("c"), Spaced("m"), 500}}), {500}, &outlook);
  REQUIRE(picked.has_value());
  CHECK(picked->inputs.size() == 3);
  // Of range deletes that meet, those count that cover the table.
  const std::vector<RangeTombstone> two = {{Spaced("c"), Spaced("m"), 50}, {Spaced("f"), Spaced("m"), 500}};
  picked = pick(covering(two), {}, &outlook);
  REQUIRE(picked.has_value());
  CHECK(Numbers(picked->inputs) == NumberList{104, 105});
  picked = pick(covering(two), {400}, &outlook);
  CHECK(outlook.waits_for_snapshot);
  REQUIRE(picked.has_value());
  // At the snapshot, the other range delete covers this one.
  CHECK(Numbers(picked->inputs) == NumberList{105});
  // A table over which range deletes meet goes once the oldest snapshot that sees it sees all of
  // them.
  for (const Sequence snapshot : {199, 200, 499, 500}) {
    CAPTURE(snapshot);
    const TablePtr meeting =
        covering({{Spaced("c"), Spaced("i"), 200}, {Spaced("i"), Spaced("l"), 500}, {Spaced("l"), Spaced("m"), 200}});
    picked = pick(meeting, {snapshot}, &outlook);
    const bool sees_first = snapshot >= 200, sees_all = snapshot >= 500;
    CHECK((picked && picked->is_drop) == sees_first);
    if (sees_first) CHECK(Numbers(picked->inputs) == (sees_all ? NumberList{103, 104, 105} : NumberList{103, 104}));
    if (!sees_all) CHECK(outlook.waits_for_snapshot);
  }
  // Newer entries are not covered.
  picked = pick(covering({{Spaced("c"), Spaced("m"), 100}}), {}, &outlook);
  CHECK((!picked || Numbers(picked->inputs) == NumberList{105}));
}

TEST_CASE("a table is dropped where no reader sees anything of it, now or at a snapshot") {
  constexpr uint64_t kLetters = 8;
  TableFolder folder;
  base::Random random(1);
  // Keys in order: letters, and between each and the next one more.
  const auto key_at = [](uint64_t place) {
    return std::string(1, static_cast<char>('a' + place / 2)) + (place % 2 == 0 ? "" : "5");
  };
  int drops = 0, waits = 0;
  for (int round = 0; round < 2000; ++round) {
    CAPTURE(round);
    std::vector<RangeTombstone> tombstones;
    for (uint64_t left = 1 + random.Uniform(4); left > 0; --left) {
      const uint64_t begin = random.Uniform(kLetters), limit = begin + 1 + random.Uniform(kLetters - begin);
      tombstones.push_back({Spaced(key_at(2 * begin)), Spaced(key_at(2 * limit)), 10 * left + random.Uniform(10)});
    }
    const TablePtr top = folder.Write({}, tombstones);
    REQUIRE_OK(top->Reader().status());
    const uint64_t first = random.Uniform(2 * kLetters), last = first + random.Uniform(2 * kLetters - first);
    const Sequence smallest = 1 + random.Uniform(15), largest = smallest + random.Uniform(10);
    const TableInfo below = Wasteful(1000000, key_at(first), key_at(last), {}, smallest, largest);
    std::set<Sequence> snapshots;
    for (uint64_t left = random.Uniform(4); left > 0; --left) snapshots.insert(random.Uniform(45));

    const auto is_deleted_at = [&](Sequence snapshot) {
      for (uint64_t place = first; place <= last; ++place) {
        const std::string key = Spaced(key_at(place));
        const bool covered = std::any_of(tombstones.begin(), tombstones.end(), [&](const RangeTombstone& tombstone) {
          return tombstone.begin <= key && key < tombstone.limit && tombstone.sequence > largest &&
                 tombstone.sequence <= snapshot;
        });
        if (!covered) return false;
      }
      return true;
    };
    const bool gone_now = is_deleted_at(kSequenceMax);
    const bool gone = gone_now && std::all_of(snapshots.begin(), snapshots.end(), [&](Sequence snapshot) {
                        return snapshot < smallest || is_deleted_at(snapshot);
                      });

    VersionEdit edit;
    edit.added = {{5, top->info()}, {6, below}};
    const auto version = Version().Apply(edit, {top, std::make_shared<LiveTable>(below, nullptr)});
    REQUIRE_OK(version.status());
    const SnapshotHorizon horizon{.snapshots = {snapshots.begin(), snapshots.end()}, .now_ms = kNowMs};
    SpaceOutlook outlook;
    const auto picked = PickForSpace({**version, kSettings, {}, horizon, kNowMs}, &outlook);
    REQUIRE((picked && picked->is_drop) == gone);
    if (gone) CHECK(Numbers(picked->inputs) == NumberList{below.number});
    if (gone_now && !gone) CHECK(outlook.waits_for_snapshot);
    drops += gone ? 1 : 0;
    waits += gone_now && !gone ? 1 : 0;
  }
  // Both happened.
  CHECK(drops > 100);
  CHECK(waits > 50);
}

}  // namespace bandb::storage
