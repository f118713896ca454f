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
constexpr uint32_t kShardsMax = 256;
// The restarts and keys of a block of the default size with values of a hundred bytes.
constexpr size_t kPrefetchedLines = 8;
constexpr std::align_val_t kBlockAlignment{alignof(CachedBlock)};

uint32_t ShardCount(uint64_t capacity_bytes, uint32_t asked, uint64_t block_bytes) {
  const uint64_t shard_bytes = std::max(kShardBytesWanted, kShardBlocksWanted * block_bytes);
  const uint64_t wanted = asked != 0 ? asked : std::clamp<uint64_t>(capacity_bytes / shard_bytes, 1, kShardsWanted);
  // Down for what is chosen here, so that the shares are what they should be.
  if (asked == 0) return std::bit_floor(static_cast<uint32_t>(wanted));
  return std::bit_ceil(static_cast<uint32_t>(std::min<uint64_t>(wanted, kShardsMax)));
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
  ::operator delete(static_cast<void*>(this), kBlockAlignment);
  owner->Leave(bytes);
}

BlockCache::BlockCache(uint64_t capacity_bytes, uint32_t shard_count, uint64_t block_bytes)
    : capacity_bytes_(capacity_bytes),
      shard_count_(ShardCount(capacity_bytes, shard_count, block_bytes)),
      shards_(new Shard[shard_count_]),
      ledger_(new BlockLedger) {
  ledger_->Join(0);
}

BlockCache::~BlockCache() {
  BANDB_ASSERT(pinned_charge_bytes_.load(std::memory_order_relaxed) == 0);
  for (uint32_t i = 0; i < shard_count_; ++i) {
    // The tables took their blocks with them.
    const base::MutexLock lock(&shards_[i].mutex);
    BANDB_ASSERT(shards_[i].bytes == 0);
  }
  ledger_->Leave(0);
}

BlockRef BlockCache::Allocate(size_t payload_bytes) {
  const size_t charge_bytes = sizeof(CachedBlock) + payload_bytes;
  void* memory = ::operator new(charge_bytes, kBlockAlignment);
  auto* block = new (memory) CachedBlock;
  block->payload_bytes = payload_bytes;
  block->charge_bytes = charge_bytes;
  block->ledger = ledger_;
  ledger_->Join(charge_bytes);
  return BlockRef(block);
}

uint64_t BlockCache::ShardRoom() const {
  const uint64_t pinned = pinned_charge_bytes_.load(std::memory_order_relaxed);
  const uint64_t left = capacity_bytes_ - std::min(pinned, capacity_bytes_);
  return std::max(left, capacity_bytes_ / kFloorParts) / shard_count_;
}

static_assert(sizeof(CachedBlock) == 64, "a header takes one cache line");

BlockCache::Table::Table(BlockCache* cache, size_t block_count)
    : cache_(cache),
      block_count_(block_count),
      first_shard_(cache->tables_.fetch_add(1, std::memory_order_relaxed)),
      blocks_(new std::atomic<CachedBlock*>[block_count]()) {}

BlockCache::Table::~Table() {
  for (size_t i = 0; i < block_count_; ++i) {
    if (blocks_[i].load(std::memory_order_relaxed) == nullptr) continue;
    Shard& shard = cache_->ShardOf(first_shard_ + i);
    CachedBlock* block = nullptr;
    {
      const base::MutexLock lock(&shard.mutex);
      block = blocks_[i].load(std::memory_order_relaxed);
      if (block != nullptr) RemoveLocked(&shard, block);
    }
    if (block != nullptr) block->Unref();
  }
}

BlockRef BlockCache::Table::Lookup(size_t block) const {
  BANDB_ASSERT(block < block_count_);
  // Only a hint, which may be gone already; what is asked for is on its way while the lock is
  // taken.
  CachedBlock* found = blocks_[block].load(std::memory_order_relaxed);
  if (found != nullptr) PrefetchBlock(found);
  Shard& shard = cache_->ShardOf(first_shard_ + block);
  const base::MutexLock lock(&shard.mutex);
  found = blocks_[block].load(std::memory_order_relaxed);
  if (found == nullptr) {
    ++shard.misses;
    return BlockRef();
  }
  found->marked = true;
  found->references.fetch_add(1, std::memory_order_relaxed);
  ++shard.hits;
  return BlockRef(found);
}

BlockRef BlockCache::Table::Insert(size_t block, BlockRef content) const {
  BANDB_ASSERT(block < block_count_);
  BANDB_ASSERT(static_cast<bool>(content));
  BANDB_ASSERT(content.block_->home == nullptr);
  CachedBlock* const added = content.block_;
  const uint64_t room = cache_->ShardRoom();
  Shard& shard = cache_->ShardOf(first_shard_ + block);
  BlockRef present;
  CachedBlock* evicted = nullptr;
  {
    const base::MutexLock lock(&shard.mutex);
    CachedBlock* const found = blocks_[block].load(std::memory_order_relaxed);
    if (found != nullptr) {
      found->references.fetch_add(1, std::memory_order_relaxed);
      present = BlockRef(found);
    } else {
      evicted = MakeRoomLocked(&shard, added->charge_bytes, room);
      if (added->charge_bytes <= room && shard.bytes <= room - added->charge_bytes) {
        AddLocked(&shard, &blocks_[block], added);
      }
    }
  }
  while (evicted != nullptr) std::exchange(evicted, evicted->next_evicted)->Unref();
  return present ? std::move(present) : std::move(content);
}

void BlockCache::AddLocked(Shard* shard, std::atomic<CachedBlock*>* home, CachedBlock* block) {
  if (shard->free_places.empty()) {
    block->clock_place = static_cast<uint32_t>(shard->clock.size());
    shard->clock.push_back(block);
  } else {
    // Where a block was evicted last, just behind the hand: the hand comes by there as late as can
    // be.
    block->clock_place = shard->free_places.back();
    shard->free_places.pop_back();
    shard->clock[block->clock_place] = block;
  }
  block->home = home;
  block->references.fetch_add(1, std::memory_order_relaxed);
  home->store(block, std::memory_order_relaxed);
  shard->bytes += block->charge_bytes;
}

void BlockCache::RemoveLocked(Shard* shard, CachedBlock* block) {
  BANDB_ASSERT(shard->clock[block->clock_place] == block);
  BANDB_ASSERT(shard->bytes >= block->charge_bytes);
  shard->clock[block->clock_place] = nullptr;
  shard->free_places.push_back(block->clock_place);
  shard->bytes -= block->charge_bytes;
  block->home->store(nullptr, std::memory_order_relaxed);
}

CachedBlock* BlockCache::MakeRoomLocked(Shard* shard, uint64_t bytes, uint64_t room) {
  CachedBlock* evicted = nullptr;
  // A block that is too large whatever is evicted must not empty the shard; a shard that has become
  // too large must.
  const uint64_t wanted = bytes <= room ? room - bytes : room;
  for (size_t steps = 2 * shard->clock.size(); steps > 0 && shard->bytes > wanted; --steps) {
    if (shard->hand >= shard->clock.size()) shard->hand = 0;
    CachedBlock* const block = shard->clock[shard->hand++];
    if (block == nullptr) continue;
    // One reference is the cache's own, and nobody can take another without the lock.
    if (!block->marked && block->references.load(std::memory_order_acquire) == 1) {
      RemoveLocked(shard, block);
      block->next_evicted = evicted;
      evicted = block;
    }
    block->marked = false;
  }
  return evicted;
}

BlockCache::PinnedCharge& BlockCache::PinnedCharge::operator=(PinnedCharge&& other) noexcept {
  if (this != &other) {
    Release();
    cache_ = std::exchange(other.cache_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void BlockCache::PinnedCharge::Release() {
  if (cache_ != nullptr) cache_->pinned_charge_bytes_.fetch_sub(bytes_, std::memory_order_relaxed);
  cache_ = nullptr;
}

BlockCache::PinnedCharge BlockCache::ChargePinned(uint64_t bytes) {
  pinned_charge_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return PinnedCharge(this, bytes);
}

BlockCache::CacheStats BlockCache::GetStats() const {
  CacheStats stats;
  uint64_t pinned_and_cached_bytes = 0;
  for (uint32_t i = 0; i < shard_count_; ++i) {
    const Shard& shard = shards_[i];
    const base::MutexLock lock(&shard.mutex);
    stats.hits += shard.hits;
    stats.misses += shard.misses;
    stats.block_bytes += shard.bytes;
    for (const CachedBlock* block : shard.clock) {
      if (block == nullptr) continue;
      ++stats.blocks;
      if (block->references.load(std::memory_order_relaxed) > 1) pinned_and_cached_bytes += block->charge_bytes;
    }
  }
  stats.live_bytes = ledger_->live_bytes();
  const uint64_t only_pinned_bytes = stats.live_bytes > stats.block_bytes ? stats.live_bytes - stats.block_bytes : 0;
  stats.pinned_block_bytes = pinned_and_cached_bytes + only_pinned_bytes;
  stats.pinned_charge_bytes = pinned_charge_bytes_.load(std::memory_order_relaxed);
  stats.capacity_bytes = capacity_bytes_;
  return stats;
}

}  // namespace bandb::storage
