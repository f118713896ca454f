// Tables that are cut into partitions (table_format.h): what of them is in memory, and what is
// refused. That they answer as others do is table_test.cc's.
#include <fmt/format.h>

#include <atomic>
#include <thread>

#include "base/checksum.h"
#include "storage/table/table_fixture.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

constexpr size_t kEntries = 5000;

Entries SmallEntries() {
  Entries entries;
  for (size_t i = 0; i < kEntries; ++i) entries.emplace_back(Key(fmt::format("key{:06}", i), i + 1), "value");
  return entries;
}

TableOptions Small(uint32_t partition_index_bytes) {
  return {.block_bytes = 512, .partition_index_bytes = partition_index_bytes, .partition_blocks_min = 1};
}

// The table with another list of partitions, its checksum right.
std::string WithPartitions(const std::string& content,
                           const std::vector<std::pair<std::string, PartitionExtent>>& list) {
  BlockBuilder block;
  for (const auto& [separator, extent] : list) {
    std::string value;
    AppendHandle(&value, extent.index);
    base::PutVarint(&value, extent.data_blocks);
    base::PutVarint(&value, extent.filter.payload_bytes);
    block.Add(separator, value);
  }
  std::string forged = content.substr(0, content.size() - kFooterBytes);
  const uint64_t seed = TestHeader().checksum_seed();
  const auto append = [&](std::string_view payload) {
    const BlockHandle handle{forged.size(), payload.size()};
    std::string stored(payload);
    stored.push_back('\0');
    base::PutFixed64(&stored, base::BlockChecksum(seed, handle.offset, stored));
    forged += stored;
    return handle;
  };
  BlockCache cache(0);
  auto table = OpenTable(content, &cache);
  REQUIRE_OK(table.status());
  NamedValues values;
  const auto meta_index = (*table)->file().ReadBlock((*table)->file().meta_index(), &cache);
  REQUIRE_OK(meta_index.status());
  REQUIRE(ParseNamedValues(meta_index->payload(), &values));
  const BlockHandle partitions = append(block.Finish());
  for (auto& [name, value] : values) {
    if (name != kPartitionsName) continue;
    value.clear();
    AppendHandle(&value, partitions);
  }
  const BlockHandle again = append(EncodeNamedValues(values));
  return forged + EncodeFooter(again, seed, forged.size());
}

std::vector<std::pair<std::string, PartitionExtent>> PartitionsOf(const std::string& content) {
  BlockCache cache(0);
  auto table = OpenTable(content, &cache);
  REQUIRE_OK(table.status());
  std::vector<std::pair<std::string, PartitionExtent>> list;
  const TableMeta& meta = (*table)->meta();
  for (size_t k = 0; k < meta.partitions(); ++k) {
    list.emplace_back(MakeInternalKey(meta.top().Separator(k), meta.top().SeparatorTrailer(k)), meta.extent(k));
  }
  return list;
}

}  // namespace

TEST_CASE("a small table is one partition, and a large one many, of which each has its filter") {
  const Entries entries = SmallEntries();
  for (const uint32_t partition_bytes : {1u << 20, 2048u, 256u, 1u}) {
    const std::string content = BuildTable(entries, Small(partition_bytes));
    BlockCache cache(1 << 20);
    auto table = OpenTable(content, &cache);
    REQUIRE_OK(table.status());
    const TableMeta& meta = (*table)->meta();
    CHECK((meta.partitions() == 1) == (partition_bytes == 1u << 20));
    CHECK((partition_bytes != 1 || meta.partitions() == meta.properties().data_blocks));
    size_t lets_through = 0;
    for (size_t i = 0; i < kEntries; ++i) {
      REQUIRE(MayContain(**table, entries[i].first));
      lets_through += MayContain(**table, SeekKey(fmt::format("key{:06}x", i))) ? 1 : 0;
    }
    // Small filters are coarser: their size is rounded up to lines, the spread over them is uneven.
    CHECK(lets_through < kEntries / 20);
    // Bytes of the first format version are never cut.
    CHECK(OpenTable(BuildTable(entries, Small(partition_bytes), {}, nullptr, 1), &cache).value()->meta().partitions() ==
          1);
  }
}

TEST_CASE("where the versions of one key run on from partition to partition, the filter of each has it") {
  Entries entries;
  for (Sequence sequence = 400; sequence > 0; --sequence)
    entries.emplace_back(Key("key", sequence), "some value of it");
  const std::string content = BuildTable(entries, Small(1));
  BlockCache cache(1 << 20);
  const auto table = OpenTable(content, &cache);
  REQUIRE_OK(table.status());
  REQUIRE((*table)->meta().partitions() > 4);
  for (const auto& [key, value] : entries) REQUIRE(MayContain(**table, key));
}

TEST_CASE("however long the keys are, what stays in memory is a small part of the index") {
  Entries entries;
  for (size_t i = 0; i < 800; ++i) {
    // Eight to a prefix of their own, so that nearly all separators are long.
    entries.emplace_back(Key(fmt::format("{:06}{}{}", i / 8, std::string(3000, 'k'), i % 8), i + 1), "value");
  }
  const std::string content = BuildTable(entries, {.block_bytes = 512, .partition_index_bytes = 256});
  BlockCache cache(0, 0, 0, {.partition_bytes = 1 << 20});
  auto table = OpenTable(content, &cache);
  REQUIRE_OK(table.status());
  CHECK((*table)->meta().partitions() == 800 / 8);
  CHECK((*table)->memory_bytes() < 800 * 3000 / 8 + 800 * 100);
  const auto cursor = NewTableCursor(**table);
  cursor->SeekToFirst();
  CHECK(Collect(cursor.get()) == entries);
  CHECK(cache.GetStats().partition_bytes <= 1 << 20);
}

TEST_CASE("of a large table only what was asked for is in memory, and it stays within its room") {
  const Entries entries = SmallEntries();
  const std::string content = BuildTable(entries, Small(256));
  constexpr uint64_t kRoom = 8 << 10;
  BlockCache cache(0, 0, 0, {.partition_bytes = kRoom});
  StringView::State state;
  auto table = OpenTable(content, &cache, &state);
  REQUIRE_OK(table.status());
  CHECK(cache.GetStats().partition_bytes == 0);
  CHECK((*table)->memory_bytes() < content.size() / 20);
  GetResult result;
  for (size_t i = 0; i < kEntries; i += 7) {
    REQUIRE_OK((*table)->Get(entries[i].first, true, &result, FilterHash(SpacedKey(entries[i].first))));
    REQUIRE(result.found);
    REQUIRE(cache.GetStats().partition_bytes <= kRoom);
  }
  CHECK(cache.GetStats().partitions > 3);
  CHECK(cache.GetStats().partition_evictions > 5);
  // What is in memory is not read again, and what the filter refuses reads no data.
  const uint64_t before = state.reads;
  const std::string last = SeekKey("key004998x");
  REQUIRE_OK((*table)->Get(last, true, &result, FilterHash(SpacedKey(last))));
  CHECK(result.filtered);
  CHECK(state.reads == before);
}

TEST_CASE("what must not wait for the disk says so where a partition is not in memory") {
  const Entries entries = SmallEntries();
  const std::string content = BuildTable(entries, Small(256));
  BlockCache cache(1 << 20);
  StringView::State state;
  auto table = OpenTable(content, &cache, &state);
  REQUIRE_OK(table.status());
  const uint64_t before = state.reads;
  const std::string& key = entries[1234].first;
  GetResult result;
  CHECK_FALSE((*table)->GetCached(key, &result, FilterHash(SpacedKey(key))));
  CHECK((*table)->ApproximateOffset(key) > kFileHeaderBytes);
  CHECK(state.reads == before);
  REQUIRE_OK((*table)->Get(key, true, &result));
  // Index and filter in one read, and the block.
  CHECK(state.reads == before + 2);
  CHECK((*table)->GetCached(key, &result, FilterHash(SpacedKey(key))));
  CHECK(result.found);
  const std::string beyond = SeekKey("z");
  CHECK((*table)->GetCached(beyond, &result, FilterHash(SpacedKey(beyond))));
  CHECK_FALSE(result.found);
}

TEST_CASE("a partition that leaves memory takes its blocks with it, those in use excepted") {
  const std::string content = BuildTable(SmallEntries(), Small(256));
  BlockCache cache(64 << 10, 1, 0, {.partition_bytes = 0});
  auto table = OpenTable(content, &cache);
  REQUIRE_OK(table.status());
  GetResult held;
  const std::string key = Key("key000000", kSequenceMax - 1);
  REQUIRE_OK((*table)->Get(key, true, &held));
  REQUIRE(held.found);
  CHECK(cache.GetStats().blocks == 1);
  // Leaves no room for partitions.
  const BlockCache::PinnedCharge all = cache.ChargePinned(128 << 10);
  for (const auto& [other, value] : SmallEntries()) {
    GetResult result;
    REQUIRE_OK((*table)->Get(other, true, &result));
    REQUIRE(cache.GetStats().partition_bytes <= 8 << 10);
  }
  CHECK(cache.GetStats().partition_evictions > 0);
  CHECK(held.value == "value");
}

TEST_CASE("a list of partitions that does not fit the table is damage, wherever it shows") {
  const Entries entries = SmallEntries();
  const std::string content = BuildTable(entries, Small(256));
  const auto sound = PartitionsOf(content);
  REQUIRE(sound.size() > 5);
  const auto refused = [&](auto change) {
    auto list = sound;
    change(&list);
    const std::string forged = WithPartitions(content, list);
    BlockCache cache(1 << 20);
    auto table = OpenTable(forged, &cache);
    if (!table.ok()) return table.status();
    absl::Status status = (*table)->VerifyChecksums();
    const auto cursor = NewTableCursor(**table);
    cursor->SeekToFirst();
    const Entries seen = Collect(cursor.get());
    REQUIRE(cursor->status().ok() == status.ok());
    if (status.ok()) REQUIRE(seen == entries);
    return status;
  };
  CHECK_OK(refused([](auto*) {}));
  CHECK_CODE(refused([](auto* list) { list->clear(); }), kDataLoss);
  CHECK_CODE(refused([](auto* list) { list->resize(1); }), kDataLoss);
  CHECK_CODE(refused([](auto* list) { list->pop_back(); }), kDataLoss);
  CHECK_CODE(refused([](auto* list) { list->erase(list->begin() + 2); }), kDataLoss);
  CHECK_CODE(refused([](auto* list) { std::swap((*list)[1].second, (*list)[2].second); }), kDataLoss);
  CHECK_CODE(refused([](auto* list) { (*list)[1].second = (*list)[2].second; }), kDataLoss);
  CHECK_CODE(refused([](auto* list) { ++(*list)[1].second.data_blocks; }), kDataLoss);
  CHECK_CODE(refused([](auto* list) {
               ++(*list)[1].second.data_blocks;
               --(*list)[2].second.data_blocks;
             }),
             kDataLoss);
  CHECK_CODE(refused([](auto* list) { (*list)[1].second.data_blocks = 0; }), kDataLoss);
  CHECK_CODE(refused([](auto* list) { (*list)[1].second.data_blocks = UINT64_MAX; }), kDataLoss);
  CHECK_CODE(refused([](auto* list) { ++(*list)[1].second.filter.payload_bytes; }), kDataLoss);
  CHECK_CODE(refused([](auto* list) { (*list)[1].second.filter.payload_bytes = UINT64_MAX; }), kDataLoss);
  CHECK_CODE(refused([](auto* list) { (*list)[1].second.index.offset = UINT64_MAX; }), kDataLoss);
  CHECK_CODE(refused([](auto* list) { (*list)[1].first = (*list)[0].first; }), kDataLoss);
  CHECK_CODE(refused([](auto* list) { (*list)[1].first = SeekKey("key000001"); }), kDataLoss);
}

namespace {

// The blocks of a table that are not data.
std::vector<BlockHandle> OtherBlocksOf(const std::string& content) {
  BlockCache cache(0);
  auto table = OpenTable(content, &cache);
  REQUIRE_OK(table.status());
  std::vector<BlockHandle> blocks{(*table)->file().meta_index()};
  const auto meta_index = (*table)->file().ReadBlock(blocks[0], &cache);
  REQUIRE_OK(meta_index.status());
  NamedValues values;
  REQUIRE(ParseNamedValues(meta_index->payload(), &values));
  for (const auto& [name, value] : values) {
    BlockHandle handle;
    REQUIRE(ParseHandle(value, (*table)->file().blocks_end(), &handle));
    blocks.push_back(handle);
  }
  const TableMeta& meta = (*table)->meta();
  REQUIRE(meta.partitions() > 2);
  for (size_t k = 0; k < meta.partitions(); ++k) {
    blocks.push_back(meta.extent(k).index);
    blocks.push_back(meta.extent(k).filter);
    REQUIRE(meta.extent(k).has_filter());
  }
  return blocks;
}

// Reads in every way. Any answer will do, as long as it is one.
void ReadInEveryWay(const std::string& content, const Entries& entries) {
  BlockCache cache(4096, 1);
  auto table = OpenTable(content, &cache);
  if (!table.ok()) {
    const bool refused = absl::IsDataLoss(table.status()) || absl::IsFailedPrecondition(table.status());
    REQUIRE(refused);
    return;
  }
  GetResult result;
  for (const auto& [key, value] : entries) {
    const uint64_t hash = FilterHash(SpacedKey(key));
    PartitionRef entered = (*table)->Prepare(key, hash);
    static_cast<void>((*table)->Get(key, true, &result, hash, &entered));
    static_cast<void>((*table)->GetCached(key, &result, hash, &entered));
    static_cast<void>((*table)->ApproximateOffset(key));
  }
  const auto cursor = NewTableCursor(**table);
  for (cursor->SeekToFirst(); cursor->Valid(); cursor->Next()) {
  }
  for (cursor->SeekToLast(); cursor->Valid(); cursor->Prev()) {
  }
  for (size_t i = 0; i < entries.size(); i += 7) {
    cursor->Seek(entries[i].first);
    if (cursor->Valid()) cursor->Prev();
    cursor->SeekForPrev(entries[i].first);
    if (cursor->Valid()) cursor->Next();
  }
  static_cast<void>((*table)->VerifyChecksums());
}

}  // namespace

TEST_CASE("partition indexes, filters, lists and footers with any byte forged are never the end of the process") {
  Entries entries;
  for (size_t i = 0; i < 60; ++i) entries.emplace_back(Key(fmt::format("key{:03}", i), i + 1), "value");
  const std::string content =
      BuildTable(entries, {.block_bytes = 128, .partition_index_bytes = 64, .partition_blocks_min = 1});
  const uint64_t seed = TestHeader().checksum_seed();
  for (const BlockHandle& block : OtherBlocksOf(content)) {
    // The type of the block, too.
    for (uint64_t at = 0; at <= block.payload_bytes; ++at) {
      for (const uint8_t mask : {0x01, 0x04, 0x40, 0x80, 0xff}) {
        std::string checked = content.substr(block.offset, block.payload_bytes + 1);
        checked[at] = static_cast<char>(static_cast<uint8_t>(checked[at]) ^ mask);
        base::PutFixed64(&checked, base::BlockChecksum(seed, block.offset, checked));
        std::string forged = content;
        forged.replace(block.offset, checked.size(), checked);
        ReadInEveryWay(forged, entries);
      }
    }
  }
  const uint64_t footer_at = content.size() - kFooterBytes;
  const BlockHandle meta_index = OtherBlocksOf(content)[0];
  for (const uint64_t offset : {uint64_t{0}, uint64_t{kFileHeaderBytes}, meta_index.offset, footer_at, UINT64_MAX}) {
    for (const int64_t more : {-10, -1, 0, 1}) {
      for (const uint64_t bytes : {uint64_t{0}, meta_index.payload_bytes, footer_at, UINT64_MAX}) {
        const BlockHandle forged{.offset = offset + static_cast<uint64_t>(more), .payload_bytes = bytes};
        ReadInEveryWay(content.substr(0, footer_at) + EncodeFooter(forged, seed, footer_at), entries);
      }
    }
  }
}

TEST_CASE("threads read a table right while what its partitions may take shrinks and grows") {
  const Entries entries = SmallEntries();
  const std::string content = BuildTable(entries, Small(256));
  BlockCache cache(64 << 10, 2, 0, {.partition_bytes = 16 << 10, .pinned_bytes = 0});
  auto table = OpenTable(content, &cache);
  REQUIRE_OK(table.status());
  std::atomic<int> wrong{0};
  std::atomic<bool> end{false};
  std::thread shrinker([&cache, &end]() {
    for (uint64_t bytes = 0; !end; bytes = (bytes + 8192) % (128 << 10)) {
      const BlockCache::PinnedCharge charge = cache.ChargePinned(bytes);
      std::this_thread::yield();
    }
  });
  std::vector<std::thread> readers;
  for (uint64_t number = 1; number <= 3; ++number) {
    readers.emplace_back([&entries, &table, &wrong, number]() {
      base::Random random(number);
      GetResult result;
      for (int i = 0; i < 2000; ++i) {
        const auto& [key, value] = entries[random.Uniform(entries.size())];
        const uint64_t hash = FilterHash(SpacedKey(key));
        if (!(*table)->Get(key, true, &result, hash).ok() || !result.found || result.value != value) ++wrong;
        if (i % 50 != 0) continue;
        const auto cursor = NewTableCursor(**table);
        cursor->Seek(key);
        for (int steps = 0; steps < 200 && cursor->Valid(); ++steps) cursor->Next();
        if (!cursor->status().ok()) ++wrong;
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  end = true;
  shrinker.join();
  CHECK(wrong == 0);
  CHECK(cache.ReaderBytes() == 0);
}

}  // namespace bandb::storage
