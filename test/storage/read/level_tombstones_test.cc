// The tombstones of a level beside a list of them all.
#include "storage/read/level_tombstones.h"

#include <deque>

#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

namespace {

// Tables that do not overlap, each with tombstones, as a level holds them.
struct Level {
  explicit Level(base::Random* random) {
    for (uint64_t at = random->Uniform(5), sequence = 1; at < 90; at += random->Uniform(4)) {
      std::vector<RangeTombstone> tombstones;
      const uint64_t begin = at;
      for (uint64_t count = 1 + random->Uniform(3); count > 0; --count) {
        const uint64_t limit = at + 1 + random->Uniform(3);
        tombstones.push_back({Name(at), Name(limit), ++sequence});
        at = limit;
      }
      all.insert(all.end(), tombstones.begin(), tombstones.end());
      infos.push_back(DescribeUpTo(infos.size() + 1, Name(begin).substr(1), Name(at).substr(1)));
      parts.emplace_back(std::move(tombstones));
    }
    for (size_t i = 0; i < parts.size(); ++i) level.Add(infos[i].smallest, infos[i].largest, &parts[i]);
  }
  static std::string Name(uint64_t number) { return Spaced(fmt::format("k{:03}", number)); }

  std::vector<RangeTombstone> all;
  std::deque<TableInfo> infos;
  std::deque<FragmentedTombstones> parts;
  LevelTombstones level;
};

}  // namespace

TEST_CASE("the tombstones of a level answer as all of them do, wherever the last question was") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    base::Random random(seed);
    Level level(&random);
    const FragmentedTombstones all(level.all);
    uint64_t at = 0;
    for (int step = 0; step < 400; ++step) {
      const uint64_t choice = random.Uniform(10);
      if (choice < 4) ++at;
      if (choice >= 4 && choice < 8 && at > 0) --at;
      if (choice == 8) at = random.Uniform(100);
      const std::string key = random.OneIn(3) ? Level::Name(at) + "x" : Level::Name(at);
      const Sequence snapshot = random.OneIn(2) ? kSequenceMax : random.Uniform(60);
      REQUIRE(level.level.CoveringSequence(key, snapshot) == all.CoveringSequence(key, snapshot));
    }
  }
}

TEST_CASE("only the table whose bounds hold the key is asked") {
  // What they say is not true, and tells which of them was asked.
  const std::vector<TableInfo> infos = {DescribeUpTo(1, "b", "d"), DescribeUpTo(2, "d", "f"), Describe(3, "h", "j")};
  std::deque<FragmentedTombstones> lies;
  LevelTombstones level;
  CHECK(level.empty());
  CHECK(level.CoveringSequence(Spaced("b"), kSequenceMax) == 0);
  for (Sequence sequence = 1; sequence <= 3; ++sequence) {
    lies.emplace_back(std::vector<RangeTombstone>{{Spaced(""), Spaced("z"), sequence}});
    level.Add(infos[sequence - 1].smallest, infos[sequence - 1].largest, &lies.back());
  }
  const std::vector<std::pair<std::string, Sequence>> wanted = {{"a", 0}, {"b", 1}, {"cz", 1}, {"d", 2}, {"ez", 2},
                                                                {"f", 0}, {"g", 0}, {"h", 3},  {"j", 3}, {"jj", 0}};
  for (const auto& [key, asked] : wanted) CHECK(level.CoveringSequence(Spaced(key), kSequenceMax) == asked);
  for (auto at = wanted.rbegin(); at != wanted.rend(); ++at) {
    CHECK(level.CoveringSequence(Spaced(at->first), kSequenceMax) == at->second);
  }
}

}  // namespace bandb::storage
