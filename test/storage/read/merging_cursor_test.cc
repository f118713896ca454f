// Merges and levels against sorted entries.
#include "storage/read/merging_cursor.h"

#include "storage/engine/engine_fixture.h"
#include "storage/read/level_cursor.h"

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

TEST_CASE("a merge puts keys in order whatever they share, and however long they are") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    base::Random random(seed);
    const std::string shared(random.Uniform(30), 's');
    // Dense numbers go over into the next hundred; letters make prefixes of one another, and words
    // that end in zeros.
    const bool numbers = random.OneIn(2);
    const uint64_t length_max = 1 + random.Uniform(20);
    Entries entries;
    std::vector<std::unique_ptr<Memtable>> memtables;
    std::vector<std::unique_ptr<Cursor>> cursors;
    const uint64_t count = 2 + random.Uniform(6);
    for (uint64_t i = 0; i < count; ++i)
      memtables.push_back(std::make_unique<Memtable>(Memtable::TakeRegion(nullptr, 1 << 20), 1));
    for (Sequence sequence = 1; sequence <= 300; ++sequence) {
      std::string key = shared;
      if (numbers) key += fmt::format("{:09}", 99'800 + random.Uniform(400));
      for (uint64_t i = numbers ? 0 : random.Uniform(length_max); i > 0; --i) {
        key.push_back(std::string_view("\0a\xff", 3)[random.Uniform(3)]);
      }
      memtables[random.Uniform(count)]->Add(sequence, Space::kUser, PutOperation(key, shared));
      entries.emplace_back(Key(key, sequence), shared);
    }
    Sort(&entries);
    for (const auto& memtable : memtables) cursors.push_back(memtable->NewCursor());
    const auto merged = NewMergingCursor(std::move(cursors));
    size_t at = 0;
    for (merged->SeekToFirst(); merged->Valid(); merged->Next()) {
      REQUIRE(at < entries.size());
      REQUIRE(merged->key() == entries[at++].first);
    }
    CHECK(at == entries.size());
    for (merged->SeekToLast(); merged->Valid(); merged->Prev()) REQUIRE(merged->key() == entries[--at].first);
    CHECK(at == 0);
    WalkAtRandom(merged.get(), entries, &random, 500);
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
    const auto level = NewLevelCursor(&tables, {});
    WalkAtRandom(level.get(), entries, &random, 3000);
    // However many there are, an iterator holds on to none of them by itself.
    for (const TablePtr& table : tables) REQUIRE(table.use_count() == 1);
    std::vector<std::unique_ptr<Cursor>> cursors;
    Entries all = entries;
    const auto memtable = RandomMemtable(&random, 500, 60, &all);
    Sort(&all);
    cursors.push_back(NewLevelCursor(&tables, {}));
    cursors.push_back(memtable->NewCursor());
    const auto merged = NewMergingCursor(std::move(cursors));
    WalkAtRandom(merged.get(), all, &random, 3000);
  }
}

TEST_CASE("a table that cannot be read fails the whole merge, from whichever side it is reached") {
  TableFolder folder;
  const TablePtr first = folder.Write({{Key("k01", 5), "a"}});
  const TablePtr missing = folder.Write({{Key("k05", 6), "b"}});
  REQUIRE_OK(folder.env().files().Remove(TableFolder::PathOf(missing->info().number)));
  Memtable memtable(Memtable::TakeRegion(nullptr, 64 << 10), 1);
  memtable.Add(9, Space::kUser, PutOperation("k09", "c"));
  std::vector<std::unique_ptr<Cursor>> cursors;
  const std::vector<TablePtr> tables = {first, missing};
  cursors.push_back(NewLevelCursor(&tables, {}));
  cursors.push_back(memtable.NewCursor());
  const auto merged = NewMergingCursor(std::move(cursors));
  merged->SeekToFirst();
  REQUIRE(merged->Valid());
  CHECK(merged->key() == Key("k01", 5));
  merged->Next();
  CHECK_FALSE(merged->Valid());
  CHECK_CODE(merged->status(), kInternal);
  merged->Seek(SeekKey("k07"));
  REQUIRE(merged->Valid());
  CHECK(merged->key() == Key("k09", 9));
  merged->Prev();
  CHECK_FALSE(merged->Valid());
  CHECK_CODE(merged->status(), kInternal);
  merged->SeekToFirst();
  CHECK(merged->Valid());
}

}  // namespace bandb::storage
