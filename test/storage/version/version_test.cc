#include "storage/version/version.h"

#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

TEST_CASE("level 0 is newest first, the levels below in the order of their keys") {
  const auto version = MakeVersion({{0, Describe(1, "a", "z", 1, 5)},
                                    {0, Describe(2, "b", "y", 6, 9)},
                                    {2, Describe(3, "m", "p")},
                                    {2, Describe(4, "a", "c")},
                                    {2, Describe(5, "q", "r", 1, 1, 500)}});
  REQUIRE_OK(version.status());
  CHECK(Numbers((*version)->level(0)) == std::vector<uint64_t>{2, 1});
  CHECK(Numbers((*version)->level(2)) == std::vector<uint64_t>{4, 3, 5});
  CHECK((*version)->LevelBytes(2) == 2500);
  CHECK((*version)->TableCount() == 5);
  CHECK((*version)->RangeTombstoneTables().empty());
}

TEST_CASE("an edit that does not fit is refused as data loss, and the version stays as it was") {
  const auto version = MakeVersion({{0, Describe(1, "a", "z", 5, 9)}, {1, Describe(2, "c", "f")}});
  REQUIRE_OK(version.status());
  VersionEdit edit;
  edit.deleted.push_back({1, 1});
  CHECK_CODE((*version)->Apply(edit, {}).status(), kDataLoss);                           // it is in another level
  CHECK_CODE(MakeVersion({{2, Describe(2, "x", "y")}}, **version).status(), kDataLoss);  // twice
  CHECK_CODE(MakeVersion({{1, Describe(3, "f", "h")}}, **version).status(), kDataLoss);  // overlaps
  CHECK_CODE(MakeVersion({{1, Describe(3, "a", "c")}}, **version).status(), kDataLoss);  // overlaps
  CHECK_CODE(MakeVersion({{0, Describe(3, "a", "b", 9, 12)}}, **version).status(), kDataLoss);  // sequences overlap
  CHECK_OK(MakeVersion({{1, Describe(3, "g", "h")}}, **version).status());
  CHECK_OK(MakeVersion({{0, Describe(3, "a", "b", 10, 12)}}, **version).status());
  CHECK((*version)->TableCount() == 2);
  edit.deleted = {{0, 1}};
  const auto without = (*version)->Apply(edit, {});
  REQUIRE_OK(without.status());
  CHECK((*without)->TableCount() == 1);
}

TEST_CASE("a table that ends with a range tombstone does not hold the limit") {
  const auto version = MakeVersion({{1, DescribeUpTo(1, "a", "f")}, {1, Describe(2, "f", "h")}});
  REQUIRE_OK(version.status());
  CHECK((*version)->RangeTombstoneTables().size() == 1);
  CHECK(Numbers((*version)->Overlapping(1, Spaced("f"), Spaced("g"))) == std::vector<uint64_t>{2});
  CHECK(Numbers((*version)->Overlapping(1, Spaced("e"), Spaced("f"))) == std::vector<uint64_t>{1, 2});
  CHECK((*version)->HasKeyBelow(0, Spaced("e")));
  const TableInfo first = DescribeUpTo(1, "a", "f"), second = Describe(2, "f", "h");
  CHECK_FALSE(KeyRangesOverlap(first.smallest, first.largest, second.smallest, second.largest));
  CHECK_FALSE(KeyRangesOverlap(second.smallest, second.largest, first.smallest, first.largest));
  const TableInfo touching = Describe(3, "a", "f");
  CHECK(KeyRangesOverlap(touching.smallest, touching.largest, second.smallest, second.largest));
}

TEST_CASE("a version answers where keys may be as a look at every table does") {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    base::Random random(seed);
    // Disjoint tables over a line of 60 keys, in two levels.
    std::vector<LevelTable> tables;
    const auto name = [](uint64_t at) { return fmt::format("{:02}", at); };
    for (int level = 2; level <= 4; level += 2) {
      for (uint64_t at = random.Uniform(5); at < 55; at += 2 + random.Uniform(8)) {
        const uint64_t last = at + random.Uniform(5);
        const uint64_t number = tables.size() + 1;
        tables.push_back({level, random.OneIn(3) ? DescribeUpTo(number, name(at), name(last + 1))
                                                 : Describe(number, name(at), name(last))});
        at = last;
      }
    }
    const auto made = MakeVersion(tables);
    REQUIRE_OK(made.status());
    const Version& version = **made;
    const auto holds = [](const TableInfo& info, const std::string& key) {
      const bool exclusive = TrailerSequence(Trailer(info.largest)) == kSequenceMax;
      return SpacedKey(info.smallest) <= key &&
             (exclusive ? key < SpacedKey(info.largest) : key <= SpacedKey(info.largest));
    };
    for (uint64_t at = 0; at < 60; ++at) {
      const std::string key = Spaced(name(at));
      for (int level = 0; level < kLevels; ++level) {
        bool below = false;
        std::vector<uint64_t> here;
        for (const LevelTable& table : tables) {
          if (!holds(table.info, key)) continue;
          below |= table.level > level;
          if (table.level == level) here.push_back(table.info.number);
        }
        REQUIRE(version.HasKeyBelow(level, key) == below);
        REQUIRE(version.HasRangeBelow(level, key, key + '\0') == below);
        REQUIRE(Numbers(version.Overlapping(level, key, key)) == here);
        const size_t found = Version::FindTable(version.level(level), SeekKey(name(at)));
        if (!here.empty()) REQUIRE(version.level(level)[found]->info().number == here[0]);
      }
    }
  }
}

TEST_CASE("the tables of a range are those that a look at each of them finds") {
  base::Random random(7);
  for (int round = 0; round < 100; ++round) {
    std::vector<LevelTable> tables;
    // Each begins where the one before ended, or at its limit, or later.
    for (uint64_t at = random.Uniform(3); at < 40;) {
      const uint64_t last = at + random.Uniform(5);
      const std::string first = fmt::format("{:02}", at);
      const bool exclusive = last > at && random.OneIn(3);
      const uint64_t number = tables.size() + 1;
      tables.push_back({3, exclusive ? DescribeUpTo(number, first, fmt::format("{:02}", last))
                                     : Describe(number, first, fmt::format("{:02}", last))});
      at = last + (exclusive ? 0 : 1) + random.Uniform(3);
    }
    const auto version = MakeVersion(tables);
    REQUIRE_OK(version.status());
    for (int ask = 0; ask < 20; ++ask) {
      const uint64_t from = random.Uniform(42);
      const std::string begin = random.OneIn(8) ? "" : Spaced(fmt::format("{:02}", from));
      const std::string end = random.OneIn(8) ? "" : Spaced(fmt::format("{:02}", from + random.Uniform(8)));
      std::vector<uint64_t> expected;
      for (const LevelTable& table : tables) {
        const int end_to_begin = begin.empty() ? 1 : CompareSpacedKeys(SpacedKey(table.info.largest), begin);
        const bool before = end_to_begin < 0 || (end_to_begin == 0 && table.info.range_tombstones != 0);
        const bool after = !end.empty() && CompareSpacedKeys(end, SpacedKey(table.info.smallest)) < 0;
        if (!before && !after) expected.push_back(table.info.number);
      }
      CHECK(Numbers((*version)->Overlapping(3, begin, end)) == expected);
    }
  }
}

}  // namespace bandb::storage
