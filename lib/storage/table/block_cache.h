// Blocks of tables in memory: one budget for all tables of a database, in shards that each have a
// lock of their own.
//
// A block is one piece of memory, a header and the payload after it, counted by references: one
// for the cache while it holds the block, one for each BlockRef. Dropping the last one frees
// it, so a value that lies in a block outlives eviction, and the cache itself. Dropping a reference
// takes no lock, looking a block up takes the lock of its shard for a few instructions.
//
// There is no hash table: each table has an array with a pointer for each of its blocks, null while
// the cache does not hold it. A reader of tables knows a block by its number, so it finds it in one
// step; a hash table would cost another cache line from far away, which is what the time of a read
// goes to.
//
// The bound is one for all shards, so that a block of any size that fits into the cache is kept. It
// counts blocks as long as they live, those included that only an iterator or a value still holds:
// what readers hold is taken from what is cached, down to a floor.
//
// Indexes and filters (partition_cache.h) come out of the same memory, before blocks, up to a
// share.
//
// Eviction is CLOCK: a hand goes round the blocks of a shard, takes the mark from those that were
// looked up since it came by last, and evicts those that bear none and are in nobody's hands. A
// block enters without the mark, so a scan over more than the cache holds does not push out what is
// used again and again.
//
// Admission: once the cache is full, a block is let in when it is asked for the second time within
// an era, in which as many were turned away as there are in the cache, or within the one after it.
// Otherwise reads all over data that is many times the cache would evict a block each, for one that
// is no more likely to be asked for (TinyLFU's doorkeeper; Einziger, Friedman, Manes, 2017).
#ifndef BANDB_STORAGE_TABLE_BLOCK_CACHE_H_
#define BANDB_STORAGE_TABLE_BLOCK_CACHE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "storage/table/block_memory.h"
#include "storage/table/partition_cache.h"

namespace bandb::storage {

class BlockCache;

// Lends and counts the memory of all blocks that were made for one cache. Shared by the cache and
// its blocks, which may outlive it: the last of them deletes it.
class BlockLedger {
 public:
  explicit BlockLedger(uint64_t kept_bytes_max) : memory_(kept_bytes_max) {}
  void Join(uint64_t bytes) {
    holders_.fetch_add(1, std::memory_order_relaxed);
    live_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }
  void Leave(uint64_t bytes) {
    live_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    if (holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  uint64_t live_bytes() const { return live_bytes_.load(std::memory_order_relaxed); }
  BlockMemory* memory() { return &memory_; }

 private:
  ~BlockLedger() = default;
  BlockMemory memory_;
  std::atomic<uint64_t> holders_{0};
  std::atomic<uint64_t> live_bytes_{0};
};

// A block in memory; known outside the cache through BlockRef only. The payload follows, aligned to
// a cache line.
struct alignas(64) CachedBlock {
  std::atomic<uint32_t> references{1};
  // Guarded by the lock of the shard, from when the block enters the cache.
  bool marked = false;
  uint32_t clock_place = 0;
  std::atomic<CachedBlock*>* home = nullptr;  // the pointer in the table's array; null outside the cache
  CachedBlock* next_evicted = nullptr;
  // Constant once the block is shared.
  size_t payload_bytes = 0;
  size_t charge_bytes = 0;
  BlockLedger* ledger = nullptr;

  char* payload() { return reinterpret_cast<char*>(this + 1); }
  void Free();
  void Unref() {
    if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) Free();
  }
};

// Keeps a block alive. Thread safety: one thread at a time; different references to one block are
// independent.
class BlockRef {
 public:
  BlockRef() = default;
  ~BlockRef() { Reset(); }
  BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BlockRef& operator=(BlockRef&& other) noexcept {
    if (this != &other) {
      Reset();
      block_ = std::exchange(other.block_, nullptr);
    }
    return *this;
  }
  BlockRef(const BlockRef&) = delete;
  BlockRef& operator=(const BlockRef&) = delete;

  explicit operator bool() const { return block_ != nullptr; }
  void Reset() {
    if (block_ != nullptr) std::exchange(block_, nullptr)->Unref();
  }
  // Only while it holds a block.
  std::string_view payload() const { return std::string_view(block_->payload(), block_->payload_bytes); }
  size_t charge_bytes() const { return block_->charge_bytes; }

  // Hands the reference to an owner that is a plain pointer: PinnedValue::Pin(bytes, ref.Detach(),
  // BlockRef::ReleaseDetached) keeps the block without an allocation.
  void* Detach() { return std::exchange(block_, nullptr); }
  static void ReleaseDetached(void* block) { static_cast<CachedBlock*>(block)->Unref(); }

  // For the reader that fills the block, before anybody else can see it. `bytes` at most what it
  // was made for.
  char* writable() { return block_->payload(); }
  void ShrinkPayload(size_t bytes) { block_->payload_bytes = bytes; }

 private:
  friend class BlockCache;
  explicit BlockRef(CachedBlock* block) : block_(block) {}
  CachedBlock* block_ = nullptr;
};

// Thread safety: any thread, any number of calls at once. Lifetime: BlockRefs may outlive the
// cache, PinnedCharges not.
class BlockCache {
 public:
  struct CacheStats {
    uint64_t hits = 0;
    uint64_t misses = 0;
    uint64_t block_reads = 0;          // as CountRead was told
    uint64_t block_read_bytes = 0;     // of these
    uint64_t blocks = 0;               // in the cache
    uint64_t block_bytes = 0;          // their memory
    uint64_t live_bytes = 0;           // of all blocks, in the cache or only referred to
    uint64_t partitions = 0;           // in memory
    uint64_t partition_bytes = 0;      // their memory: indexes and filters
    uint64_t partition_evictions = 0;  // so far
    uint64_t pinned_charge_bytes = 0;  // what ChargePinned and ChargeTable were told
    uint64_t working_bytes = 0;        // as working_bytes() says
    uint64_t kept_bytes = 0;           // memory of freed blocks that waits for the next
    uint64_t capacity_bytes = 0;
    uint64_t used_bytes() const {
      return live_bytes + partition_bytes + pinned_charge_bytes + working_bytes + kept_bytes;
    }
  };

  // Memory beside the capacity, for what is no block.
  struct Spare {
    // For partitions. Beyond it they take from the blocks, at the most half of the capacity.
    uint64_t partition_bytes = 16 << 20;
    // For what ChargePinned and ChargeTable are told, and working_bytes. Beyond it that takes from
    // blocks and partitions.
    uint64_t pinned_bytes = 0;
  };

  // The shard count is rounded up to a power of two, at most 256; 0 chooses one that leaves each
  // shard half a mebibyte and room for sixteen blocks of `block_bytes`, at most 16. A capacity of 0
  // keeps no blocks: one then lives as long as it is referred to.
  explicit BlockCache(uint64_t capacity_bytes, uint32_t shard_count = 0, uint64_t block_bytes = 0)
      : BlockCache(capacity_bytes, shard_count, block_bytes, Spare()) {}
  BlockCache(uint64_t capacity_bytes, uint32_t shard_count, uint64_t block_bytes, const Spare& spare);
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  // Memory for a block, not yet in the cache. The payload is not initialized.
  BlockRef Allocate(size_t payload_bytes);

  // What the cache holds of one table: blocks [0, block_count). Thread safety: as the cache.
  // Lifetime: the cache must outlive it. Its blocks leave the cache with it.
  class Table {
   public:
    Table(BlockCache* cache, size_t block_count);
    ~Table();
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;

    // Empty if the cache does not hold the block.
    BlockRef Lookup(size_t block) const;
    // Puts a block of Allocate's into the cache if that admits it and has room for it, and returns
    // it in any case; or, if another thread was quicker, the block that is there already.
    BlockRef Insert(size_t block, BlockRef content) const;
    uint64_t memory_bytes() const { return block_count_ * sizeof(std::atomic<CachedBlock*>); }

   private:
    BlockCache* const cache_;
    const size_t block_count_;
    const size_t first_shard_;  // that of block 0; the others follow in turn
    // The block, or in which era it was turned away (block_cache.cc), or null. Changed under the
    // lock of the block's shard.
    const std::unique_ptr<std::atomic<CachedBlock*>[]> blocks_;
  };

  // Memory that is not in blocks of the cache and still comes out of its budget, counted as long as
  // this lives.
  class PinnedCharge {
   public:
    PinnedCharge() = default;
    ~PinnedCharge() { Release(); }
    PinnedCharge(PinnedCharge&& other) noexcept
        : counter_(std::exchange(other.counter_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    PinnedCharge& operator=(PinnedCharge&& other) noexcept;

   private:
    friend class BlockCache;
    PinnedCharge(std::atomic<uint64_t>* counter, uint64_t bytes);
    void Release();
    std::atomic<uint64_t>* counter_ = nullptr;
    uint64_t bytes_ = 0;
  };
  // Blocks make room for it as further blocks come in, down to a quarter of the capacity, which
  // stays theirs however much is pinned: without it every read would go to the disk. May exceed the
  // capacity.
  [[nodiscard]] PinnedCharge ChargePinned(uint64_t bytes) { return PinnedCharge(&pinned_charge_bytes_, bytes); }
  // The same for what is kept of a table as long as it is open: no reader can let go of it.
  [[nodiscard]] PinnedCharge ChargeTable(uint64_t bytes) { return PinnedCharge(&table_charge_bytes_, bytes); }
  // Memory of what comes and goes, which comes out of the same budget and is counted here by
  // others.
  std::atomic<uint64_t>* working_bytes() { return &working_bytes_; }
  // How much is left, whatever is evicted: all that counts, but of blocks and partitions in the
  // cache only what stays theirs in any case.
  uint64_t HeldBytes() const;
  // What of it is there because of readers, and goes with them: what ChargePinned was told, and
  // blocks and partitions that nobody but a reader holds.
  uint64_t ReaderBytes() const;

  PartitionCache* partitions() { return &partitions_; }
  // A block of so many bytes was taken from a file for somebody who reads, be it one that was read
  // ahead. What compactions and verifications read is none of these.
  void CountRead(uint64_t bytes) {
    block_reads_.fetch_add(1, std::memory_order_relaxed);
    block_read_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }

  // Keeps it if there is room for it; blocks make room.
  PartitionRef InsertPartition(PartitionSlot* slot, std::unique_ptr<CachedPartition> partition);

  uint64_t capacity_bytes() const { return capacity_bytes_; }
  CacheStats GetStats() const;
  // Memory of blocks that somebody refers to, in the cache or not. Looks at every block: for tests.
  uint64_t PinnedBlockBytes() const;

 private:
  // On cache lines of its own, so that shards do not slow one another down.
  struct alignas(128) Shard {
    mutable base::Mutex mutex;
    std::vector<CachedBlock*> clock ABSL_GUARDED_BY(mutex);  // null where a block has left
    std::vector<uint32_t> free_places ABSL_GUARDED_BY(mutex);
    size_t hand ABSL_GUARDED_BY(mutex) = 0;
    uint64_t bytes ABSL_GUARDED_BY(mutex) = 0;
    uint64_t blocks ABSL_GUARDED_BY(mutex) = 0;
    uint64_t hits ABSL_GUARDED_BY(mutex) = 0;
    // Of admission: how many eras have ended, and how many blocks were turned away in this one.
    uint32_t era ABSL_GUARDED_BY(mutex) = 0;
    uint64_t turned_away ABSL_GUARDED_BY(mutex) = 0;
    std::atomic<uint64_t> misses{0};
  };

  Shard& ShardOf(size_t number) const { return shards_[number & (shard_count_ - 1)]; }
  uint64_t PinnedBytes() const;
  // What is left of the capacity once what is pinned has its part.
  uint64_t Left() const;
  // What all blocks that live may take; and what those in the cache may in any case.
  uint64_t BlockRoom() const;
  uint64_t BlockFloor() const;
  // What all partitions that live may take.
  uint64_t PartitionRoom() const;
  // How many bytes of blocks are too many.
  uint64_t Excess() const;
  // Whether a block that was allocated comes in without another one having to go.
  bool HasRoomFor(uint64_t bytes) const;
  static BlockRef HitLocked(Shard* shard, CachedBlock* found) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard->mutex);
  // Whether the block may come into a cache that is full; remembers that it was turned away.
  bool AdmitLocked(Shard* shard, std::atomic<CachedBlock*>* home, size_t block_bytes) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard->mutex);
  void AddLocked(Shard* shard, std::atomic<CachedBlock*>* home, CachedBlock* block)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard->mutex);
  void RemoveLocked(Shard* shard, CachedBlock* block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard->mutex);
  // Evicts blocks, those of this shard first, until there are no more than may be, or all hands
  // have been round twice.
  void MakeRoom(size_t first_shard);
  // Takes out up to so many bytes and a block, as a list.
  CachedBlock* EvictLocked(Shard* shard, uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard->mutex);

  const uint64_t capacity_bytes_;
  // Of them, those that the memory of freed blocks may take.
  const uint64_t kept_bytes_max_;
  const Spare spare_;
  const uint32_t shard_count_;
  const std::unique_ptr<Shard[]> shards_;
  BlockLedger* const ledger_;
  // Memory of the blocks in the cache, and of those on their way into it.
  std::atomic<uint64_t> cached_bytes_{0};
  std::atomic<uint64_t> pinned_charge_bytes_{0};
  std::atomic<uint64_t> table_charge_bytes_{0};
  std::atomic<uint64_t> working_bytes_{0};
  std::atomic<uint64_t> block_reads_{0};
  std::atomic<uint64_t> block_read_bytes_{0};
  std::atomic<size_t> tables_{0};
  PartitionCache partitions_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_BLOCK_CACHE_H_
