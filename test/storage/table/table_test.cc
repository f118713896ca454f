#include "storage/table/table_cursor.h"
#include "storage/table/table_fixture.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

// What Get must answer, the dumb way.
const std::pair<std::string, std::string>* FindDumb(const Entries& entries, std::string_view internal_key) {
  for (const auto& entry : entries) {
    if (CompareInternalKeys(entry.first, internal_key) < 0) continue;
    return SpacedKey(entry.first) == SpacedKey(internal_key) ? &entry : nullptr;
  }
  return nullptr;
}

void CheckGet(const TableReader& table, const Entries& entries, const std::string& lookup, bool fill_cache) {
  GetResult result;
  REQUIRE_OK(table.Get(lookup, fill_cache, &result));
  const auto* expected = FindDumb(entries, lookup);
  REQUIRE(result.found == (expected != nullptr));
  if (expected == nullptr) return;
  REQUIRE(MayContain(table, lookup));
  REQUIRE(result.value == expected->second);
  REQUIRE(MakeTrailer(result.sequence, result.kind) == Trailer(expected->first));
}

void CheckSeeks(const TableReader& table, const Entries& entries, const std::string& target) {
  const auto cursor = NewTableCursor(table);
  const auto at = std::find_if(entries.begin(), entries.end(),
                               [&](const auto& entry) { return CompareInternalKeys(entry.first, target) >= 0; });
  cursor->Seek(target);
  REQUIRE(cursor->Valid() == (at != entries.end()));
  if (cursor->Valid()) REQUIRE(cursor->key() == at->first);
  cursor->SeekForPrev(target);
  auto before = at;
  if (before == entries.end() || before->first != target) {
    REQUIRE(cursor->Valid() == (at != entries.begin()));
    if (at == entries.begin()) return;
    --before;
  }
  REQUIRE(cursor->Valid());
  REQUIRE(cursor->key() == before->first);
  REQUIRE(cursor->value() == before->second);
}

}  // namespace

TEST_CASE("a table answers every question as the list of its entries does") {
  base::Random random(3);
  for (int round = 0; round < 60; ++round) {
    const Entries entries = RandomEntries(&random, random.Uniform(round % 3 == 0 ? 20 : 400));
    TableOptions options;
    options.block_bytes = static_cast<uint32_t>(64 << random.Uniform(7));
    options.bloom_bits_per_key = static_cast<int>(random.Uniform(3) * 7);
    options.compression = static_cast<Compression>(random.Uniform(3));
    if (random.OneIn(2)) options.partition_index_bytes = static_cast<uint32_t>(1 + random.Uniform(600));
    options.partition_blocks_min = static_cast<uint32_t>(1 + random.Uniform(3));
    const std::string content = BuildTable(entries, options);
    // Without room for partitions at times, so that each is read again for each question.
    BlockCache cache(random.OneIn(3) ? 0 : 1 << random.Uniform(18), 0, 0,
                     {.partition_bytes = random.OneIn(2) ? 0 : random.Uniform(8192)});
    auto table = OpenTable(content, &cache);
    REQUIRE_OK(table.status());
    REQUIRE((*table)->properties().entries == entries.size());

    const auto cursor = NewTableCursor(**table);
    cursor->SeekToFirst();
    REQUIRE(Collect(cursor.get()) == entries);
    cursor->SeekToLast();
    Entries backward = Collect(cursor.get(), false);
    std::reverse(backward.begin(), backward.end());
    REQUIRE(backward == entries);
    REQUIRE_OK(cursor->status());

    Entries probes = RandomEntries(&random, 60);
    for (int i = 0; i < 60 && !entries.empty(); ++i) probes.push_back(entries[random.Uniform(entries.size())]);
    for (const auto& [key, value] : probes) {
      CheckSeeks(**table, entries, key);
      CheckGet(**table, entries, key, random.OneIn(2));
      const std::string newest = MakeInternalKey(SpacedKey(key), SeekTrailer(kSequenceMax));
      CheckSeeks(**table, entries, newest);
      CheckGet(**table, entries, newest, random.OneIn(2));
    }
    REQUIRE_OK((*table)->VerifyChecksums());
  }
}

TEST_CASE("a cursor that turns round anywhere stands where a list would") {
  base::Random random(4);
  const Entries entries = RandomEntries(&random, 500);
  TableOptions options;
  options.block_bytes = 600;
  options.partition_index_bytes = 100;
  options.partition_blocks_min = 1;
  const std::string content = BuildTable(entries, options);
  BlockCache cache(1 << 20);
  auto table = OpenTable(content, &cache);
  REQUIRE_OK(table.status());
  const auto cursor = NewTableCursor(**table);
  for (int walk = 0; walk < 200; ++walk) {
    size_t at = random.Uniform(entries.size());
    cursor->Seek(entries[at].first);
    for (int step = 0; step < 80; ++step) {
      REQUIRE(cursor->Valid());
      REQUIRE(cursor->key() == entries[at].first);
      REQUIRE(cursor->value() == entries[at].second);
      const bool forward = random.OneIn(2);
      if (forward ? at + 1 == entries.size() : at == 0) break;
      forward ? cursor->Next() : cursor->Prev();
      forward ? ++at : --at;
    }
  }
}

TEST_CASE("a value stays where it is after its block was evicted and its table and cache are gone") {
  const Entries entries = {{Key("a", 1), std::string(3000, 'x')}, {Key("b", 2), std::string(3000, 'y')}};
  const std::string content = BuildTable(entries);
  void* owner = nullptr;
  std::string_view value;
  {
    BlockCache cache(4096, 1);
    auto table = OpenTable(content, &cache);
    REQUIRE_OK(table.status());
    GetResult result;
    REQUIRE_OK((*table)->Get(SeekKey("a"), true, &result));
    REQUIRE(result.found);
    value = result.value;
    owner = result.block.Detach();
  }
  CHECK(value == std::string(3000, 'x'));
  BlockRef::ReleaseDetached(owner);
}

TEST_CASE("the summary bounds entries and range tombstones") {
  const auto spaced = [](std::string_view key) { return MakeSpacedKey(Space::kUser, key); };
  const Entries entries = {{Key("d", 7), "1"},
                           {Key("e", 9, Kind::kDelete), ""},
                           {Key("f", 8, Kind::kPutWithExpiry), std::string("\x10\0\0\0\0\0\0\0value", 13)}};
  TableSummary summary;
  std::string content = BuildTable(entries, {}, {}, &summary);
  CHECK(summary.file_bytes == content.size());
  CHECK(summary.entries == 3);
  CHECK(summary.deletes == 1);
  CHECK(summary.range_tombstones == 0);
  CHECK(summary.smallest == entries.front().first);
  CHECK(summary.largest == entries.back().first);
  CHECK(summary.smallest_sequence == 7);
  CHECK(summary.largest_sequence == 9);
  CHECK(summary.earliest_expiry_ms == 16);

  const std::vector<RangeTombstone> tombstones = {{spaced("c"), spaced("c"), 30},  // covers nothing
                                                  {spaced("e"), spaced("k"), 12},
                                                  {spaced("b"), spaced("d"), 3}};
  content = BuildTable(entries, {}, tombstones, &summary);
  CHECK(summary.entries == 3);
  CHECK(summary.range_tombstones == 2);
  CHECK(summary.smallest == Key("b", 3, Kind::kRangeDelete));
  CHECK(summary.largest == MakeInternalKey(spaced("k"), kTombstoneLimitTrailer));
  CHECK(IsInternalKey(summary.largest));
  CHECK(CompareInternalKeys(summary.largest, Key("k", kSequenceMax - 1)) < 0);
  CHECK(summary.smallest_sequence == 3);
  CHECK(summary.largest_sequence == 12);

  BlockCache cache(1 << 20);
  auto table = OpenTable(content, &cache);
  REQUIRE_OK(table.status());
  CHECK((*table)->tombstones().tombstones() ==
        std::vector<RangeTombstone>{{spaced("b"), spaced("d"), 3}, {spaced("e"), spaced("k"), 12}});
  CHECK((*table)->tombstones().CoveringSequence(spaced("c"), kSequenceMax) == 3);
  CHECK((*table)->tombstones().CoveringSequence(spaced("k"), kSequenceMax) == 0);
}

TEST_CASE("a table of range tombstones alone, and one of nothing, open and are empty") {
  const std::string begin = MakeSpacedKey(Space::kUser, "a");
  const std::string limit = MakeSpacedKey(Space::kUser, "b");
  for (const bool with_tombstone : {true, false}) {
    TableSummary summary;
    std::vector<RangeTombstone> tombstones;
    if (with_tombstone) tombstones.push_back({begin, limit, 5});
    const std::string content = BuildTable({}, {}, tombstones, &summary);
    CHECK(summary.smallest.empty() != with_tombstone);
    CHECK(summary.largest.empty() != with_tombstone);
    BlockCache cache(0);
    auto table = OpenTable(content, &cache);
    REQUIRE_OK(table.status());
    GetResult result;
    REQUIRE_OK((*table)->Get(SeekKey("a"), true, &result));
    CHECK_FALSE(result.found);
    const auto cursor = NewTableCursor(**table);
    cursor->SeekToFirst();
    CHECK_FALSE(cursor->Valid());
    cursor->SeekToLast();
    CHECK_FALSE(cursor->Valid());
    cursor->SeekForPrev(SeekKey("a"));
    CHECK_FALSE(cursor->Valid());
    CHECK_OK(cursor->status());
    CHECK((*table)->tombstones().empty() != with_tombstone);
    CHECK_OK((*table)->VerifyChecksums());
  }
}

TEST_CASE("offsets grow with keys and end at the end of the data") {
  Entries entries;
  for (int i = 0; i < 2000; ++i)
    entries.emplace_back(Key("key" + std::to_string(100000 + i), 1), std::string(100, 'v'));
  const std::string content = BuildTable(entries);
  BlockCache cache(0);
  auto table = OpenTable(content, &cache);
  REQUIRE_OK(table.status());
  uint64_t last = 0;
  for (const auto& [key, value] : entries) {
    const uint64_t offset = (*table)->ApproximateOffset(key);
    CHECK(offset >= last);
    last = offset;
  }
  CHECK((*table)->ApproximateOffset(SeekKey("zzz")) > last);
  CHECK((*table)->ApproximateOffset(SeekKey("a")) == kFileHeaderBytes);
}

TEST_CASE("an error of the file comes out of Finish") {
  // Wherever it comes: in data, in the index or the filter of a partition, in a meta block.
  for (const uint32_t partition_index_bytes : {1u << 20, 100u}) {
    const TableOptions options{.partition_index_bytes = partition_index_bytes, .partition_blocks_min = 1};
    for (size_t limit = 20'000; limit < 130'000; limit += 371) {
      std::string content;
      StringFile file(&content);
      file.LimitTo(limit);
      TableBuilder builder(&file, TestHeader(), options);
      for (int i = 0; i < 1000; ++i) builder.Add(Key(std::to_string(100000 + i), 1), std::string(100, 'v'));
      if (limit == 20'000) CHECK_CODE(builder.status(), kResourceExhausted);
      const absl::Status finished = builder.Finish().status();
      REQUIRE((finished.ok() || finished.code() == absl::StatusCode::kResourceExhausted));
      REQUIRE(finished.ok() == (content.size() >= kFooterBytes && content.ends_with("BanDBend")));
    }
  }
}

}  // namespace bandb::storage
