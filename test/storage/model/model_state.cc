#include "storage/model/model_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/strings/escaping.h"

namespace bandb::test {

ModelEntries Visible(const ModelState& state, uint64_t now_ms, const std::string& lower, const std::string& upper) {
  ModelEntries visible;
  for (auto at = state.lower_bound(lower); at != state.end(); ++at) {
    if (!upper.empty() && at->first >= upper) break;
    if (at->second.expiry_ms > now_ms) visible.emplace_back(at->first, at->second.value);
  }
  return visible;
}

std::string Readable(const std::string& key) { return absl::CHexEscape(key.substr(0, 40)); }

std::string Difference(const ModelEntries& found, const ModelEntries& expected) {
  const size_t shorter = std::min(found.size(), expected.size());
  size_t at = 0;
  while (at < shorter && found[at] == expected[at]) ++at;
  const auto describe = [at](const ModelEntries& entries) {
    if (at >= entries.size()) return std::string("no entry");
    const auto& [key, value] = entries[at];
    return fmt::format("key \"{}\" with {} bytes", Readable(key), value.size());
  };
  return fmt::format("{} entries found and {} expected; the first that differs is number {}: {} instead of {}",
                     found.size(), expected.size(), at, describe(found), describe(expected));
}

bool ModelCondition::Holds(const ModelState& state, uint64_t now_ms) const {
  const auto at = state.find(key);
  const bool present = at != state.end() && at->second.expiry_ms > now_ms;
  switch (kind) {
    case Kind::kPresent:
      return present;
    case Kind::kAbsent:
      return !present;
    case Kind::kVersion:
      return stamp == (present ? at->second.stamp : 0);
    case Kind::kEmptyRange:
      return Visible(state, now_ms, key, value).empty();
    case Kind::kValue:
      break;
  }
  return present && at->second.value == value;
}

bool ModelWrite::Holds(const ModelState& state, uint64_t now_ms) const {
  return std::all_of(conditions.begin(), conditions.end(),
                     [&](const ModelCondition& condition) { return condition.Holds(state, now_ms); });
}

void ModelWrite::Apply(ModelState* state) const {
  // Far more than a write has changes.
  constexpr uint64_t kChangesMax = 1 << 20;
  uint64_t stamp = number * kChangesMax;
  for (const ModelChange& change : changes) {
    ++stamp;
    switch (change.kind) {
      case ModelChange::Kind::kPut:
        (*state)[change.key] = ModelValue{change.value, ModelValue::kNever, stamp};
        break;
      case ModelChange::Kind::kPutWithTtl:
        (*state)[change.key] = ModelValue{change.value, now_ms + change.ttl_ms, stamp};
        break;
      case ModelChange::Kind::kDelete:
        state->erase(change.key);
        break;
      case ModelChange::Kind::kDeleteRange:
        if (change.key < change.value) state->erase(state->lower_bound(change.key), state->lower_bound(change.value));
        break;
    }
  }
}

WriteBatch ModelWrite::ToBatch() const {
  WriteBatch batch;
  for (const ModelCondition& condition : conditions) {
    switch (condition.kind) {
      case ModelCondition::Kind::kPresent:
        batch.RequirePresent(condition.key);
        break;
      case ModelCondition::Kind::kAbsent:
        batch.RequireAbsent(condition.key);
        break;
      case ModelCondition::Kind::kValue:
        batch.RequireValue(condition.key, condition.value);
        break;
      case ModelCondition::Kind::kVersion:
        batch.RequireVersion(condition.key, condition.version);
        break;
      case ModelCondition::Kind::kEmptyRange:
        batch.RequireEmptyRange(condition.key, condition.value);
        break;
    }
  }
  for (const ModelChange& change : changes) {
    switch (change.kind) {
      case ModelChange::Kind::kPut:
        batch.Put(change.key, change.value);
        break;
      case ModelChange::Kind::kPutWithTtl:
        // Which of the two says it makes no difference.
        if (change.ttl_ms % 2 == 0) {
          batch.PutWithTtl(change.key, change.value, absl::Milliseconds(change.ttl_ms));
        } else {
          const auto expiry_ms = static_cast<int64_t>(now_ms + change.ttl_ms);
          batch.PutUntil(change.key, change.value, absl::FromUnixMillis(expiry_ms));
        }
        break;
      case ModelChange::Kind::kDelete:
        batch.Delete(change.key);
        break;
      case ModelChange::Kind::kDeleteRange:
        batch.DeleteRange(change.key, change.value);
        break;
    }
  }
  return batch;
}

}  // namespace bandb::test
