// The range deletes of a memtable against a list that is searched from end to end.
#include "storage/memtable/memtable_tombstones.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

std::string KeyOf(uint64_t number) { return MakeSpacedKey(Space::kUser, std::to_string(100 + number)); }

Sequence SlowCovering(const std::vector<RangeTombstone>& all, const std::string& key, Sequence snapshot) {
  Sequence newest = 0;
  for (const RangeTombstone& tombstone : all) {
    const bool covers = tombstone.begin <= key && key < tombstone.limit && tombstone.sequence <= snapshot;
    if (covers) newest = std::max(newest, tombstone.sequence);
  }
  return newest;
}

}  // namespace

TEST_CASE("the range deletes of a memtable cover what a search of all of them finds, at every moment") {
  base::Random random(1);
  for (int round = 0; round < 20; ++round) {
    MemtableTombstones tombstones;
    std::vector<RangeTombstone> all;
    Sequence sequence = 0;
    CHECK(tombstones.empty());
    while (all.size() < 200) {
      const uint64_t group = 1 + random.Uniform(round % 3 == 0 ? 20 : 2);
      for (uint64_t i = 0; i < group; ++i) {
        const uint64_t begin = random.Uniform(100);
        all.push_back({KeyOf(begin), KeyOf(begin + 1 + random.Uniform(20)), ++sequence});
        tombstones.Add(all.back());
      }
      // What is not published is not seen.
      CHECK(tombstones.CoveringSequence(KeyOf(5), sequence - group) == SlowCovering(all, KeyOf(5), sequence - group));
      tombstones.Publish();
      CHECK(tombstones.count() == all.size());
      for (int i = 0; i < 20; ++i) {
        const std::string key = KeyOf(random.Uniform(130));
        const Sequence snapshot = random.Uniform(sequence + 2);
        CHECK(tombstones.CoveringSequence(key, snapshot) == SlowCovering(all, key, snapshot));
      }
    }
    std::vector<RangeTombstone> collected;
    tombstones.Collect(sequence / 2, &collected);
    const auto visible =
        std::count_if(all.begin(), all.end(), [&](const RangeTombstone& one) { return one.sequence <= sequence / 2; });
    CHECK(collected.size() == static_cast<size_t>(visible));
    std::vector<const FragmentedTombstones*> runs;
    tombstones.CollectRuns(&runs);
    CHECK(runs.size() <= 9);
    CHECK(tombstones.memory_bytes() > 0);
  }
}

}  // namespace bandb::storage
