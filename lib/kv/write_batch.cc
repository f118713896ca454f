#include "bandb/write_batch.h"

#include <algorithm>
#include <utility>

#include "base/coding.h"
#include "kv/batch_format.h"
#include "kv/limits.h"

namespace bandb {

namespace {

// Whole milliseconds, rounded up; nothing below zero.
uint64_t TtlMillis(absl::Duration ttl) {
  if (ttl <= absl::ZeroDuration()) return 0;
  return static_cast<uint64_t>(absl::ToInt64Milliseconds(absl::Ceil(ttl, absl::Milliseconds(1))));
}

}  // namespace

WriteBatch& WriteBatch::operator=(WriteBatch&& other) noexcept {
  if (this == &other) return *this;
  operations_ = std::move(other.operations_);
  conditions_ = std::move(other.conditions_);
  operation_count_ = other.operation_count_;
  condition_count_ = other.condition_count_;
  range_delete_count_ = other.range_delete_count_;
  key_bytes_max_ = other.key_bytes_max_;
  value_bytes_max_ = other.value_bytes_max_;
  has_empty_limit_ = other.has_empty_limit_;
  has_time_to_live_ = other.has_time_to_live_;
  // Counts that outlived their operations would be believed, and take sequences that no log record
  // accounts for.
  other.Clear();
  return *this;
}

void WriteBatch::Append(int kind, std::string_view key, std::string_view value, uint64_t ttl_ms) {
  kv::AppendOperation(&operations_, {static_cast<kv::Kind>(kind), key, value, ttl_ms});
  operation_count_++;
  key_bytes_max_ = std::max(key_bytes_max_, key.size());
}

void WriteBatch::Put(std::string_view key, std::string_view value) {
  Append(static_cast<int>(kv::Kind::kPut), key, value, 0);
  value_bytes_max_ = std::max(value_bytes_max_, value.size());
}

void WriteBatch::PutWithTtl(std::string_view key, std::string_view value, absl::Duration ttl) {
  if (ttl == absl::InfiniteDuration()) return Put(key, value);
  Append(static_cast<int>(kv::Kind::kPutWithExpiry), key, value, TtlMillis(ttl));
  value_bytes_max_ = std::max(value_bytes_max_, value.size());
  has_time_to_live_ = true;
}

void WriteBatch::PutUntil(std::string_view key, std::string_view value, absl::Time expiry) {
  if (expiry == absl::InfiniteFuture()) return Put(key, value);
  // A time before 1970 has passed just the same.
  const uint64_t expiry_ms = TtlMillis(expiry - absl::UnixEpoch());
  Append(static_cast<int>(kv::Kind::kPutWithExpiry), key, value, expiry_ms | kv::kAbsoluteExpiry);
  value_bytes_max_ = std::max(value_bytes_max_, value.size());
  has_time_to_live_ = true;
}

void WriteBatch::Delete(std::string_view key) { Append(static_cast<int>(kv::Kind::kDelete), key, {}, 0); }

void WriteBatch::DeleteRange(std::string_view begin, std::string_view limit) {
  Append(static_cast<int>(kv::Kind::kRangeDelete), begin, limit, 0);
  key_bytes_max_ = std::max(key_bytes_max_, limit.size());
  range_delete_count_++;
  if (limit.empty()) has_empty_limit_ = true;
}

void WriteBatch::AppendCondition(int check, std::string_view key) {
  base::PutFixed8(&conditions_, static_cast<uint8_t>(check));
  base::PutLengthPrefixed(&conditions_, key);
  condition_count_++;
  key_bytes_max_ = std::max(key_bytes_max_, key.size());
}

void WriteBatch::RequireValue(std::string_view key, std::string_view value) {
  AppendCondition(static_cast<int>(kv::Check::kHasValue), key);
  base::PutLengthPrefixed(&conditions_, value);
  value_bytes_max_ = std::max(value_bytes_max_, value.size());
}

void WriteBatch::RequirePresent(std::string_view key) { AppendCondition(static_cast<int>(kv::Check::kPresent), key); }

void WriteBatch::RequireAbsent(std::string_view key) { AppendCondition(static_cast<int>(kv::Check::kAbsent), key); }

void WriteBatch::Clear() {
  operations_.clear();
  conditions_.clear();
  operation_count_ = 0;
  condition_count_ = 0;
  range_delete_count_ = 0;
  key_bytes_max_ = 0;
  value_bytes_max_ = 0;
  has_empty_limit_ = false;
  has_time_to_live_ = false;
}

}  // namespace bandb
