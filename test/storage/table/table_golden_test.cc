// test/golden/table-v1 and table-v2 hold tables as the first release with that format version wrote
// them. They are never rewritten: a release that cannot read them, or that writes other bytes under
// the same format version, has broken the format.
#include <fmt/format.h>

#include "storage/db/golden_files.h"
#include "storage/table/compression.h"
#include "storage/table/table_cursor.h"
#include "storage/table/table_fixture.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

struct GoldenTable {
  uint32_t format_version;
  const char* name;
  Compression compression;
};
constexpr GoldenTable kTables[] = {{1, "plain", Compression::kNone},
                                   {1, "lz4", Compression::kLz4},
                                   {1, "zstd", Compression::kZstd},
                                   {2, "partitions", Compression::kNone}};

std::string NameOf(const GoldenTable& golden) {
  return fmt::format("table-v{}/{}.golden", golden.format_version, golden.name);
}

// All kinds, keys that are empty and long, binary values, several versions, several spaces, several
// blocks.
Entries GoldenEntries() {
  Entries entries;
  const auto add = [&entries](Space space, std::string_view key, Sequence sequence, Kind kind, std::string value) {
    entries.emplace_back(MakeInternalKey(MakeSpacedKey(space, key), MakeTrailer(sequence, kind)), std::move(value));
  };
  add(Space::kSystem, "session", 3, Kind::kPut, "state");
  add(Space::kUser, "", 9, Kind::kPut, "the empty key");
  for (uint64_t i = 0; i < 50; ++i) {
    const std::string key = fmt::format("key{}", 1000 + i * 7);
    add(Space::kUser, key, 200 + i, Kind::kPut, std::string(i * 3, 'a'));
    if (i % 5 == 0) add(Space::kUser, key, 100 + i, Kind::kDelete, "");
  }
  add(Space::kUser, "t", 300, Kind::kPutWithExpiry, std::string("\x00\x10\0\0\0\0\0\0expires", 15));
  add(Space::kUser, "u", 301, Kind::kBlobReference, "blob");
  add(Space::kUser, "v", 302, Kind::kBlobReferenceWithExpiry, std::string("\x00\x20\0\0\0\0\0\0blob", 12));
  add(Space::kUser, std::string(500, 'w'), 303, Kind::kPut, std::string("\0\xff\x80", 3));
  add(Space::kDeadLetters, "letter", 304, Kind::kPut, "");
  return entries;
}

std::vector<RangeTombstone> GoldenTombstones() {
  return {{MakeSpacedKey(Space::kUser, "key1"), MakeSpacedKey(Space::kUser, "key2"), 50},
          {MakeSpacedKey(Space::kUser, "key12"), MakeSpacedKey(Space::kUser, "x"), 40}};
}

std::string BuildGolden(const GoldenTable& golden) {
  TableOptions options;
  options.block_bytes = 512;
  options.compression = golden.compression;
  options.creation_time_ms = 1'700'000'000'000;
  if (golden.format_version == 2) options.partition_index_bytes = 100, options.partition_blocks_min = 1;
  return BuildTable(GoldenEntries(), options, GoldenTombstones(), nullptr, golden.format_version);
}

}  // namespace

TEST_CASE("tables of all format versions are read") {
  for (const GoldenTable& golden : kTables) {
    INFO(golden.name);
    if (!CompressionIsBuiltIn(golden.compression)) continue;
    RequireGolden({{NameOf(golden), BuildGolden(golden)}});
    const std::string content = ReadGolden(NameOf(golden));
    BlockCache cache(1 << 20);
    auto table = OpenTable(content, &cache);
    REQUIRE_OK(table.status());
    CHECK((*table)->header().format_version == golden.format_version);
    CHECK(((*table)->meta().partitions() > 1) == (golden.format_version == 2));
    CHECK((*table)->header().database_id == TestHeader().database_id);
    const auto cursor = NewTableCursor(**table);
    cursor->SeekToFirst();
    CHECK(Collect(cursor.get()) == GoldenEntries());
    CHECK((*table)->tombstones().tombstones() == GoldenTombstones());
    CHECK((*table)->properties().earliest_expiry_ms == 0x1000);
    CHECK((*table)->properties().creation_time_ms == 1'700'000'000'000);
    CHECK_OK((*table)->VerifyChecksums());
  }
}

TEST_CASE("a table that is not compressed is written as the first release of its format wrote it, byte for byte") {
  for (const GoldenTable& golden : kTables) {
    if (golden.compression == Compression::kNone) CHECK(BuildGolden(golden) == ReadGolden(NameOf(golden)));
  }
}

}  // namespace bandb::storage
