#include "kv/limits.h"

#include <algorithm>

#include "base/status.h"
#include "kv/batch_format.h"

namespace bandb::kv {

WriteLimits LimitsFor(uint64_t memory_budget_bytes) {
  WriteLimits limits;
  const uint64_t quarter = memory_budget_bytes / 4;
  limits.value_bytes_max = static_cast<size_t>(std::min<uint64_t>(kValueBytesMax, quarter));
  limits.batch_bytes_max = static_cast<size_t>(std::min<uint64_t>(kBatchBytesMax, quarter));
  limits.batch_operations_max = limits.batch_bytes_max / kBatchBytesPerOperation;
  return limits;
}

absl::Status CheckKey(const WriteLimits& limits, size_t key_bytes) {
  if (key_bytes <= limits.key_bytes_max) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInvalidArgument, "a key of {} bytes, more than the limit of {}", key_bytes,
                     limits.key_bytes_max);
}

absl::Status CheckValue(const WriteLimits& limits, size_t value_bytes) {
  if (value_bytes <= limits.value_bytes_max) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInvalidArgument, "a value of {} bytes, more than the limit of {}", value_bytes,
                     limits.value_bytes_max);
}

absl::Status CheckBatch(const WriteLimits& limits, const WriteBatch& batch) {
  BANDB_RETURN_IF_ERROR(CheckKey(limits, WriteBatchAccess::KeyBytesMax(batch)));
  BANDB_RETURN_IF_ERROR(CheckValue(limits, WriteBatchAccess::ValueBytesMax(batch)));
  if (WriteBatchAccess::HasEmptyLimit(batch)) {
    return base::Error(absl::StatusCode::kInvalidArgument, "a DeleteRange without a limit");
  }
  if (batch.ByteSize() > limits.batch_bytes_max) {
    return base::Error(absl::StatusCode::kInvalidArgument, "a batch of {} bytes, more than the limit of {}",
                       batch.ByteSize(), limits.batch_bytes_max);
  }
  if (batch.Count() > limits.batch_operations_max) {
    return base::Error(absl::StatusCode::kInvalidArgument,
                       "a batch of {} operations and conditions, more than the limit of {}", batch.Count(),
                       limits.batch_operations_max);
  }
  if (WriteBatchAccess::RangeDeleteCount(batch) > limits.batch_range_deletes_max) {
    return base::Error(absl::StatusCode::kInvalidArgument, "a batch of {} range deletes, more than the limit of {}",
                       WriteBatchAccess::RangeDeleteCount(batch), limits.batch_range_deletes_max);
  }
  return absl::OkStatus();
}

}  // namespace bandb::kv
