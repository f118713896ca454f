// Merges and levels against sorted entries.
#include "storage/merging_cursor.h"

#include "storage/engine_fixture.h"
#include "storage/level_cursor.h"

namespace bandb::storage {

TEST_CASE("a merge of memtables walks like one sorted list, whichever way it turns") {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    base::Random random(seed);
    Entries entries;
    std::vector<std::shared_ptr<Memtable>> memtables;
    std::vector<std::unique_ptr<Cursor>> cursors;
    // One of them is empty, and with seed 1 there is but one.
    for (uint64_t i = 0; i < seed; ++i) {
      memtables.push_back(RandomMemtable(&random, 1 + 40 * i, i == 2 ? 0 : 40, &entries));
      cursors.push_back(memtables.back()->NewCursor());
    }
    Sort(&entries);
    const auto merged = NewMergingCursor(std::move(cursors));
    WalkAtRandom(merged.get(), entries, &random, 3000);
  }
}

TEST_CASE("a merge of nothing is at its end") {
  const auto merged = NewMergingCursor({});
  merged->SeekToFirst();
  CHECK_FALSE(merged->Valid());
  merged->SeekForPrev(SeekKey("k"));
  CHECK_FALSE(merged->Valid());
  CHECK_OK(merged->status());
}

namespace {

// A level of tables cut at random, between keys; one holds nothing but a range tombstone.
std::vector<TablePtr> CutIntoTables(TableFolder* folder, const Entries& entries, base::Random* random) {
  std::vector<TablePtr> tables;
  Entries part;
  for (const auto& [key, value] : entries) {
    const bool same_key = !part.empty() && SpacedKey(part.back().first) == SpacedKey(key);
    if (!part.empty() && !same_key && random->OneIn(3)) tables.push_back(folder->Write(std::exchange(part, {})));
    part.emplace_back(key, value);
  }
  tables.push_back(folder->Write(part));
  tables.push_back(folder->Write({}, {{Spaced("l"), Spaced("m"), 1000}}));
  return tables;
}

}  // namespace

TEST_CASE("a level walks like one sorted list, over tables that hold no entries too") {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    base::Random random(seed);
    TableFolder folder;
    Entries entries;
    RandomMemtable(&random, 1, 150, &entries);
    Sort(&entries);
    std::vector<TablePtr> tables = CutIntoTables(&folder, entries, &random);
    REQUIRE(tables.size() > 4);
    const auto level = NewLevelCursor(tables, {});
    WalkAtRandom(level.get(), entries, &random, 3000);
    std::vector<std::unique_ptr<Cursor>> cursors;
    Entries all = entries;
    const auto memtable = RandomMemtable(&random, 500, 60, &all);
    Sort(&all);
    cursors.push_back(NewLevelCursor(tables, {}));
    cursors.push_back(memtable->NewCursor());
    const auto merged = NewMergingCursor(std::move(cursors));
    WalkAtRandom(merged.get(), all, &random, 3000);
  }
}

TEST_CASE("a table that cannot be read fails the whole merge, from whichever side it is reached") {
  TableFolder folder;
  const TablePtr first = folder.Write({{Key("k01", 5), "a"}});
  const TablePtr missing = folder.Write({{Key("k05", 6), "b"}});
  REQUIRE_OK(folder.env().files().Remove(TableFolder::PathOf(missing->meta().number)));
  Memtable memtable(64 << 10, 1);
  memtable.Add(9, Space::kUser, PutOperation("k09", "c"));
  std::vector<std::unique_ptr<Cursor>> cursors;
  cursors.push_back(NewLevelCursor({first, missing}, {}));
  cursors.push_back(memtable.NewCursor());
  const auto merged = NewMergingCursor(std::move(cursors));
  merged->SeekToFirst();
  REQUIRE(merged->Valid());
  CHECK(merged->key() == Key("k01", 5));
  merged->Next();
  CHECK_FALSE(merged->Valid());
  CHECK_CODE(merged->status(), kDataLoss);
  merged->Seek(SeekKey("k07"));
  REQUIRE(merged->Valid());
  CHECK(merged->key() == Key("k09", 9));
  merged->Prev();
  CHECK_FALSE(merged->Valid());
  CHECK_CODE(merged->status(), kDataLoss);
  merged->SeekToFirst();
  CHECK(merged->Valid());
}

}  // namespace bandb::storage
