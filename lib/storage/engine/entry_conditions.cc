#include "storage/engine/entry_conditions.h"

#include "base/assert.h"
#include "base/status.h"
#include "kv/batch_format.h"

namespace bandb::storage {

absl::Status EntryConditions::Read(std::string_view conditions, const Reader& read) {
  kv::ConditionReader reader(conditions);
  kv::Condition condition;
  PinnedValue value;
  while (reader.Next(&condition)) {
    if (values_.find(condition.key) != values_.end()) continue;
    const absl::Status found = read(condition.key, &value);
    if (!found.ok() && found.code() != absl::StatusCode::kNotFound) return found;
    values_.emplace(condition.key, found.ok() ? std::make_optional<std::string>(value.value()) : std::nullopt);
  }
  if (!reader.ok()) return base::Error(absl::StatusCode::kDataLoss, "malformed conditions");
  return absl::OkStatus();
}

bool EntryConditions::Hold(std::string_view conditions) const {
  kv::ConditionReader reader(conditions);
  kv::Condition condition;
  while (reader.Next(&condition)) {
    const auto at = values_.find(condition.key);
    BANDB_ASSERT(at != values_.end());
    const std::optional<std::string>& value = at->second;
    const bool holds = condition.check == kv::Check::kAbsent    ? !value.has_value()
                       : condition.check == kv::Check::kPresent ? value.has_value()
                                                                : value == condition.value;
    if (!holds) return false;
  }
  BANDB_ASSERT(reader.ok());
  return true;
}

void EntryConditions::Done(std::string_view operations, uint64_t now_ms) {
  if (values_.empty()) return;
  kv::OperationReader reader(operations);
  kv::Operation operation;
  while (reader.Next(&operation)) {
    if (operation.kind == kv::Kind::kRangeDelete) {
      if (operation.key >= operation.value) continue;
      const auto end = values_.lower_bound(operation.value);
      for (auto at = values_.lower_bound(operation.key); at != end; ++at) at->second.reset();
      continue;
    }
    const auto at = values_.find(operation.key);
    if (at == values_.end()) continue;
    const bool shows = operation.kind == kv::Kind::kPut ||
                       (operation.kind == kv::Kind::kPutWithExpiry && operation.expiry_ms > now_ms);
    at->second = shows ? std::make_optional<std::string>(operation.value) : std::nullopt;
  }
  BANDB_ASSERT(reader.ok());
}

}  // namespace bandb::storage
