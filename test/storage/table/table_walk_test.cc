// Long walks over a table: how they read, what they leave in the cache, and what damage on their
// way does to them.
#include <fmt/format.h>

#include "storage/table/compression.h"
#include "storage/table/table_cursor.h"
#include "storage/table/table_fixture.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

constexpr size_t kEntries = 20'000;
constexpr uint64_t kCacheBytes = 64 << 20;

// Some two mebibytes of entries in blocks of four kibibytes.
const Entries& LongEntries() {
  static const Entries entries = []() {
    Entries made;
    for (size_t i = 0; i < kEntries; ++i)
      made.emplace_back(Key(fmt::format("key{:08}", i), i + 1), std::string(100, 'v'));
    return made;
  }();
  return entries;
}

Entries Backward(Entries entries) {
  std::reverse(entries.begin(), entries.end());
  return entries;
}

}  // namespace

TEST_CASE("a long walk reads ahead in large pieces to its end, in both directions") {
  for (const Compression compression : {Compression::kNone, Compression::kLz4}) {
    if (!CompressionIsBuiltIn(compression)) continue;
    Entries entries = LongEntries();
    base::Random random(5);
    // Bytes that do not compress, so that the file is as long as without.
    for (auto& [key, value] : entries) {
      for (char& byte : value) byte = static_cast<char>(random.Next());
    }
    const std::string content = BuildTable(entries, {.compression = compression});
    REQUIRE(content.size() > (2 << 20));
    for (const bool forward : {true, false}) {
      BlockCache cache(kCacheBytes);
      StringView::State state;
      const auto table = OpenTable(content, &cache, &state);
      REQUIRE_OK(table.status());
      const uint64_t before = state.reads;
      const auto cursor = NewTableCursor(**table);
      forward ? cursor->SeekToFirst() : cursor->SeekToLast();
      REQUIRE(Collect(cursor.get(), forward) == (forward ? entries : Backward(entries)));
      REQUIRE_OK(cursor->status());
      // Each partition, three blocks one by one, buffers of 16, 32, 64 and 128 KiB, then 256 KiB at
      // a time.
      const uint64_t partitions = (*table)->meta().partitions();
      REQUIRE(state.reads - before <= partitions + 3 + 4 + content.size() / (256 << 10) + 2);
    }
  }
}

TEST_CASE("a long walk leaves the cache to others, and takes from it what is there") {
  const std::string content = BuildTable(LongEntries(), {.compression = Compression::kNone});
  BlockCache cache(kCacheBytes);
  StringView::State state;
  const auto table = OpenTable(content, &cache, &state);
  REQUIRE_OK(table.status());
  const uint64_t pinned = cache.GetStats().used_bytes();
  for (const bool forward : {true, false}) {
    const auto cursor = NewTableCursor(**table);
    forward ? cursor->SeekToFirst() : cursor->SeekToLast();
    REQUIRE(Collect(cursor.get(), forward).size() == kEntries);
    // In the cache, and in the buffer.
    REQUIRE(cache.GetStats().live_bytes <= 2 * (300 << 10));
    REQUIRE(cache.GetStats().used_bytes() - pinned <= 3 * (300 << 10));
  }
  // Gets fill the cache; a walk over what they left reads nothing.
  for (const auto& [key, value] : LongEntries()) {
    GetResult result;
    REQUIRE_OK((*table)->Get(key, true, &result));
  }
  const uint64_t before = state.reads;
  const auto cursor = NewTableCursor(**table);
  cursor->SeekToFirst();
  REQUIRE(Collect(cursor.get()).size() == kEntries);
  REQUIRE(state.reads == before);
}

TEST_CASE("a walk without the cache reads the same, and leaves nothing in it") {
  const std::string content = BuildTable(LongEntries(), {.compression = Compression::kNone});
  for (const uint32_t readahead_bytes : {0u, 10'000u, 1u << 20}) {
    BlockCache cache(kCacheBytes);
    const auto table = OpenTable(content, &cache);
    REQUIRE_OK(table.status());
    const uint64_t pinned = cache.GetStats().used_bytes();
    const auto cursor = NewTableCursor(**table, {.fill_cache = false, .readahead_bytes = readahead_bytes});
    cursor->SeekToFirst();
    REQUIRE(Collect(cursor.get()) == LongEntries());
    REQUIRE(cache.GetStats().live_bytes == 0);
    CHECK(cache.GetStats().used_bytes() > pinned);
  }
}

TEST_CASE("a walk that turns round in its readahead buffer stands where a list would") {
  const std::string content = BuildTable(LongEntries(), {.compression = Compression::kNone});
  BlockCache cache(kCacheBytes);
  const auto table = OpenTable(content, &cache);
  REQUIRE_OK(table.status());
  base::Random random(9);
  const auto cursor = NewTableCursor(**table, {.fill_cache = false, .readahead_bytes = 100'000});
  cursor->SeekToFirst();
  size_t at = 0;
  for (int turn = 0; turn < 60; ++turn) {
    const uint64_t steps = random.Uniform(3000);
    const bool forward = turn % 2 == 0 || at < 2000;
    for (uint64_t i = 0; i < steps && (forward ? at + 1 < kEntries : at > 0); ++i) {
      forward ? cursor->Next() : cursor->Prev();
      forward ? ++at : --at;
    }
    REQUIRE(cursor->Valid());
    REQUIRE(cursor->key() == LongEntries()[at].first);
    REQUIRE(cursor->value() == LongEntries()[at].second);
  }
}

TEST_CASE("damage ahead ends a walk with an error, with all before it told") {
  const std::string sound = BuildTable(LongEntries(), {.compression = Compression::kNone});
  for (const size_t percent : {1, 20, 50, 70}) {
    std::string content = sound;
    BlockCache cache(kCacheBytes);
    const auto table = OpenTable(content, &cache);
    REQUIRE_OK(table.status());
    content[content.size() * percent / 100] ^= 0x10;
    const auto cursor = NewTableCursor(**table);
    cursor->SeekToFirst();
    const Entries seen = Collect(cursor.get());
    REQUIRE(cursor->status().code() == absl::StatusCode::kDataLoss);
    REQUIRE(seen.size() < kEntries);
    REQUIRE(std::equal(seen.begin(), seen.end(), LongEntries().begin()));
    // Once it is sound again, so is the walk.
    content = sound;
    cursor->SeekToFirst();
    REQUIRE(Collect(cursor.get()).size() == kEntries);
  }
}

}  // namespace bandb::storage
