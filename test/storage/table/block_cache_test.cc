#include "storage/table/block_cache.h"

#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

// A block whose content says which one it is.
BlockRef Make(BlockCache* cache, uint64_t table, size_t block, size_t bytes = 1000) {
  BlockRef content = cache->Allocate(bytes);
  std::memset(content.writable(), static_cast<int>(table * 31 + block), bytes);
  return content;
}

bool IsRight(const BlockRef& content, uint64_t table, size_t block) {
  return content.payload().front() == static_cast<char>(table * 31 + block) &&
         content.payload().back() == content.payload().front();
}

// A cache and tables of 3000 blocks each, numbered from 0.
struct Rig {
  explicit Rig(uint64_t capacity_bytes, uint32_t shards = 1, size_t table_count = 5) : cache(capacity_bytes, shards) {
    for (size_t i = 0; i < table_count; ++i) tables.push_back(std::make_unique<BlockCache::Table>(&cache, 3000));
  }
  BlockRef Put(size_t table, size_t block, size_t bytes = 1000) {
    return tables[table]->Insert(block, Make(&cache, table, block, bytes));
  }
  BlockRef Lookup(size_t table, size_t block) { return tables[table]->Lookup(block); }

  BlockCache cache;
  std::vector<std::unique_ptr<BlockCache::Table>> tables;
};

}  // namespace

TEST_CASE("the cache returns what was put in, and nothing else") {
  Rig rig(1 << 20, 4);
  for (size_t table = 0; table < 5; ++table) {
    for (size_t block = 0; block < 50; ++block) rig.Put(table, block * 7);
  }
  for (size_t table = 0; table < 5; ++table) {
    for (size_t block = 0; block < 50; ++block) {
      const BlockRef found = rig.Lookup(table, block * 7);
      REQUIRE(static_cast<bool>(found));
      CHECK(IsRight(found, table, block * 7));
      CHECK_FALSE(static_cast<bool>(rig.Lookup(table, block * 7 + 1)));
    }
  }
  const BlockCache::CacheStats stats = rig.cache.GetStats();
  CHECK(stats.hits == 250);
  CHECK(stats.misses == 250);
  CHECK(stats.blocks == 250);
  CHECK(stats.block_bytes == 250 * (1000 + sizeof(CachedBlock)));
  CHECK(stats.live_bytes == stats.block_bytes);
  CHECK(rig.cache.PinnedBlockBytes() == 0);
}

TEST_CASE("a table takes its blocks with it, except those in use") {
  Rig rig(1 << 20, 4, 2);
  for (size_t block = 0; block < 50; ++block) {
    rig.Put(0, block);
    rig.Put(1, block);
  }
  const BlockRef held = rig.Lookup(0, 3);
  rig.tables[0].reset();
  const BlockCache::CacheStats stats = rig.cache.GetStats();
  CHECK(stats.blocks == 50);
  CHECK(stats.live_bytes == 51 * (1000 + sizeof(CachedBlock)));
  CHECK(IsRight(held, 0, 3));
  for (size_t block = 0; block < 50; ++block) CHECK(static_cast<bool>(rig.Lookup(1, block)));
}

TEST_CASE("the budget holds, whatever comes") {
  base::Random random(8);
  Rig rig(100'000, 1);
  for (int i = 0; i < 5000; ++i) {
    rig.Put(1, random.Uniform(1000), 1 + random.Uniform(3000));
    const BlockCache::CacheStats stats = rig.cache.GetStats();
    REQUIRE(stats.block_bytes <= 100'000);
    REQUIRE(stats.live_bytes == stats.block_bytes);
  }
  CHECK(rig.cache.GetStats().blocks > 20);
}

TEST_CASE("what is asked for again and again outlives a scan") {
  Rig rig(200 * (1000 + sizeof(CachedBlock)), 1);
  for (uint64_t hot = 0; hot < 20; ++hot) rig.Put(1, hot);
  for (uint64_t scanned = 0; scanned < 2000; ++scanned) {
    rig.Put(2, scanned);
    for (uint64_t hot = 0; hot < 20; ++hot) REQUIRE(static_cast<bool>(rig.Lookup(1, hot)));
  }
}

TEST_CASE("a full cache admits what is asked for a second time") {
  constexpr size_t kBlocks = 200;
  Rig rig(kBlocks * (1000 + sizeof(CachedBlock)), 1);
  for (size_t block = 0; block < kBlocks; ++block) rig.Put(1, block);
  const uint64_t full = rig.cache.GetStats().blocks;
  REQUIRE(full > kBlocks * 9 / 10);
  // What is turned away serves all the same.
  CHECK(IsRight(rig.Put(2, 7), 2, 7));
  CHECK_FALSE(static_cast<bool>(rig.Lookup(2, 7)));
  CHECK(IsRight(rig.Put(2, 7), 2, 7));
  CHECK(IsRight(rig.Lookup(2, 7), 2, 7));
  CHECK(rig.cache.GetStats().block_bytes <= rig.cache.capacity_bytes());
}

TEST_CASE("what is read once each evicts nothing from a full cache") {
  constexpr size_t kBlocks = 200;
  Rig rig(kBlocks * (1000 + sizeof(CachedBlock)), 1);
  for (size_t block = 0; block < kBlocks; ++block) rig.Put(1, block);
  std::vector<size_t> present;
  for (size_t block = 0; block < kBlocks; ++block) {
    if (rig.Lookup(1, block)) present.push_back(block);
  }
  REQUIRE(present.size() > kBlocks * 9 / 10);
  for (size_t block = 0; block < 3000; ++block) rig.Put(2, block);
  for (const size_t block : present) CHECK(static_cast<bool>(rig.Lookup(1, block)));
}

TEST_CASE("that a block was asked for is forgotten once twice as many others were as are in the cache") {
  constexpr size_t kBlocks = 100;
  Rig rig(kBlocks * (1000 + sizeof(CachedBlock)), 1);
  for (size_t block = 0; block < kBlocks; ++block) rig.Put(1, block);
  rig.Put(2, 0);
  for (size_t block = 1; block < 50; ++block) rig.Put(2, block);
  // Remembered still.
  rig.Put(2, 1);
  CHECK(static_cast<bool>(rig.Lookup(2, 1)));
  for (size_t block = 50; block < 350; ++block) rig.Put(2, block);
  rig.Put(2, 0);
  CHECK_FALSE(static_cast<bool>(rig.Lookup(2, 0)));
  // Turned away again, and remembered from now on.
  rig.Put(2, 0);
  CHECK(static_cast<bool>(rig.Lookup(2, 0)));
}

TEST_CASE("what other readers hold makes room though no block is admitted") {
  constexpr size_t kBlocks = 200;
  Rig rig(kBlocks * (1000 + sizeof(CachedBlock)), 1);
  for (size_t block = 0; block < kBlocks; ++block) rig.Put(1, block);
  const BlockCache::PinnedCharge charge = rig.cache.ChargePinned(50 * (1000 + sizeof(CachedBlock)));
  rig.Put(2, 0);
  CHECK_FALSE(static_cast<bool>(rig.Lookup(2, 0)));
  CHECK(rig.cache.GetStats().used_bytes() <= rig.cache.capacity_bytes());
}

TEST_CASE("blocks in use are not evicted, and what finds no room lives as long as its reference") {
  Rig rig(10 * (1000 + sizeof(CachedBlock)), 1);
  std::vector<BlockRef> held;
  for (uint64_t offset = 0; offset < 30; ++offset) held.push_back(rig.Put(1, offset));
  BlockCache::CacheStats stats = rig.cache.GetStats();
  CHECK(stats.blocks == 10);
  CHECK(stats.live_bytes == 30 * (1000 + sizeof(CachedBlock)));
  CHECK(rig.cache.PinnedBlockBytes() == stats.live_bytes);
  for (uint64_t offset = 0; offset < 30; ++offset) CHECK(IsRight(held[offset], 1, offset));
  held.clear();
  stats = rig.cache.GetStats();
  CHECK(stats.live_bytes == 10 * (1000 + sizeof(CachedBlock)));
  CHECK(rig.cache.PinnedBlockBytes() == 0);
}

TEST_CASE("the second of two threads that read the same block gets the first one's") {
  Rig rig(1 << 20, 1);
  const BlockRef first = rig.Put(1, 1);
  const BlockRef second = rig.Put(1, 1);
  CHECK(first.payload().data() == second.payload().data());
  CHECK(rig.cache.GetStats().blocks == 1);
}

TEST_CASE("a cache without capacity keeps nothing and serves all the same") {
  Rig rig(0);
  {
    const BlockRef block = rig.Put(1, 1);
    CHECK(IsRight(block, 1, 1));
    CHECK_FALSE(static_cast<bool>(rig.Lookup(1, 1)));
    CHECK(rig.cache.PinnedBlockBytes() == 1000 + sizeof(CachedBlock));
  }
  CHECK(rig.cache.GetStats().live_bytes == 0);
}

TEST_CASE("a block larger than a shard does not empty it") {
  Rig rig(100'000, 1);
  for (uint64_t offset = 0; offset < 50; ++offset) rig.Put(1, offset);
  const uint64_t blocks = rig.cache.GetStats().blocks;
  CHECK(IsRight(rig.Put(2, 0, 200'000), 2, 0));
  CHECK(rig.cache.GetStats().blocks == blocks);
}

TEST_CASE("pinned charges come out of the same budget") {
  Rig rig(100'000, 1);
  for (uint64_t offset = 0; offset < 200; ++offset) rig.Put(1, offset);
  CHECK(rig.cache.GetStats().block_bytes > 90'000);
  {
    BlockCache::PinnedCharge charge = rig.cache.ChargePinned(60'000);
    const BlockCache::PinnedCharge moved = std::move(charge);
    rig.Put(1, 1000);
    const BlockCache::CacheStats stats = rig.cache.GetStats();
    CHECK(stats.pinned_charge_bytes == 60'000);
    CHECK(stats.used_bytes() <= 100'000);
    // A quarter stays for blocks, however much is pinned.
    const BlockCache::PinnedCharge beyond = rig.cache.ChargePinned(600'000);
    for (size_t block = 1001; block < 1100; ++block) rig.Put(1, block);
    CHECK(rig.cache.GetStats().block_bytes <= 25'000);
    CHECK(rig.cache.GetStats().block_bytes > 23'000);
  }
  CHECK(rig.cache.GetStats().pinned_charge_bytes == 0);
  rig.Put(1, 1002);
  CHECK(static_cast<bool>(rig.Lookup(1, 1002)));
}

TEST_CASE("shards share the budget among them") {
  for (const uint32_t shards : {1u, 3u, 16u, 1000u}) {
    Rig rig(1 << 20, shards);
    for (uint64_t offset = 0; offset < 3000; ++offset) rig.Put(1, offset);
    CHECK(rig.cache.GetStats().block_bytes <= 1 << 20);
    // Keys spread over the shards: each holds its part.
    CHECK(rig.cache.GetStats().block_bytes > (shards > 16 ? 600'000 : 900'000));
  }
}

TEST_CASE("many threads look up, fill and evict without losing a block") {
  Rig rig(64 * (1000 + sizeof(CachedBlock)), 2);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&rig, &wrong, seed] {
      base::Random random(seed);
      std::vector<BlockRef> held(4);
      for (int i = 0; i < 20'000; ++i) {
        const uint64_t offset = random.Uniform(120);
        BlockRef block = rig.Lookup(1, offset);
        if (!block) block = rig.Put(1, offset);
        if (!IsRight(block, 1, offset)) ++wrong;
        if (random.OneIn(4)) held[random.Uniform(held.size())] = std::move(block);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  const BlockCache::CacheStats stats = rig.cache.GetStats();
  CHECK(stats.live_bytes == stats.block_bytes);
  CHECK(stats.block_bytes <= rig.cache.capacity_bytes());
}

TEST_CASE("a table ends while other threads evict its blocks") {
  // For the thread sanitizer: what a table has of its blocks is freed after the last that others do
  // with it.
  Rig rig(16 * (1000 + sizeof(CachedBlock)), 1, 1);
  std::atomic<bool> end{false};
  std::thread evictor([&rig, &end]() {
    for (size_t block = 0; !end; block = (block + 1) % 3000) rig.Put(0, block);
  });
  for (int i = 0; i < 20'000; ++i) {
    const BlockCache::Table table(&rig.cache, 4);
    for (size_t block = 0; block < 4; ++block) table.Insert(block, Make(&rig.cache, 1, block));
    if (i % 8 == 0) std::this_thread::yield();
  }
  end = true;
  evictor.join();
  const BlockCache::CacheStats stats = rig.cache.GetStats();
  CHECK(stats.live_bytes == stats.block_bytes);
}

TEST_CASE("blocks of any size that may be asked for are kept, whatever the capacity") {
  for (const uint64_t block_bytes : {4u << 10, 64u << 10, 512u << 10, 1u << 20}) {
    for (const uint64_t blocks : {8u, 16u, 64u}) {
      BlockCache cache(blocks * block_bytes, 0, block_bytes);
      const BlockCache::Table table(&cache, blocks);
      // All pinned but the floor: a quarter of the blocks is kept still.
      const BlockCache::PinnedCharge pinned = cache.ChargePinned(blocks * block_bytes);
      for (size_t i = 0; i < blocks; ++i) table.Insert(i, Make(&cache, 0, i, block_bytes - sizeof(CachedBlock)));
      CAPTURE(block_bytes, blocks);
      CHECK(cache.GetStats().blocks >= blocks / 4);
      CHECK(cache.GetStats().block_bytes <= blocks * block_bytes / 4);
    }
  }
}

}  // namespace bandb::storage
