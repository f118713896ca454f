// The limits on keys, values and batches: the same at every door.
#ifndef BANDB_KV_LIMITS_H_
#define BANDB_KV_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "bandb/write_batch.h"

namespace bandb::kv {

inline constexpr size_t kKeyBytesMax = 64 << 10;
inline constexpr size_t kValueBytesMax = 64 << 20;
inline constexpr size_t kBatchBytesMax = 64 << 20;
// What an operation costs in memory, however short it is, so that a batch may have one for so many
// bytes of its limit.
inline constexpr size_t kBatchBytesPerOperation = 64;
// A range delete costs more: several times what an operation does, and some time of every read
// until it is flushed.
inline constexpr size_t kBatchRangeDeletesMax = 16 << 10;

struct WriteLimits {
  size_t key_bytes_max = kKeyBytesMax;
  size_t value_bytes_max = kValueBytesMax;
  size_t batch_bytes_max = kBatchBytesMax;
  size_t batch_operations_max = kBatchBytesMax / kBatchBytesPerOperation;
  size_t batch_range_deletes_max = kBatchRangeDeletesMax;
};

// The limits of a store with this memory budget: a value and a batch may take a quarter of it.
WriteLimits LimitsFor(uint64_t memory_budget_bytes);

// Errors: kInvalidArgument says which limit was exceeded, by what.
absl::Status CheckKey(const WriteLimits& limits, size_t key_bytes);
absl::Status CheckValue(const WriteLimits& limits, size_t value_bytes);
// Also refuses a DeleteRange with an empty limit.
absl::Status CheckBatch(const WriteLimits& limits, const WriteBatch& batch);

}  // namespace bandb::kv

#endif  // BANDB_KV_LIMITS_H_
