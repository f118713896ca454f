#include "storage/block_cache.h"

#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

// A block whose content says which one it is.
BlockRef Make(BlockCache* cache, uint64_t table_id, uint64_t offset, size_t bytes = 1000) {
  BlockRef block = cache->Allocate(bytes);
  std::memset(block.writable(), static_cast<int>(table_id * 31 + offset), bytes);
  return block;
}

BlockRef Put(BlockCache* cache, uint64_t table_id, uint64_t offset, size_t bytes = 1000) {
  return cache->Insert(table_id, offset, Make(cache, table_id, offset, bytes));
}

bool IsRight(const BlockRef& block, uint64_t table_id, uint64_t offset) {
  return block.payload().front() == static_cast<char>(table_id * 31 + offset) &&
         block.payload().back() == block.payload().front();
}

}  // namespace

TEST_CASE("the cache returns what was put in, and nothing else") {
  BlockCache cache(1 << 20, 4);
  for (uint64_t table = 1; table <= 5; ++table) {
    for (uint64_t offset = 0; offset < 50; ++offset) Put(&cache, table, offset * 7);
  }
  for (uint64_t table = 1; table <= 5; ++table) {
    for (uint64_t offset = 0; offset < 50; ++offset) {
      const BlockRef block = cache.Lookup(table, offset * 7);
      REQUIRE(static_cast<bool>(block));
      CHECK(IsRight(block, table, offset * 7));
      CHECK_FALSE(static_cast<bool>(cache.Lookup(table, offset * 7 + 1)));
    }
  }
  const BlockCache::CacheStats stats = cache.GetStats();
  CHECK(stats.hits == 250);
  CHECK(stats.misses == 250);
  CHECK(stats.blocks == 250);
  CHECK(stats.block_bytes == 250 * (1000 + sizeof(CachedBlock)));
  CHECK(stats.live_bytes == stats.block_bytes);
  CHECK(stats.pinned_block_bytes == 0);
}

TEST_CASE("the budget holds, whatever comes") {
  base::Random random(8);
  BlockCache cache(100'000, 1);
  for (int i = 0; i < 5000; ++i) {
    Put(&cache, 1, random.Uniform(1000), 1 + random.Uniform(3000));
    const BlockCache::CacheStats stats = cache.GetStats();
    REQUIRE(stats.block_bytes <= 100'000);
    REQUIRE(stats.live_bytes == stats.block_bytes);
  }
  CHECK(cache.GetStats().blocks > 20);
}

TEST_CASE("what is asked for again and again outlives a scan") {
  BlockCache cache(200 * (1000 + sizeof(CachedBlock)), 1);
  for (uint64_t hot = 0; hot < 20; ++hot) Put(&cache, 1, hot);
  for (uint64_t scanned = 0; scanned < 2000; ++scanned) {
    Put(&cache, 2, scanned);
    for (uint64_t hot = 0; hot < 20; ++hot) REQUIRE(static_cast<bool>(cache.Lookup(1, hot)));
  }
}

TEST_CASE("blocks in use are not evicted, and what finds no room lives as long as its reference") {
  BlockCache cache(10 * (1000 + sizeof(CachedBlock)), 1);
  std::vector<BlockRef> held;
  for (uint64_t offset = 0; offset < 30; ++offset) held.push_back(Put(&cache, 1, offset));
  BlockCache::CacheStats stats = cache.GetStats();
  CHECK(stats.blocks == 10);
  CHECK(stats.live_bytes == 30 * (1000 + sizeof(CachedBlock)));
  CHECK(stats.pinned_block_bytes == stats.live_bytes);
  for (uint64_t offset = 0; offset < 30; ++offset) CHECK(IsRight(held[offset], 1, offset));
  held.clear();
  stats = cache.GetStats();
  CHECK(stats.live_bytes == 10 * (1000 + sizeof(CachedBlock)));
  CHECK(stats.pinned_block_bytes == 0);
}

TEST_CASE("the second of two threads that read the same block gets the first one's") {
  BlockCache cache(1 << 20, 1);
  const BlockRef first = Put(&cache, 1, 1);
  const BlockRef second = Put(&cache, 1, 1);
  CHECK(first.payload().data() == second.payload().data());
  CHECK(cache.GetStats().blocks == 1);
}

TEST_CASE("a cache without capacity keeps nothing and serves all the same") {
  BlockCache cache(0);
  {
    const BlockRef block = Put(&cache, 1, 1);
    CHECK(IsRight(block, 1, 1));
    CHECK_FALSE(static_cast<bool>(cache.Lookup(1, 1)));
    CHECK(cache.GetStats().pinned_block_bytes == 1000 + sizeof(CachedBlock));
  }
  CHECK(cache.GetStats().live_bytes == 0);
}

TEST_CASE("a block larger than a shard does not empty it") {
  BlockCache cache(100'000, 1);
  for (uint64_t offset = 0; offset < 50; ++offset) Put(&cache, 1, offset);
  const uint64_t blocks = cache.GetStats().blocks;
  CHECK(IsRight(Put(&cache, 2, 0, 200'000), 2, 0));
  CHECK(cache.GetStats().blocks == blocks);
}

TEST_CASE("pinned charges come out of the same budget") {
  BlockCache cache(100'000, 1);
  for (uint64_t offset = 0; offset < 200; ++offset) Put(&cache, 1, offset);
  CHECK(cache.GetStats().block_bytes > 90'000);
  {
    BlockCache::PinnedCharge charge = cache.ChargePinned(60'000);
    const BlockCache::PinnedCharge moved = std::move(charge);
    Put(&cache, 1, 1000);
    const BlockCache::CacheStats stats = cache.GetStats();
    CHECK(stats.pinned_charge_bytes == 60'000);
    CHECK(stats.used_bytes() <= 100'000);
    const BlockCache::PinnedCharge beyond = cache.ChargePinned(60'000);
    Put(&cache, 1, 1001);
    CHECK(cache.GetStats().blocks == 0);
  }
  CHECK(cache.GetStats().pinned_charge_bytes == 0);
  Put(&cache, 1, 1002);
  CHECK(cache.GetStats().blocks == 1);
}

TEST_CASE("shards share the budget among them") {
  for (const uint32_t shards : {1u, 3u, 16u, 1000u}) {
    BlockCache cache(1 << 20, shards);
    for (uint64_t offset = 0; offset < 3000; ++offset) Put(&cache, 1, offset * 4096);
    CHECK(cache.GetStats().block_bytes <= 1 << 20);
    // Keys spread over the shards: each holds its part.
    CHECK(cache.GetStats().block_bytes > (shards > 16 ? 600'000 : 900'000));
  }
}

TEST_CASE("many threads look up, fill and evict without losing a block") {
  BlockCache cache(64 * (1000 + sizeof(CachedBlock)), 2);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&cache, &wrong, seed] {
      base::Random random(seed);
      std::vector<BlockRef> held(4);
      for (int i = 0; i < 20'000; ++i) {
        const uint64_t offset = random.Uniform(120);
        BlockRef block = cache.Lookup(1, offset);
        if (!block) block = Put(&cache, 1, offset);
        if (!IsRight(block, 1, offset)) ++wrong;
        if (random.OneIn(4)) held[random.Uniform(held.size())] = std::move(block);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  const BlockCache::CacheStats stats = cache.GetStats();
  CHECK(stats.live_bytes == stats.block_bytes);
  CHECK(stats.block_bytes <= cache.capacity_bytes());
}

}  // namespace bandb::storage
