#include "storage/table/partition_cache.h"

#include "base/assert.h"

namespace bandb::storage {

CachedPartition::~CachedPartition() { cache_->live_bytes_.fetch_sub(charge_bytes_, std::memory_order_relaxed); }

void CachedPartition::Charge(uint64_t bytes) {
  BANDB_ASSERT(charge_bytes_ == 0);
  charge_bytes_ = bytes;
  cache_->live_bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

PartitionCache::~PartitionCache() {
  // The tables took their partitions with them.
  BANDB_ASSERT(live_bytes() == 0);
}

PartitionRef PartitionCache::Insert(PartitionSlot* slot, std::unique_ptr<CachedPartition> partition,
                                    uint64_t room_bytes) {
  BANDB_ASSERT(partition != nullptr);
  // Freed without the lock.
  Evicted evicted;
  base::MutexLock lock(&mutex_);
  if (PartitionRef present(slot); present) {
    evicted.push_back(std::move(partition));
    return present;
  }
  // What is too large whatever is evicted must not push out all others.
  if (partition->charge_bytes() > room_bytes) return PartitionRef(std::move(partition));
  const uint64_t live = live_bytes();
  if (live > room_bytes) EvictLocked(live - room_bytes, &evicted);
  uint64_t left = live;
  for (const auto& gone : evicted) left -= gone->charge_bytes();
  if (left > room_bytes) return PartitionRef(std::move(partition));
  AddLocked(slot, partition.release());
  PartitionRef added(slot);
  BANDB_ASSERT(static_cast<bool>(added));
  // Enters without the mark: what is read once is the first to go.
  slot->used_.store(false, std::memory_order_relaxed);
  return added;
}

void PartitionCache::EvictLocked(uint64_t bytes, Evicted* evicted) {
  uint64_t freed = 0;
  for (size_t steps = 2 * clock_.size(); steps > 0 && freed < bytes; --steps) {
    if (hand_ >= clock_.size()) hand_ = 0;
    PartitionSlot* const slot = clock_[hand_++];
    if (slot == nullptr) continue;
    if (slot->used_.exchange(false, std::memory_order_relaxed)) continue;
    if (slot->pins_.load(std::memory_order_relaxed) != 0) continue;
    CachedPartition* const partition = slot->partition_.exchange(nullptr, std::memory_order_seq_cst);
    BANDB_ASSERT(partition != nullptr);
    if (slot->pins_.load(std::memory_order_seq_cst) != 0) {
      // A reader came in between. Others may have found nothing, and read it from the file.
      slot->partition_.store(partition, std::memory_order_seq_cst);
      continue;
    }
    RemoveLocked(slot, *partition);
    freed += partition->charge_bytes();
    evicted->emplace_back(partition);
    evictions_.fetch_add(1, std::memory_order_relaxed);
  }
}

void PartitionCache::AddLocked(PartitionSlot* slot, CachedPartition* partition) {
  BANDB_ASSERT(slot->partition_.load(std::memory_order_relaxed) == nullptr);
  if (free_places_.empty()) {
    slot->clock_place_ = static_cast<uint32_t>(clock_.size());
    clock_.push_back(slot);
  } else {
    slot->clock_place_ = free_places_.back();
    free_places_.pop_back();
    clock_[slot->clock_place_] = slot;
  }
  cached_bytes_.fetch_add(partition->charge_bytes(), std::memory_order_relaxed);
  slot->partition_.store(partition, std::memory_order_seq_cst);
}

void PartitionCache::RemoveLocked(PartitionSlot* slot, const CachedPartition& partition) {
  BANDB_ASSERT(clock_[slot->clock_place_] == slot);
  clock_[slot->clock_place_] = nullptr;
  free_places_.push_back(slot->clock_place_);
  cached_bytes_.fetch_sub(partition.charge_bytes(), std::memory_order_relaxed);
}

void PartitionCache::Empty(PartitionSlot* slots, size_t count) {
  Evicted emptied;
  base::MutexLock lock(&mutex_);
  for (size_t i = 0; i < count; ++i) {
    PartitionSlot* const slot = &slots[i];
    BANDB_ASSERT(slot->pins_.load(std::memory_order_relaxed) == 0);
    CachedPartition* const partition = slot->partition_.exchange(nullptr, std::memory_order_seq_cst);
    if (partition == nullptr) continue;
    RemoveLocked(slot, *partition);
    emptied.emplace_back(partition);
  }
}

uint64_t PartitionCache::partitions() const {
  base::MutexLock lock(&mutex_);
  return clock_.size() - free_places_.size();
}

}  // namespace bandb::storage
