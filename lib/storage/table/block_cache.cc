#include "storage/table/block_cache.h"

#include <algorithm>
#include <bit>
#include <new>

#include "base/assert.h"

namespace bandb::storage {

namespace {

constexpr uint64_t kShardBytesWanted = 512 << 10;
constexpr uint64_t kShardBlocksWanted = 16;
constexpr uint32_t kShardsWanted = 16;
// The part of the capacity that is the blocks' whatever is pinned: one in so many bytes.
constexpr uint64_t kFloorParts = 4;
// The part that partitions may take beyond what is theirs alone.
constexpr uint64_t kPartitionShareParts = 2;
constexpr uint32_t kShardsMax = 256;
// The restarts and keys of a block of the default size with values of a hundred bytes.
constexpr size_t kPrefetchedLines = 8;
// The part of the capacity that freed blocks may keep, and when it is worth it.
constexpr uint64_t kKeptParts = 64;
constexpr uint64_t kKeptBytesMin = 64 << 10;
constexpr uint64_t kKeptBytesMax = 512 << 10;
// How far ahead of the hand headers are asked for.
constexpr size_t kHandAhead = 4;
// What blocks that were turned away may take for a moment before others are evicted for them: one
// part of the capacity in so many.
constexpr uint64_t kPassingParts = 64;
static_assert(alignof(CachedBlock) == BlockMemory::kAlignment);

uint32_t ShardCount(uint64_t capacity_bytes, uint32_t asked, uint64_t block_bytes) {
  const uint64_t shard_bytes = std::max(kShardBytesWanted, kShardBlocksWanted * block_bytes);
  const uint64_t wanted = asked != 0 ? asked : std::clamp<uint64_t>(capacity_bytes / shard_bytes, 1, kShardsWanted);
  // Down for what is chosen here, so that the shares are what they should be.
  if (asked == 0) return std::bit_floor(static_cast<uint32_t>(wanted));
  return std::bit_ceil(static_cast<uint32_t>(std::min<uint64_t>(wanted, kShardsMax)));
}

uint64_t KeptBytes(uint64_t capacity_bytes) {
  const uint64_t part = std::min(capacity_bytes / kKeptParts, kKeptBytesMax);
  return part < kKeptBytesMin ? 0 : part;
}

// Where a table has no block, its pointer may hold the era in which one was turned away, marked by
// the lowest bit, which no address of a block has.
constexpr uintptr_t kTurnedAway = 1;

CachedBlock* BlockOrNull(CachedBlock* held) {
  return (reinterpret_cast<uintptr_t>(held) & kTurnedAway) == 0 ? held : nullptr;
}

CachedBlock* TurnedAwayIn(uint32_t era) {
  return reinterpret_cast<CachedBlock*>(uintptr_t{era} << 1 | kTurnedAway);  // NOLINT(performance-no-int-to-ptr)
}

// Whether that was in this era or the one before.
bool WasTurnedAway(CachedBlock* held, uint32_t era) {
  return held == TurnedAwayIn(era) || (era != 0 && held == TurnedAwayIn(era - 1));
}

void PrefetchBlock(CachedBlock* block) {
  // The header to write, the payload to read.
  __builtin_prefetch(block, 1);
  for (size_t line = 0; line < kPrefetchedLines; ++line) {
    __builtin_prefetch(block->payload() + line * sizeof(CachedBlock));
  }
}

}  // namespace

void CachedBlock::Free() {
  BlockLedger* const owner = ledger;
  const uint64_t bytes = charge_bytes;
  this->~CachedBlock();
  owner->memory()->Give(this, bytes);
  owner->Leave(bytes);
}

BlockCache::BlockCache(uint64_t capacity_bytes, uint32_t shard_count, uint64_t block_bytes, const Spare& spare)
    : capacity_bytes_(capacity_bytes),
      kept_bytes_max_(KeptBytes(capacity_bytes)),
      spare_(spare),
      shard_count_(ShardCount(capacity_bytes, shard_count, block_bytes)),
      shards_(new Shard[shard_count_]),
      ledger_(new BlockLedger(kept_bytes_max_)) {
  ledger_->Join(0);
}

BlockCache::~BlockCache() {
  BANDB_ASSERT(pinned_charge_bytes_.load(std::memory_order_relaxed) == 0);
  BANDB_ASSERT(table_charge_bytes_.load(std::memory_order_relaxed) == 0);
  for (uint32_t i = 0; i < shard_count_; ++i) {
    // The tables took their blocks with them.
    const base::MutexLock lock(&shards_[i].mutex);
    BANDB_ASSERT(shards_[i].bytes == 0);
  }
  ledger_->Leave(0);
}

BlockRef BlockCache::Allocate(size_t payload_bytes) {
  const size_t charge_bytes = sizeof(CachedBlock) + payload_bytes;
  void* memory = ledger_->memory()->Take(charge_bytes);
  auto* block = new (memory) CachedBlock;
  block->payload_bytes = payload_bytes;
  block->charge_bytes = charge_bytes;
  block->ledger = ledger_;
  ledger_->Join(charge_bytes);
  return BlockRef(block);
}

uint64_t BlockCache::PinnedBytes() const {
  return pinned_charge_bytes_.load(std::memory_order_relaxed) + table_charge_bytes_.load(std::memory_order_relaxed) +
         working_bytes_.load(std::memory_order_relaxed);
}

uint64_t BlockCache::Left() const {
  const uint64_t pinned = PinnedBytes();
  const uint64_t beyond = pinned - std::min(pinned, spare_.pinned_bytes);
  const uint64_t room = capacity_bytes_ - kept_bytes_max_;
  return std::max(room - std::min(beyond, room), BlockFloor());
}

uint64_t BlockCache::BlockFloor() const { return capacity_bytes_ / kFloorParts; }

uint64_t BlockCache::PartitionRoom() const { return spare_.partition_bytes + Left() / kPartitionShareParts; }

uint64_t BlockCache::BlockRoom() const {
  const uint64_t partitions = partitions_.live_bytes();
  const uint64_t beyond = partitions - std::min(partitions, spare_.partition_bytes);
  const uint64_t left = Left();
  return std::max(left - std::min(beyond, left), BlockFloor());
}

uint64_t BlockCache::Excess() const {
  const uint64_t live = ledger_->live_bytes();
  const uint64_t cached = cached_bytes_.load(std::memory_order_relaxed);
  const uint64_t room = BlockRoom();
  const uint64_t floor = BlockFloor();
  // What readers hold outside of the cache takes no more from it than leaves the floor.
  return std::min(live - std::min(live, room), cached - std::min(cached, floor));
}

bool BlockCache::HasRoomFor(uint64_t bytes) const {
  return ledger_->live_bytes() <= BlockRoom() || cached_bytes_.load(std::memory_order_relaxed) + bytes <= BlockFloor();
}

uint64_t BlockCache::HeldBytes() const {
  // What is not in use yet of what stays theirs, blocks and partitions may take at any time.
  const uint64_t floors = BlockFloor() + spare_.partition_bytes + BlockFloor() / kPartitionShareParts;
  return table_charge_bytes_.load(std::memory_order_relaxed) + working_bytes_.load(std::memory_order_relaxed) + floors +
         ReaderBytes();
}

uint64_t BlockCache::ReaderBytes() const {
  const uint64_t live = ledger_->live_bytes();
  const uint64_t cached = cached_bytes_.load(std::memory_order_relaxed);
  return pinned_charge_bytes_.load(std::memory_order_relaxed) + (live - std::min(live, cached)) +
         partitions_.owned_bytes();
}

static_assert(sizeof(CachedBlock) == 64, "a header takes one cache line");

BlockCache::Table::Table(BlockCache* cache, size_t block_count)
    : cache_(cache),
      block_count_(block_count),
      first_shard_(cache->tables_.fetch_add(1, std::memory_order_relaxed)),
      blocks_(new std::atomic<CachedBlock*>[block_count]()) {}

BlockCache::Table::~Table() {
  for (size_t i = 0; i < block_count_; ++i) {
    // After all that another thread did with the pointer, for it is freed next.
    if (BlockOrNull(blocks_[i].load(std::memory_order_acquire)) == nullptr) continue;
    Shard& shard = cache_->ShardOf(first_shard_ + i);
    CachedBlock* block = nullptr;
    {
      const base::MutexLock lock(&shard.mutex);
      block = BlockOrNull(blocks_[i].load(std::memory_order_relaxed));
      if (block != nullptr) cache_->RemoveLocked(&shard, block);
    }
    if (block != nullptr) block->Unref();
  }
}

BlockRef BlockCache::Table::Lookup(size_t block) const {
  BANDB_ASSERT(block < block_count_);
  Shard& shard = cache_->ShardOf(first_shard_ + block);
  // Only a hint, which may be gone already; what is asked for is on its way while the lock is
  // taken. If it is just coming, it is read a second time.
  CachedBlock* found = BlockOrNull(blocks_[block].load(std::memory_order_relaxed));
  if (found != nullptr) {
    PrefetchBlock(found);
    const base::MutexLock lock(&shard.mutex);
    found = BlockOrNull(blocks_[block].load(std::memory_order_relaxed));
    if (found != nullptr) return HitLocked(&shard, found);
  }
  shard.misses.fetch_add(1, std::memory_order_relaxed);
  return BlockRef();
}

BlockRef BlockCache::HitLocked(Shard* shard, CachedBlock* found) {
  found->marked = true;
  found->references.fetch_add(1, std::memory_order_relaxed);
  ++shard->hits;
  return BlockRef(found);
}

bool BlockCache::AdmitLocked(Shard* shard, std::atomic<CachedBlock*>* home, size_t block_bytes) const {
  CachedBlock* const held = home->load(std::memory_order_relaxed);
  if (BlockOrNull(held) != nullptr || WasTurnedAway(held, shard->era)) return true;
  home->store(TurnedAwayIn(shard->era), std::memory_order_relaxed);
  // As many as are here, or would be if each shard had its part.
  const uint64_t part = cached_bytes_.load(std::memory_order_relaxed) / shard_count_ / block_bytes;
  if (++shard->turned_away > std::max(shard->blocks, part)) {
    ++shard->era;
    shard->turned_away = 0;
  }
  return false;
}

BlockRef BlockCache::Table::Insert(size_t block, BlockRef content) const {
  BANDB_ASSERT(block < block_count_);
  BANDB_ASSERT(static_cast<bool>(content));
  BANDB_ASSERT(content.block_->home == nullptr);
  CachedBlock* const added = content.block_;
  // What is too large whatever is evicted must not empty the cache.
  if (added->charge_bytes > cache_->BlockRoom()) return content;
  const size_t number = first_shard_ + block;
  Shard& shard = cache_->ShardOf(number);
  if (!cache_->HasRoomFor(added->charge_bytes)) {
    bool admitted = false;
    {
      const base::MutexLock lock(&shard.mutex);
      admitted = cache_->AdmitLocked(&shard, &blocks_[block], added->charge_bytes);
    }
    if (!admitted) {
      // What is there for longer is made room for all the same; this one goes soon, as do those
      // that other threads are reading now.
      if (cache_->Excess() > added->charge_bytes + cache_->capacity_bytes_ / kPassingParts) cache_->MakeRoom(number);
      return content;
    }
  }
  // Its place first: what others bring in meanwhile finds it taken.
  cache_->cached_bytes_.fetch_add(added->charge_bytes, std::memory_order_relaxed);
  if (cache_->Excess() != 0) cache_->MakeRoom(number);
  BlockRef present;
  const bool fits = cache_->Excess() == 0;
  {
    const base::MutexLock lock(&shard.mutex);
    CachedBlock* const found = BlockOrNull(blocks_[block].load(std::memory_order_relaxed));
    if (found != nullptr) {
      found->references.fetch_add(1, std::memory_order_relaxed);
      present = BlockRef(found);
    } else if (fits) {
      cache_->AddLocked(&shard, &blocks_[block], added);
      return content;
    }
  }
  cache_->cached_bytes_.fetch_sub(added->charge_bytes, std::memory_order_relaxed);
  return present ? std::move(present) : std::move(content);
}

void BlockCache::AddLocked(Shard* shard, std::atomic<CachedBlock*>* home, CachedBlock* block) {
  if (shard->free_places.empty()) {
    block->clock_place = static_cast<uint32_t>(shard->clock.size());
    shard->clock.push_back(block);
  } else {
    // Where a block was evicted last, just after the hand has passed: the hand comes by there as
    // late as can be.
    block->clock_place = shard->free_places.back();
    shard->free_places.pop_back();
    shard->clock[block->clock_place] = block;
  }
  block->home = home;
  block->references.fetch_add(1, std::memory_order_relaxed);
  home->store(block, std::memory_order_relaxed);
  shard->bytes += block->charge_bytes;
  ++shard->blocks;
}

void BlockCache::RemoveLocked(Shard* shard, CachedBlock* block) {
  BANDB_ASSERT(shard->clock[block->clock_place] == block);
  BANDB_ASSERT(shard->bytes >= block->charge_bytes);
  shard->clock[block->clock_place] = nullptr;
  shard->free_places.push_back(block->clock_place);
  shard->bytes -= block->charge_bytes;
  --shard->blocks;
  cached_bytes_.fetch_sub(block->charge_bytes, std::memory_order_relaxed);
  block->home->store(nullptr, std::memory_order_release);
}

void BlockCache::MakeRoom(size_t first_shard) {
  for (uint32_t i = 0; i < shard_count_; ++i) {
    const uint64_t excess = Excess();
    if (excess == 0) return;
    Shard& shard = ShardOf(first_shard + i);
    CachedBlock* evicted = nullptr;
    {
      const base::MutexLock lock(&shard.mutex);
      evicted = EvictLocked(&shard, excess);
    }
    while (evicted != nullptr) std::exchange(evicted, evicted->next_evicted)->Unref();
  }
}

CachedBlock* BlockCache::EvictLocked(Shard* shard, uint64_t bytes) {
  CachedBlock* evicted = nullptr;
  uint64_t freed = 0;
  for (size_t steps = 2 * shard->clock.size(); steps > 0 && freed < bytes; --steps) {
    if (shard->hand >= shard->clock.size()) shard->hand = 0;
    CachedBlock* const block = shard->clock[shard->hand++];
    // Headers are cold, and each costs a wait.
    const size_t ahead = shard->hand + kHandAhead;
    if (ahead < shard->clock.size() && shard->clock[ahead] != nullptr) __builtin_prefetch(shard->clock[ahead], 1);
    if (block == nullptr) continue;
    // One reference is the cache's own, and nobody can take another without the lock.
    if (!block->marked && block->references.load(std::memory_order_acquire) == 1) {
      RemoveLocked(shard, block);
      freed += block->charge_bytes;
      block->next_evicted = evicted;
      evicted = block;
    }
    block->marked = false;
  }
  return evicted;
}

PartitionRef BlockCache::InsertPartition(PartitionSlot* slot, std::unique_ptr<CachedPartition> partition) {
  PartitionRef inserted = partitions_.Insert(slot, std::move(partition), PartitionRoom());
  if (Excess() != 0) MakeRoom(tables_.fetch_add(1, std::memory_order_relaxed));
  return inserted;
}

BlockCache::PinnedCharge::PinnedCharge(std::atomic<uint64_t>* counter, uint64_t bytes)
    : counter_(counter), bytes_(bytes) {
  counter_->fetch_add(bytes, std::memory_order_relaxed);
}

BlockCache::PinnedCharge& BlockCache::PinnedCharge::operator=(PinnedCharge&& other) noexcept {
  if (this != &other) {
    Release();
    counter_ = std::exchange(other.counter_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void BlockCache::PinnedCharge::Release() {
  if (counter_ != nullptr) counter_->fetch_sub(bytes_, std::memory_order_relaxed);
  counter_ = nullptr;
}

BlockCache::CacheStats BlockCache::GetStats() const {
  CacheStats stats;
  for (uint32_t i = 0; i < shard_count_; ++i) {
    const Shard& shard = shards_[i];
    const base::MutexLock lock(&shard.mutex);
    stats.hits += shard.hits;
    stats.misses += shard.misses.load(std::memory_order_relaxed);
    stats.blocks += shard.blocks;
    stats.block_bytes += shard.bytes;
  }
  stats.block_reads = block_reads_.load(std::memory_order_relaxed);
  stats.block_read_bytes = block_read_bytes_.load(std::memory_order_relaxed);
  stats.live_bytes = ledger_->live_bytes();
  stats.partitions = partitions_.partitions();
  stats.partition_bytes = partitions_.live_bytes();
  stats.partition_evictions = partitions_.evictions();
  stats.pinned_charge_bytes =
      pinned_charge_bytes_.load(std::memory_order_relaxed) + table_charge_bytes_.load(std::memory_order_relaxed);
  stats.working_bytes = working_bytes_.load(std::memory_order_relaxed);
  stats.kept_bytes = ledger_->memory()->kept_bytes();
  stats.capacity_bytes = capacity_bytes_;
  return stats;
}

uint64_t BlockCache::PinnedBlockBytes() const {
  uint64_t bytes = ledger_->live_bytes();
  for (uint32_t i = 0; i < shard_count_; ++i) {
    const Shard& shard = shards_[i];
    const base::MutexLock lock(&shard.mutex);
    for (const CachedBlock* block : shard.clock) {
      if (block != nullptr && block->references.load(std::memory_order_relaxed) == 1) bytes -= block->charge_bytes;
    }
  }
  return bytes;
}

}  // namespace bandb::storage
