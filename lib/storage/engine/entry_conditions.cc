#include "storage/engine/entry_conditions.h"

#include <algorithm>
#include <iterator>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

namespace {

// Whether a range that ends there holds the key, if it begins at or before it.
bool IsBelow(std::string_view key, std::string_view limit) { return limit.empty() || key < limit; }

// Whether a range with the one limit goes as far as one with the other.
bool Reaches(std::string_view limit, std::string_view other) {
  return limit.empty() || (!other.empty() && limit >= other);
}

}  // namespace

absl::Status EntryConditions::ReadKey(const kv::Condition& condition) {
  // Sizes that differ are answer enough.
  const auto compares = [&](const Value& read) {
    return condition.check == kv::Check::kHasValue && read.present && read.size == condition.value.size();
  };
  auto at = values_.find(condition.key);
  if (at != values_.end() && (at->second.bytes.has_value() || !compares(at->second))) return absl::OkStatus();
  PinnedValue value;
  const absl::Status found = before_.get(condition.key, &value);
  if (!found.ok() && found.code() != absl::StatusCode::kNotFound) return found;
  if (at == values_.end()) at = values_.emplace(condition.key, Value()).first;
  if (!found.ok()) return absl::OkStatus();
  at->second = {.present = true, .size = value.value().size(), .version = value.version()};
  if (compares(at->second)) at->second.bytes = kept_.emplace_back(value.value());
  return absl::OkStatus();
}

absl::Status EntryConditions::Read(std::string_view conditions) {
  kv::ConditionReader reader(conditions);
  kv::Condition condition;
  while (reader.Next(&condition)) {
    if (condition.check == kv::Check::kEmptyRange) {
      has_ranges_ = true;
    } else {
      BANDB_RETURN_IF_ERROR(ReadKey(condition));
    }
  }
  if (!reader.ok()) return base::Error(absl::StatusCode::kDataLoss, "malformed conditions");
  return absl::OkStatus();
}

bool EntryConditions::HoldsFor(const kv::Condition& condition, const Value& value) {
  if (!value.present) return kv::Holds(condition, std::nullopt, 0);
  if (condition.check != kv::Check::kHasValue) return kv::Holds(condition, std::string_view(), value.version);
  if (value.size != condition.value.size()) return false;
  BANDB_ASSERT(value.bytes.has_value());
  return kv::Holds(condition, value.bytes, value.version);
}

absl::StatusOr<bool> EntryConditions::Hold(std::string_view conditions) {
  kv::ConditionReader reader(conditions);
  kv::Condition condition;
  while (reader.Next(&condition)) {
    if (condition.check == kv::Check::kEmptyRange) {
      BANDB_ASSERT(has_ranges_);
      BANDB_ASSIGN_OR_RETURN(const bool empty, IsEmpty(condition.key, condition.value));
      if (!empty) return false;
      continue;
    }
    const auto at = values_.find(condition.key);
    BANDB_ASSERT(at != values_.end());
    if (!HoldsFor(condition, at->second)) return false;
  }
  BANDB_ASSERT(reader.ok());
  return true;
}

absl::StatusOr<bool> EntryConditions::IsEmpty(std::string_view begin, std::string_view limit) {
  if (!IsBelow(begin, limit)) return true;
  const auto set = set_.lower_bound(begin);
  if (set != set_.end() && IsBelow(*set, limit)) return false;
  const auto found = found_.lower_bound(begin);
  if (found != found_.end() && IsBelow(*found, limit)) return false;
  // Nothing that this entry has set is there. Of what was there before, all that it has not
  // removed. What is known to be empty at either end is not walked.
  std::string_view first = begin, end = limit;
  if (const auto after = emptied_.upper_bound(begin); after != emptied_.begin()) {
    const std::string_view known = std::prev(after)->second;
    if (Reaches(known, limit)) return true;
    first = std::max(first, known);
  }
  const auto beyond = limit.empty() ? emptied_.end() : emptied_.lower_bound(limit);
  if (beyond != emptied_.begin()) {
    const auto& [from, to] = *std::prev(beyond);
    if (from > first && Reaches(to, limit)) end = from;
  }
  const std::unique_ptr<Iterator> keys = before_.walk(first, end);
  keys->SeekToFirst();
  while (keys->Valid()) {
    const auto after = emptied_.upper_bound(keys->key());
    if (after != emptied_.begin() && keys->key() < std::prev(after)->second) {
      keys->Seek(std::prev(after)->second);
    } else if (removed_.contains(keys->key())) {
      keys->Next();
    } else {
      NoteFound(keys->key());
      return false;
    }
  }
  BANDB_RETURN_IF_ERROR(keys->status());
  NoteEmptied(begin, limit);
  return true;
}

void EntryConditions::NoteFound(std::string_view key) {
  if (found_bytes_ + key.size() > kFoundBytesMax) return;
  found_bytes_ += key.size();
  found_.emplace(key);
}

void EntryConditions::ForgetFound(std::set<std::string, std::less<>>::iterator at) {
  found_bytes_ -= at->size();
  found_.erase(at);
}

void EntryConditions::NoteEmptied(std::string_view begin, std::string_view limit) {
  // Those that it meets become one with it.
  auto at = emptied_.upper_bound(begin);
  if (at != emptied_.begin()) {
    // Not Reaches: an empty begin is the first of all keys.
    const std::string_view known = std::prev(at)->second;
    if (known.empty() || known >= begin) --at;
  }
  while (at != emptied_.end() && (limit.empty() || at->first <= limit)) {
    begin = std::min(begin, at->first);
    if (Reaches(at->second, limit)) limit = at->second;
    at = emptied_.erase(at);
  }
  emptied_.emplace(begin, limit);
}

void EntryConditions::RangeDone(std::string_view begin, std::string_view limit) {
  BANDB_ASSERT(begin < limit);
  const auto end = values_.lower_bound(limit);
  for (auto at = values_.lower_bound(begin); at != end; ++at) at->second = Value();
  if (!has_ranges_) return;
  set_.erase(set_.lower_bound(begin), set_.lower_bound(limit));
  removed_.erase(removed_.lower_bound(begin), removed_.lower_bound(limit));
  for (auto at = found_.lower_bound(begin); at != found_.end() && *at < limit;) ForgetFound(at++);
  NoteEmptied(begin, limit);
}

void EntryConditions::KeyDone(const kv::Operation& operation, uint64_t now_ms, Sequence sequence) {
  const bool shows =
      operation.kind == kv::Kind::kPut || (operation.kind == kv::Kind::kPutWithExpiry && operation.expiry_ms > now_ms);
  if (const auto at = values_.find(operation.key); at != values_.end()) {
    at->second = Value();
    if (shows) {
      at->second = {.present = true, .size = operation.value.size(), .version = sequence, .bytes = operation.value};
    }
  }
  if (!has_ranges_) return;
  if (const auto at = found_.find(operation.key); at != found_.end() && !shows) ForgetFound(at);
  (shows ? set_ : removed_).insert(operation.key);
  (shows ? removed_ : set_).erase(operation.key);
}

void EntryConditions::Done(std::string_view operations, uint64_t now_ms, Sequence first) {
  if (values_.empty() && !has_ranges_) return;
  kv::OperationReader reader(operations);
  kv::Operation operation;
  for (Sequence sequence = first; reader.Next(&operation); ++sequence) {
    if (operation.kind != kv::Kind::kRangeDelete) {
      KeyDone(operation, now_ms, sequence);
    } else if (operation.key < operation.value) {
      RangeDone(operation.key, operation.value);
    }
  }
  BANDB_ASSERT(reader.ok());
}

}  // namespace bandb::storage
