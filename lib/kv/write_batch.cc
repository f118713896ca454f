#include "bandb/write_batch.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "base/status.h"
#include "kv/batch_format.h"
#include "kv/limits.h"

namespace bandb {

namespace {

constexpr uint8_t kSerializedVersion = 1;

// Whole milliseconds, rounded up; nothing below zero.
uint64_t TtlMillis(absl::Duration ttl) {
  if (ttl <= absl::ZeroDuration()) return 0;
  return static_cast<uint64_t>(absl::ToInt64Milliseconds(absl::Ceil(ttl, absl::Milliseconds(1))));
}

// What the operation was added as.
BatchItem ItemOf(const kv::Operation& operation) {
  BatchItem item{.key = operation.key};
  switch (operation.kind) {
    case kv::Kind::kPut:
      item.value = operation.value;
      return item;
    case kv::Kind::kPutWithExpiry: {
      item.value = operation.value;
      const auto ms = static_cast<int64_t>(operation.expiry_ms & ~kv::kAbsoluteExpiry);
      const bool absolute = (operation.expiry_ms & kv::kAbsoluteExpiry) != 0;
      item.kind = absolute ? BatchItemKind::kPutUntil : BatchItemKind::kPutWithTtl;
      if (absolute) {
        item.expiry = absl::FromUnixMillis(ms);
      } else {
        item.ttl = absl::Milliseconds(ms);
      }
      return item;
    }
    case kv::Kind::kDelete:
      item.kind = BatchItemKind::kDelete;
      return item;
    case kv::Kind::kRangeDelete:
      item.kind = BatchItemKind::kDeleteRange;
      item.limit = operation.value;
      return item;
    default:
      BANDB_UNREACHABLE();
  }
}

BatchItem ItemOf(const kv::Condition& condition) {
  BatchItem item{.key = condition.key};
  switch (condition.check) {
    case kv::Check::kHasValue:
      item.kind = BatchItemKind::kRequireValue;
      item.value = condition.value;
      return item;
    case kv::Check::kPresent:
      item.kind = BatchItemKind::kRequirePresent;
      return item;
    case kv::Check::kAbsent:
      item.kind = BatchItemKind::kRequireAbsent;
      return item;
    case kv::Check::kHasVersion:
      item.kind = BatchItemKind::kRequireVersion;
      item.version = condition.version;
      return item;
    case kv::Check::kEmptyRange:
      item.kind = BatchItemKind::kRequireEmptyRange;
      item.limit = condition.value;
      return item;
  }
  BANDB_UNREACHABLE();
}

absl::Status NoBatch(std::string_view why) {
  return base::Error(absl::StatusCode::kDataLoss, "the bytes are no batch: {}", why);
}

}  // namespace

WriteBatch& WriteBatch::operator=(const WriteBatch& other) {
  if (this == &other) return *this;
  operations_.reserve(other.operations_.size());
  conditions_.reserve(other.conditions_.size());
  Clear();
  Append(other);
  return *this;
}

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

void WriteBatch::AppendOperation(int kind, std::string_view key, std::string_view value, uint64_t ttl_ms) {
  kv::AppendOperation(&operations_, {static_cast<kv::Kind>(kind), key, value, ttl_ms});
  ++operation_count_;
  key_bytes_max_ = std::max(key_bytes_max_, key.size());
}

void WriteBatch::Put(std::string_view key, std::string_view value) {
  AppendOperation(static_cast<int>(kv::Kind::kPut), key, value, 0);
  value_bytes_max_ = std::max(value_bytes_max_, value.size());
}

void WriteBatch::PutWithTtl(std::string_view key, std::string_view value, absl::Duration ttl) {
  if (ttl == absl::InfiniteDuration()) return Put(key, value);
  AppendOperation(static_cast<int>(kv::Kind::kPutWithExpiry), key, value, TtlMillis(ttl));
  value_bytes_max_ = std::max(value_bytes_max_, value.size());
  has_time_to_live_ = true;
}

void WriteBatch::PutUntil(std::string_view key, std::string_view value, absl::Time expiry) {
  if (expiry == absl::InfiniteFuture()) return Put(key, value);
  // A time before 1970 has passed just the same.
  const uint64_t expiry_ms = TtlMillis(expiry - absl::UnixEpoch());
  AppendOperation(static_cast<int>(kv::Kind::kPutWithExpiry), key, value, expiry_ms | kv::kAbsoluteExpiry);
  value_bytes_max_ = std::max(value_bytes_max_, value.size());
  has_time_to_live_ = true;
}

void WriteBatch::Delete(std::string_view key) { AppendOperation(static_cast<int>(kv::Kind::kDelete), key, {}, 0); }

void WriteBatch::DeleteRange(std::string_view begin, std::string_view limit) {
  AppendOperation(static_cast<int>(kv::Kind::kRangeDelete), begin, limit, 0);
  key_bytes_max_ = std::max(key_bytes_max_, limit.size());
  ++range_delete_count_;
  if (limit.empty()) has_empty_limit_ = true;
}

void WriteBatch::AppendCondition(int check, std::string_view key, std::string_view value, uint64_t version) {
  kv::AppendCondition(&conditions_, {static_cast<kv::Check>(check), key, value, version});
  ++condition_count_;
  key_bytes_max_ = std::max(key_bytes_max_, key.size());
}

void WriteBatch::RequireValue(std::string_view key, std::string_view value) {
  AppendCondition(static_cast<int>(kv::Check::kHasValue), key, value, 0);
  value_bytes_max_ = std::max(value_bytes_max_, value.size());
}

void WriteBatch::RequirePresent(std::string_view key) {
  AppendCondition(static_cast<int>(kv::Check::kPresent), key, {}, 0);
}

void WriteBatch::RequireAbsent(std::string_view key) {
  AppendCondition(static_cast<int>(kv::Check::kAbsent), key, {}, 0);
}

void WriteBatch::RequireVersion(std::string_view key, uint64_t version) {
  AppendCondition(static_cast<int>(kv::Check::kHasVersion), key, {}, version);
}

void WriteBatch::RequireEmptyRange(std::string_view begin, std::string_view limit) {
  AppendCondition(static_cast<int>(kv::Check::kEmptyRange), begin, limit, 0);
  key_bytes_max_ = std::max(key_bytes_max_, limit.size());
}

void WriteBatch::Add(const BatchItem& item) {
  switch (item.kind) {
    case BatchItemKind::kPut:
      return Put(item.key, item.value);
    case BatchItemKind::kPutWithTtl:
      return PutWithTtl(item.key, item.value, item.ttl);
    case BatchItemKind::kPutUntil:
      return PutUntil(item.key, item.value, item.expiry);
    case BatchItemKind::kDelete:
      return Delete(item.key);
    case BatchItemKind::kDeleteRange:
      return DeleteRange(item.key, item.limit);
    case BatchItemKind::kRequireValue:
      return RequireValue(item.key, item.value);
    case BatchItemKind::kRequirePresent:
      return RequirePresent(item.key);
    case BatchItemKind::kRequireAbsent:
      return RequireAbsent(item.key);
    case BatchItemKind::kRequireVersion:
      return RequireVersion(item.key, item.version);
    case BatchItemKind::kRequireEmptyRange:
      return RequireEmptyRange(item.key, item.limit);
  }
}

void WriteBatch::Append(const WriteBatch& other) {
  // All memory first: bytes that no count tells of would be written with those of the next call.
  kv::ReserveMore(&operations_, other.operations_.size());
  kv::ReserveMore(&conditions_, other.conditions_.size());
  operations_.append(other.operations_);
  conditions_.append(other.conditions_);
  operation_count_ += other.operation_count_;
  condition_count_ += other.condition_count_;
  range_delete_count_ += other.range_delete_count_;
  key_bytes_max_ = std::max(key_bytes_max_, other.key_bytes_max_);
  value_bytes_max_ = std::max(value_bytes_max_, other.value_bytes_max_);
  has_empty_limit_ |= other.has_empty_limit_;
  has_time_to_live_ |= other.has_time_to_live_;
}

void WriteBatch::ForEach(absl::FunctionRef<void(const BatchItem& item)> visit) const {
  kv::ConditionReader conditions(conditions_);
  for (kv::Condition condition; conditions.Next(&condition);) visit(ItemOf(condition));
  kv::OperationReader operations(operations_);
  for (kv::Operation operation; operations.Next(&operation);) visit(ItemOf(operation));
  BANDB_ASSERT(conditions.ok());
  BANDB_ASSERT(operations.ok());
}

std::string WriteBatch::Serialize() const {
  std::string bytes;
  bytes.reserve(1 + 2 * base::kVarint64BytesMax + ByteSize() + sizeof(uint64_t));
  base::PutFixed8(&bytes, kSerializedVersion);
  base::PutLengthPrefixed(&bytes, conditions_);
  base::PutLengthPrefixed(&bytes, operations_);
  base::PutFixed64(&bytes, base::Hash64(bytes));
  return bytes;
}

absl::StatusOr<WriteBatch> WriteBatch::Parse(std::string_view bytes) {
  if (bytes.size() < 1 + sizeof(uint64_t)) return NoBatch("too few");
  const std::string_view checked = bytes.substr(0, bytes.size() - sizeof(uint64_t));
  if (base::LoadFixed<uint64_t>(checked.data() + checked.size()) != base::Hash64(checked)) {
    return NoBatch("the checksum is another one");
  }
  base::ByteReader reader(checked);
  uint8_t version = 0;
  std::string_view conditions, operations;
  if (!reader.ReadFixed(&version) || version == 0) return NoBatch("version 0");
  if (version > kSerializedVersion) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "a batch of format version {}, newer than {}", version,
                       kSerializedVersion);
  }
  if (!reader.ReadLengthPrefixed(&conditions) || !reader.ReadLengthPrefixed(&operations) || !reader.empty()) {
    return NoBatch("a wrong length");
  }
  // Written once more, item by item: a batch holds no bytes but its own.
  WriteBatch batch;
  batch.conditions_.reserve(conditions.size());
  batch.operations_.reserve(operations.size());
  kv::ConditionReader condition_reader(conditions);
  for (kv::Condition condition; condition_reader.Next(&condition);) batch.Add(ItemOf(condition));
  kv::OperationReader operation_reader(operations);
  for (kv::Operation operation; operation_reader.Next(&operation);) batch.Add(ItemOf(operation));
  if (!condition_reader.ok() || !operation_reader.ok()) return NoBatch("malformed");
  return batch;
}

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
