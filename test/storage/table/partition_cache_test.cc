#include "storage/table/partition_cache.h"

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/random.h"
#include "storage/table/block_cache.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

constexpr uint64_t kPartBytes = 1000;

// Which one it is.
class Part final : public CachedPartition {
 public:
  Part(PartitionCache* cache, size_t number, uint64_t bytes = kPartBytes) : CachedPartition(cache), number_(number) {
    Charge(bytes);
  }
  ~Part() override { number_ = SIZE_MAX; }
  size_t number() const { return number_; }

 private:
  size_t number_;
};

size_t NumberOf(const PartitionRef& ref) { return static_cast<const Part*>(ref.get())->number(); }

struct Rig {
  explicit Rig(size_t slot_count) : count(slot_count), slots(new PartitionSlot[slot_count]) {}
  ~Rig() { cache.Empty(slots.get(), count); }
  PartitionRef Insert(size_t i, uint64_t room, uint64_t bytes = kPartBytes) {
    return cache.Insert(&slots[i], std::make_unique<Part>(&cache, i, bytes), room);
  }
  PartitionRef Find(size_t i) { return PartitionRef(&slots[i]); }

  const size_t count;
  PartitionCache cache;
  std::unique_ptr<PartitionSlot[]> slots;
};

}  // namespace

TEST_CASE("partitions take no more than their room, whatever comes, and those in use stay") {
  Rig rig(100);
  constexpr uint64_t kRoom = 10 * kPartBytes;
  std::vector<PartitionRef> held;
  for (size_t i = 0; i < 4; ++i) held.push_back(rig.Insert(i, kRoom));
  for (size_t round = 0; round < 3; ++round) {
    for (size_t i = 4; i < 100; ++i) {
      CHECK(NumberOf(rig.Insert(i, kRoom)) == i);
      REQUIRE(rig.cache.live_bytes() <= kRoom);
    }
  }
  CHECK(rig.cache.partitions() == 10);
  for (size_t i = 0; i < 4; ++i) {
    CHECK(NumberOf(held[i]) == i);
    CHECK(NumberOf(rig.Find(i)) == i);
  }
}

TEST_CASE("a partition without room is its reader's own, and counted until that one goes") {
  Rig rig(3);
  PartitionRef large = rig.Insert(0, 5 * kPartBytes, 6 * kPartBytes);
  CHECK(NumberOf(large) == 0);
  CHECK_FALSE(static_cast<bool>(rig.Find(0)));
  CHECK(rig.cache.live_bytes() == 6 * kPartBytes);
  // All room is taken by what cannot go.
  const PartitionRef other = rig.Insert(1, 6 * kPartBytes);
  CHECK(NumberOf(other) == 1);
  CHECK_FALSE(static_cast<bool>(rig.Find(1)));
  large.Reset();
  CHECK(rig.cache.live_bytes() == kPartBytes);
  CHECK(rig.cache.partitions() == 0);
}

TEST_CASE("the partition that was there first is the one that all get, and what is used again stays") {
  Rig rig(50);
  constexpr uint64_t kRoom = 5 * kPartBytes;
  rig.Insert(7, kRoom);
  const CachedPartition* first = rig.Find(7).get();
  CHECK(rig.Insert(7, kRoom).get() == first);
  CHECK(rig.cache.live_bytes() == kPartBytes);
  for (size_t i = 8; i < 50; ++i) {
    REQUIRE(rig.Find(7).get() == first);
    rig.Insert(i, kRoom);
  }
  CHECK(rig.cache.evictions() > 30);
}

TEST_CASE("readers on many threads find the partition that they ask for, or none, while others evict") {
  Rig rig(40);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&rig, &wrong, seed]() {
      base::Random random(seed);
      std::vector<PartitionRef> held(3);
      for (int n = 0; n < 20'000; ++n) {
        const size_t i = random.Uniform(40);
        PartitionRef ref = rig.Find(i);
        if (!ref) ref = rig.Insert(i, 12 * kPartBytes);
        if (NumberOf(ref) != i) ++wrong;
        if (random.OneIn(3)) held[random.Uniform(held.size())] = std::move(ref);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(rig.cache.live_bytes() <= 12 * kPartBytes);
  CHECK(rig.cache.live_bytes() == rig.cache.partitions() * kPartBytes);
}

TEST_CASE("partitions take from the blocks of a cache what is beyond their own, and no more than half of it") {
  constexpr uint64_t kBlock = 1000 - sizeof(CachedBlock);
  BlockCache cache(100'000, 4, 0, {.partition_bytes = 20'000, .pinned_bytes = 10'000});
  const std::unique_ptr<PartitionSlot[]> slots(new PartitionSlot[200]);
  {
    const BlockCache::Table blocks(&cache, 400);
    const auto insert_blocks = [&]() {
      for (size_t i = 0; i < 400; ++i) blocks.Insert(i, cache.Allocate(kBlock));
      return cache.GetStats().block_bytes;
    };
    const auto insert_partition = [&](size_t i) {
      cache.InsertPartition(&slots[i], std::make_unique<Part>(cache.partitions(), i));
      const BlockCache::CacheStats stats = cache.GetStats();
      // At any moment, without waiting for the next block.
      REQUIRE(stats.block_bytes + stats.partition_bytes <= 120'000);
    };
    CHECK(insert_blocks() == 100'000);
    for (size_t i = 0; i < 20; ++i) insert_partition(i);
    CHECK(insert_blocks() == 100'000);
    for (size_t i = 20; i < 200; ++i) insert_partition(i);
    CHECK(cache.GetStats().partition_bytes == 70'000);
    CHECK(insert_blocks() == 50'000);
    // What is pinned beyond its own takes from both, down to a floor.
    const BlockCache::PinnedCharge charge = cache.ChargePinned(50'000);
    insert_partition(0);
    CHECK(cache.GetStats().partition_bytes <= 20'000 + 30'000);
    CHECK(insert_blocks() <= 60'000 - 30'000);
    const BlockCache::PinnedCharge more = cache.ChargePinned(500'000);
    insert_partition(1);
    CHECK(cache.GetStats().partition_bytes <= 20'000 + 12'500);
    CHECK(insert_blocks() == 25'000);
  }
  cache.partitions()->Empty(slots.get(), 200);
}

TEST_CASE("what is held counts partitions that found no room, and tells readers from tables") {
  BlockCache cache(0, 1, 0, {.partition_bytes = 2 * kPartBytes, .pinned_bytes = 0});
  const std::unique_ptr<PartitionSlot[]> slots(new PartitionSlot[5]);
  const uint64_t before = cache.HeldBytes();
  {
    std::vector<PartitionRef> held;
    for (size_t i = 0; i < 5; ++i) {
      held.push_back(cache.InsertPartition(&slots[i], std::make_unique<Part>(cache.partitions(), i)));
    }
    CHECK(cache.GetStats().partitions == 2);
    CHECK(cache.HeldBytes() == before + 3 * kPartBytes);
    CHECK(cache.ReaderBytes() == 3 * kPartBytes);
    const BlockCache::PinnedCharge table = cache.ChargeTable(100);
    const BlockCache::PinnedCharge reader = cache.ChargePinned(10);
    CHECK(cache.HeldBytes() == before + 3 * kPartBytes + 110);
    CHECK(cache.ReaderBytes() == 3 * kPartBytes + 10);
    CHECK(cache.GetStats().pinned_charge_bytes == 110);
  }
  CHECK(cache.HeldBytes() == before);
  // Nor is it changed by one that takes another's place.
  cache.InsertPartition(&slots[4], std::make_unique<Part>(cache.partitions(), 4));
  CHECK(cache.GetStats().partition_evictions == 1);
  CHECK(cache.ReaderBytes() == 0);
  cache.partitions()->Empty(slots.get(), 5);
  CHECK(cache.partitions()->owned_bytes() == 0);
}

TEST_CASE("what readers hold outside of the cache is taken from what is in it, down to the floor") {
  constexpr uint64_t kBlock = 1000 - sizeof(CachedBlock);
  BlockCache cache(100'000, 4);
  std::vector<BlockRef> held;
  const BlockCache::Table blocks(&cache, 1000);
  for (size_t i = 0; i < 200; ++i) blocks.Insert(i, cache.Allocate(kBlock));
  CHECK(cache.GetStats().live_bytes == 100'000);
  for (size_t i = 0; i < 60; ++i) held.push_back(cache.Allocate(kBlock));
  for (size_t i = 200; i < 400; ++i) blocks.Insert(i, cache.Allocate(kBlock));
  CHECK(cache.GetStats().live_bytes == 100'000);
  CHECK(cache.GetStats().block_bytes == 40'000);
  for (size_t i = 0; i < 60; ++i) held.push_back(cache.Allocate(kBlock));
  for (size_t i = 400; i < 600; ++i) blocks.Insert(i, cache.Allocate(kBlock));
  CHECK(cache.GetStats().block_bytes == 25'000);
}

TEST_CASE("a block of any size that fits into the cache is kept, however many shards there are") {
  BlockCache cache(160'000, 16);
  const BlockCache::Table blocks(&cache, 3);
  for (size_t i = 0; i < 3; ++i) {
    // Once more where another one has to go for it.
    for (int times = i == 0 ? 1 : 2; times > 0; --times) blocks.Insert(i, cache.Allocate(100'000));
    CHECK(static_cast<bool>(blocks.Lookup(i)));
    CHECK(cache.GetStats().blocks == 1);
  }
}

}  // namespace bandb::storage
