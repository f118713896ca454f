// Where the memory of blocks comes from. That of a block that was freed is kept for the next one of
// its size: a read of a block that the cache does not hold would else cost the allocator two visits
// to cold memory, and then write to cold memory itself.
//
// Only a little is kept, last in, first out, for each group of threads that share a stripe.
#ifndef BANDB_STORAGE_TABLE_BLOCK_MEMORY_H_
#define BANDB_STORAGE_TABLE_BLOCK_MEMORY_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/mutex.h"

namespace bandb::storage {

// Thread safety: any thread; what one has taken another may give back. All must be given back
// before it ends.
class BlockMemory {
 public:
  static constexpr size_t kAlignment = 64;

  // Keeps at most `kept_bytes_max` of what nobody uses.
  explicit BlockMemory(uint64_t kept_bytes_max) : stripe_bytes_max_(kept_bytes_max / kStripes) {}
  ~BlockMemory();
  BlockMemory(const BlockMemory&) = delete;
  BlockMemory& operator=(const BlockMemory&) = delete;

  // Aligned, not initialized.
  void* Take(size_t bytes);
  // `bytes` as it was asked for.
  void Give(void* memory, size_t bytes);

  // What is kept, never more than kept_bytes_max.
  uint64_t kept_bytes() const;

 private:
  static constexpr size_t kStripes = 8;
  // Sizes are multiples of it. Blocks of ordinary tables differ by less than an entry.
  static constexpr size_t kStepBytes = 128;
  static constexpr size_t kPieceBytesMax = 16 << 10;
  static constexpr size_t kSizes = kPieceBytesMax / kStepBytes + 1;

  // At the beginning of memory that nobody uses.
  struct Piece {
    Piece* next;
  };
  struct alignas(128) Stripe {
    mutable base::Mutex mutex;
    std::array<Piece*, kSizes> pieces ABSL_GUARDED_BY(mutex) = {};  // by size in steps
    uint64_t kept_bytes ABSL_GUARDED_BY(mutex) = 0;
  };

  Stripe& OwnStripe();
  static Piece* PopLocked(Stripe* stripe, size_t steps) ABSL_EXCLUSIVE_LOCKS_REQUIRED(stripe->mutex);
  // Some piece of a size that is not asked for, so that there is room for one that is.
  static Piece* PopAnyLocked(Stripe* stripe) ABSL_EXCLUSIVE_LOCKS_REQUIRED(stripe->mutex);

  const uint64_t stripe_bytes_max_;
  std::array<Stripe, kStripes> stripes_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_BLOCK_MEMORY_H_
