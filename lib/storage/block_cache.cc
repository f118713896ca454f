#include "storage/block_cache.h"

#include <algorithm>
#include <bit>
#include <new>

#include "base/assert.h"

namespace bandb::storage {

namespace {

constexpr uint64_t kShardBytesWanted = 512 << 10;
constexpr uint32_t kShardsWanted = 16;
constexpr uint32_t kShardsMax = 256;
constexpr size_t kFirstSlots = 64;
// The restarts and keys of a block of the default size with values of a hundred bytes.
constexpr size_t kPrefetchedLines = 8;
constexpr std::align_val_t kBlockAlignment{alignof(CachedBlock)};

uint32_t ShardCount(uint64_t capacity_bytes, uint32_t asked) {
  const uint64_t wanted =
      asked != 0 ? asked : std::clamp<uint64_t>(capacity_bytes / kShardBytesWanted, 1, kShardsWanted);
  return std::bit_ceil(static_cast<uint32_t>(std::min<uint64_t>(wanted, kShardsMax)));
}

// The part of the hash that chooses the slot.
size_t HomeSlot(uint32_t tag, size_t slot_count) { return tag & (slot_count - 1); }

}  // namespace

void CachedBlock::Free() {
  BlockLedger* const owner = ledger;
  const uint64_t bytes = charge_bytes;
  this->~CachedBlock();
  ::operator delete(static_cast<void*>(this), kBlockAlignment);
  owner->Leave(bytes);
}

BlockCache::BlockCache(uint64_t capacity_bytes, uint32_t shard_count)
    : capacity_bytes_(capacity_bytes),
      shard_count_(ShardCount(capacity_bytes, shard_count)),
      shards_(new Shard[shard_count_]),
      ledger_(new BlockLedger) {
  ledger_->Join(0);
}

BlockCache::~BlockCache() {
  BANDB_ASSERT(pinned_charge_bytes_.load(std::memory_order_relaxed) == 0);
  for (uint32_t i = 0; i < shard_count_; ++i) {
    Shard& shard = shards_[i];
    const base::MutexLock lock(&shard.mutex);
    for (const Slot& slot : shard.slots) {
      if (slot.block != nullptr) slot.block->Unref();
    }
  }
  ledger_->Leave(0);
}

uint64_t BlockCache::Hash(uint64_t table_id, uint64_t offset) {
  // Two rounds of multiply and fold: neighbouring offsets must not fall into neighbouring slots.
  uint64_t hash = (offset ^ table_id * 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
  hash ^= hash >> 32;
  hash *= 0x94d049bb133111ebull;
  return hash ^ hash >> 29;
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
  return pinned >= capacity_bytes_ ? 0 : (capacity_bytes_ - pinned) / shard_count_;
}

static_assert(sizeof(CachedBlock) == 64, "a header takes one cache line");

size_t BlockCache::FindLocked(const Shard& shard, uint64_t hash, uint64_t table_id, uint64_t offset) {
  const auto tag = static_cast<uint32_t>(hash);
  size_t at = HomeSlot(tag, shard.slots.size());
  while (true) {
    const Slot& slot = shard.slots[at];
    if (slot.block == nullptr) return at;
    if (slot.tag == tag) {
      // Whoever looks a block up reads its beginning next: ask for it while the header is on its way.
      for (size_t line = 0; line < kPrefetchedLines; ++line) {
        __builtin_prefetch(slot.block->payload() + line * sizeof(CachedBlock));
      }
      if (slot.block->offset == offset && slot.block->table_id == table_id) return at;
    }
    at = (at + 1) & (shard.slots.size() - 1);
  }
}

BlockRef BlockCache::Lookup(uint64_t table_id, uint64_t offset) {
  const uint64_t hash = Hash(table_id, offset);
  Shard& shard = ShardOf(hash);
  const base::MutexLock lock(&shard.mutex);
  if (!shard.slots.empty()) {
    Slot& slot = shard.slots[FindLocked(shard, hash, table_id, offset)];
    if (slot.block != nullptr) {
      slot.marked = true;
      slot.block->references.fetch_add(1, std::memory_order_relaxed);
      ++shard.hits;
      return BlockRef(slot.block);
    }
  }
  ++shard.misses;
  return BlockRef();
}

BlockRef BlockCache::Insert(uint64_t table_id, uint64_t offset, BlockRef block) {
  BANDB_ASSERT(static_cast<bool>(block));
  BANDB_ASSERT(!block.block_->cached);
  CachedBlock* const added = block.block_;
  const uint64_t hash = Hash(table_id, offset);
  Shard& shard = ShardOf(hash);
  const uint64_t room = ShardRoom();
  BlockRef present;
  CachedBlock* evicted = nullptr;
  {
    const base::MutexLock lock(&shard.mutex);
    if (shard.slots.empty()) shard.slots.resize(kFirstSlots);
    const Slot& found = shard.slots[FindLocked(shard, hash, table_id, offset)];
    if (found.block != nullptr) {
      found.block->references.fetch_add(1, std::memory_order_relaxed);
      present = BlockRef(found.block);
    } else {
      evicted = MakeRoomLocked(&shard, added->charge_bytes, room);
      if (added->charge_bytes <= room && shard.bytes <= room - added->charge_bytes) {
        if ((shard.used + 1) * 4 > shard.slots.size() * 3) GrowLocked(&shard);
        added->table_id = table_id;
        added->offset = offset;
        added->cached = true;
        added->references.fetch_add(1, std::memory_order_relaxed);
        shard.slots[FindLocked(shard, hash, table_id, offset)] = {added, static_cast<uint32_t>(hash), false};
        ++shard.used;
        shard.bytes += added->charge_bytes;
      }
    }
  }
  while (evicted != nullptr) std::exchange(evicted, evicted->next_evicted)->Unref();
  return present ? std::move(present) : std::move(block);
}

CachedBlock* BlockCache::MakeRoomLocked(Shard* shard, uint64_t bytes, uint64_t room) {
  CachedBlock* evicted = nullptr;
  // A block that is too large whatever is evicted must not empty the shard; a shard that has become too large must.
  const uint64_t wanted = bytes <= room ? room - bytes : room;
  for (size_t steps = 2 * shard->slots.size(); steps > 0 && shard->bytes > wanted; --steps) {
    shard->hand &= shard->slots.size() - 1;
    Slot& slot = shard->slots[shard->hand];
    // One reference is the cache's own, and nobody can take another without the lock.
    if (slot.block != nullptr && !slot.marked && slot.block->references.load(std::memory_order_acquire) == 1) {
      slot.block->next_evicted = evicted;
      evicted = slot.block;
      shard->bytes -= slot.block->charge_bytes;
      // The hand stays: another block may have moved into the slot.
      EraseLocked(shard, shard->hand);
      continue;
    }
    slot.marked = false;
    ++shard->hand;
  }
  return evicted;
}

void BlockCache::EraseLocked(Shard* shard, size_t slot) {
  std::vector<Slot>& slots = shard->slots;
  const size_t mask = slots.size() - 1;
  size_t hole = slot;
  for (size_t at = (hole + 1) & mask; slots[at].block != nullptr; at = (at + 1) & mask) {
    // A block may move up into the hole if that does not take it before its home.
    const size_t home = HomeSlot(slots[at].tag, slots.size());
    if (((at - home) & mask) >= ((at - hole) & mask)) {
      slots[hole] = slots[at];
      hole = at;
    }
  }
  slots[hole] = Slot{};
  --shard->used;
}

void BlockCache::GrowLocked(Shard* shard) {
  std::vector<Slot> old(shard->slots.size() * 2);
  old.swap(shard->slots);
  const size_t mask = shard->slots.size() - 1;
  for (const Slot& slot : old) {
    if (slot.block == nullptr) continue;
    size_t at = HomeSlot(slot.tag, shard->slots.size());
    while (shard->slots[at].block != nullptr) at = (at + 1) & mask;
    shard->slots[at] = slot;
  }
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
    stats.blocks += shard.used;
    stats.block_bytes += shard.bytes;
    for (const Slot& slot : shard.slots) {
      if (slot.block == nullptr || slot.block->references.load(std::memory_order_relaxed) == 1) continue;
      pinned_and_cached_bytes += slot.block->charge_bytes;
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
