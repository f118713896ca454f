// Which partitions of tables (table_partition.h) are in memory: of all tables of a database, within
// one bound.
//
// Every read needs one, so finding it takes no lock and touches nothing but its slot: a reader pins
// the slot, then looks at what it holds, and one that evicts empties the slot, then looks at the
// pins. One of the two sees the other, as in Dekker's algorithm: either the reader finds the slot
// empty, or the other finds the pin and puts the partition back.
//
// Eviction is CLOCK, as in block_cache.h.
#ifndef BANDB_STORAGE_TABLE_PARTITION_CACHE_H_
#define BANDB_STORAGE_TABLE_PARTITION_CACHE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace bandb::storage {

class PartitionCache;

// What can be kept. Its memory is counted as long as it lives, in the cache or not.
class CachedPartition {
 public:
  // Lifetime: the cache must outlive it.
  explicit CachedPartition(PartitionCache* cache) : cache_(cache) {}
  virtual ~CachedPartition();
  CachedPartition(const CachedPartition&) = delete;
  CachedPartition& operator=(const CachedPartition&) = delete;

  uint64_t charge_bytes() const { return charge_bytes_; }

 protected:
  // Called once, before anybody else sees it.
  void Charge(uint64_t bytes);

 private:
  PartitionCache* const cache_;
  uint64_t charge_bytes_ = 0;
};

// Where the cache keeps one partition while it does. Thread safety: any thread.
class PartitionSlot {
 public:
  PartitionSlot() = default;
  PartitionSlot(const PartitionSlot&) = delete;
  PartitionSlot& operator=(const PartitionSlot&) = delete;

 private:
  friend class PartitionCache;
  friend class PartitionRef;
  std::atomic<CachedPartition*> partition_{nullptr};  // set under the mutex of the cache
  std::atomic<uint32_t> pins_{0};
  std::atomic<bool> used_{false};
  uint32_t clock_place_ = 0;  // guarded by the mutex of the cache
};

// Keeps a partition alive: pins its slot, or owns it where the cache had no room. Thread safety:
// one thread at a time. Lifetime: of the slot.
class PartitionRef {
 public:
  PartitionRef() = default;
  // Pins what the slot holds; empty if that is nothing.
  explicit PartitionRef(PartitionSlot* slot) {
    slot->pins_.fetch_add(1, std::memory_order_seq_cst);
    partition_ = slot->partition_.load(std::memory_order_seq_cst);
    if (partition_ == nullptr) {
      slot->pins_.fetch_sub(1, std::memory_order_release);
      return;
    }
    slot_ = slot;
    if (!slot->used_.load(std::memory_order_relaxed)) slot->used_.store(true, std::memory_order_relaxed);
  }
  explicit PartitionRef(std::unique_ptr<CachedPartition> owned) : partition_(owned.release()) {}
  ~PartitionRef() { Reset(); }
  PartitionRef(PartitionRef&& other) noexcept
      : slot_(std::exchange(other.slot_, nullptr)), partition_(std::exchange(other.partition_, nullptr)) {}
  PartitionRef& operator=(PartitionRef&& other) noexcept {
    if (this != &other) {
      Reset();
      slot_ = std::exchange(other.slot_, nullptr);
      partition_ = std::exchange(other.partition_, nullptr);
    }
    return *this;
  }
  PartitionRef(const PartitionRef&) = delete;
  PartitionRef& operator=(const PartitionRef&) = delete;

  explicit operator bool() const { return partition_ != nullptr; }
  const CachedPartition* get() const { return partition_; }
  void Reset() {
    CachedPartition* const partition = std::exchange(partition_, nullptr);
    if (partition == nullptr) return;
    if (slot_ == nullptr) {
      delete partition;
    } else {
      std::exchange(slot_, nullptr)->pins_.fetch_sub(1, std::memory_order_release);
    }
  }

 private:
  // Null: the partition is its own.
  PartitionSlot* slot_ = nullptr;
  CachedPartition* partition_ = nullptr;
};

// Thread safety: any thread, any number of calls at once.
class PartitionCache {
 public:
  PartitionCache() = default;
  ~PartitionCache();
  PartitionCache(const PartitionCache&) = delete;
  PartitionCache& operator=(const PartitionCache&) = delete;

  // Keeps the partition in the slot if all that are alive then take `room_bytes` at the most, for
  // which others are evicted; and returns it, or what another thread was quicker to put there.
  PartitionRef Insert(PartitionSlot* slot, std::unique_ptr<CachedPartition> partition, uint64_t room_bytes)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes out what the slots hold: nobody has pinned one, and nobody will.
  void Empty(PartitionSlot* slots, size_t count) ABSL_LOCKS_EXCLUDED(mutex_);

  // Memory of all that are alive.
  uint64_t live_bytes() const { return live_bytes_.load(std::memory_order_relaxed); }
  uint64_t partitions() const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t evictions() const { return evictions_.load(std::memory_order_relaxed); }

 private:
  friend class CachedPartition;
  using Evicted = std::vector<std::unique_ptr<CachedPartition>>;

  // Evicts until so many bytes are free of, or the hand has been round twice.
  void EvictLocked(uint64_t bytes, Evicted* evicted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddLocked(PartitionSlot* slot, CachedPartition* partition) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveLocked(PartitionSlot* slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable base::Mutex mutex_;
  std::vector<PartitionSlot*> clock_ ABSL_GUARDED_BY(mutex_);  // null where one has left
  std::vector<uint32_t> free_places_ ABSL_GUARDED_BY(mutex_);
  size_t hand_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<uint64_t> live_bytes_{0};
  std::atomic<uint64_t> evictions_{0};
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_PARTITION_CACHE_H_
