#include "kv/batch_format.h"

#include <algorithm>

#include "base/assert.h"
#include "base/coding.h"
#include "kv/limits.h"

namespace bandb::kv {

bool OperationReader::Next(Operation* operation) {
  if (rest_.empty()) return false;
  base::ByteReader reader(rest_);
  uint8_t kind = 0;
  ok_ = reader.ReadFixed(&kind) && reader.ReadLengthPrefixed(&operation->key);
  operation->kind = static_cast<Kind>(kind);
  operation->value = {};
  operation->expiry_ms = 0;
  switch (operation->kind) {
    case Kind::kDelete:
      break;
    case Kind::kPut:
    case Kind::kRangeDelete:
      ok_ = ok_ && reader.ReadLengthPrefixed(&operation->value);
      break;
    case Kind::kPutWithExpiry:
      ok_ = ok_ && reader.ReadFixed(&operation->expiry_ms) && reader.ReadLengthPrefixed(&operation->value);
      break;
    default:
      ok_ = false;
  }
  rest_ = ok_ ? reader.rest() : std::string_view();
  return ok_;
}

bool ConditionReader::Next(Condition* condition) {
  if (rest_.empty()) return false;
  base::ByteReader reader(rest_);
  uint8_t check = 0;
  ok_ = reader.ReadFixed(&check) && reader.ReadLengthPrefixed(&condition->key);
  condition->check = static_cast<Check>(check);
  condition->value = {};
  condition->version = 0;
  switch (condition->check) {
    case Check::kPresent:
    case Check::kAbsent:
      break;
    case Check::kHasValue:
    case Check::kEmptyRange:
      ok_ = ok_ && reader.ReadLengthPrefixed(&condition->value);
      break;
    case Check::kHasVersion:
      ok_ = ok_ && reader.ReadVarint(&condition->version);
      break;
    default:
      ok_ = false;
  }
  rest_ = ok_ ? reader.rest() : std::string_view();
  return ok_;
}

bool Holds(const Condition& condition, const std::optional<std::string_view>& value, uint64_t version) {
  switch (condition.check) {
    case Check::kHasValue:
      return value == condition.value;
    case Check::kPresent:
      return value.has_value();
    case Check::kAbsent:
      return !value.has_value();
    case Check::kHasVersion:
      return (value.has_value() ? version : 0) == condition.version;
    case Check::kEmptyRange:
      break;
  }
  BANDB_UNREACHABLE();
}

bool IsWithinLimits(const Operation& operation) {
  const size_t value_bytes_max = operation.kind == Kind::kRangeDelete ? kKeyBytesMax : kValueBytesMax;
  return operation.key.size() <= kKeyBytesMax && operation.value.size() <= value_bytes_max;
}

bool IsWithinLimits(const Condition& condition) {
  const size_t value_bytes_max = condition.check == Check::kEmptyRange ? kKeyBytesMax : kValueBytesMax;
  return condition.key.size() <= kKeyBytesMax && condition.value.size() <= value_bytes_max;
}

size_t EncodedBytes(const Operation& operation) {
  size_t bytes = 1 + static_cast<size_t>(base::VarintLength(operation.key.size())) + operation.key.size();
  if (operation.kind == Kind::kPutWithExpiry) bytes += sizeof(uint64_t);
  if (operation.kind != Kind::kDelete) {
    bytes += static_cast<size_t>(base::VarintLength(operation.value.size())) + operation.value.size();
  }
  return bytes;
}

size_t EncodedBytes(const Condition& condition) {
  size_t bytes = 1 + static_cast<size_t>(base::VarintLength(condition.key.size())) + condition.key.size();
  if (condition.check == Check::kHasValue || condition.check == Check::kEmptyRange) {
    bytes += static_cast<size_t>(base::VarintLength(condition.value.size())) + condition.value.size();
  } else if (condition.check == Check::kHasVersion) {
    bytes += static_cast<size_t>(base::VarintLength(condition.version));
  }
  return bytes;
}

void ReserveMore(std::string* to, size_t bytes) {
  const size_t needed = to->size() + bytes;
  if (needed > to->capacity()) to->reserve(std::max(needed, 2 * to->capacity()));
}

void AppendOperation(std::string* to, const Operation& operation) {
  ReserveMore(to, EncodedBytes(operation));
  base::PutFixed8(to, static_cast<uint8_t>(operation.kind));
  base::PutLengthPrefixed(to, operation.key);
  if (operation.kind == Kind::kPutWithExpiry) base::PutFixed64(to, operation.expiry_ms);
  if (operation.kind != Kind::kDelete) base::PutLengthPrefixed(to, operation.value);
}

void AppendCondition(std::string* to, const Condition& condition) {
  ReserveMore(to, EncodedBytes(condition));
  base::PutFixed8(to, static_cast<uint8_t>(condition.check));
  base::PutLengthPrefixed(to, condition.key);
  if (condition.check == Check::kHasValue || condition.check == Check::kEmptyRange) {
    base::PutLengthPrefixed(to, condition.value);
  } else if (condition.check == Check::kHasVersion) {
    base::PutVarint(to, condition.version);
  }
}

uint64_t ExpiryAt(uint64_t now_ms, uint64_t ttl_ms) {
  if ((ttl_ms & kAbsoluteExpiry) != 0) return ttl_ms & ~kAbsoluteExpiry;
  return ttl_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + ttl_ms;
}

}  // namespace bandb::kv
