#include "server/transaction.h"

#include <utility>

#include "base/status.h"
#include "kv/limits.h"

namespace bandb::server {

namespace {

// Behind every key but this one.
const std::string& LastKey() {
  static const std::string& key = *new std::string(kv::kKeyBytesMax, '\xff');
  return key;
}

}  // namespace

size_t EntryBytes(std::string_view key, const EntryState& state) {
  // With a node of the map.
  constexpr size_t kNodeBytes = sizeof(EntryMap::value_type) + 48;
  return key.size() + (state.has_value() ? state->value.size() : 0) + kNodeBytes;
}

size_t BytesOf(const EntryMap& entries) {
  size_t bytes = 0;
  for (const auto& [key, state] : entries) bytes += EntryBytes(key, state);
  return bytes;
}

void Transaction::Hold(size_t bytes) {
  bytes_ += bytes;
  if (bytes_ <= bytes_max_ || !status_.ok()) return;
  status_ = base::Error(absl::StatusCode::kResourceExhausted, "it would hold more memory than this server allows");
}

bool Transaction::HasRoomFor(size_t reply_bytes) {
  if (status_.ok() && reply_bytes > bytes_max_) {
    status_ = base::Error(absl::StatusCode::kResourceExhausted, "the reply would be longer than this server allows");
  }
  return status_.ok();
}

const EntryState& Transaction::Find(std::string_view key) {
  static const EntryState kNothing;
  if (const auto written = written_.find(key); written != written_.end()) return written->second;
  if (deleted_all_) return kNothing;
  if (const auto seen = seen_.find(key); seen != seen_.end()) return seen->second;
  if (!status_.ok()) return kNothing;
  if (user_ != nullptr && !user_->grants.Cover(Access::kRead, key)) {
    status_ = absl::PermissionDeniedError(DeniedFailure(*user_, "reading this key").message);
    return kNothing;
  }
  EntryState state;
  status_ = source_->Read(key, &state);
  if (!status_.ok()) return kNothing;
  Hold(EntryBytes(key, state));
  return seen_.emplace(key, std::move(state)).first->second;
}

const StoredEntry* Transaction::Get(std::string_view key) {
  const EntryState& state = Find(key);
  // Of what it wrote itself, what has expired is gone, too.
  if (!state.has_value() || state->expiry_ms <= now_ms_) return nullptr;
  return &*state;
}

void Transaction::Put(std::string_view key, std::string value, int64_t expiry_ms) {
  Write(key, StoredEntry{std::move(value), expiry_ms});
}

void Transaction::Delete(std::string_view key) { Write(key, std::nullopt); }

void Transaction::Write(std::string_view key, EntryState state) {
  if (!status_.ok()) return;
  Hold(EntryBytes(key, state));
  const auto [written, added] = written_.try_emplace(std::string(key));
  if (!added) bytes_ -= EntryBytes(key, written->second);
  written->second = std::move(state);
}

void Transaction::DeleteAll() {
  bytes_ -= BytesOf(written_);
  written_.clear();
  deleted_all_ = true;
}

void Transaction::WalkPrefix(std::string_view begin, std::string_view prefix,
                             absl::FunctionRef<bool(std::string_view key)> visit) {
  if (!status_.ok()) return;
  if (user_ != nullptr && !user_->grants.CoverPrefix(Access::kRead, prefix)) {
    status_ = absl::PermissionDeniedError(DeniedFailure(*user_, "a walk over these keys").message);
    return;
  }
  WalkAll(begin, [&](std::string_view key) { return key.substr(0, prefix.size()) == prefix && visit(key); });
}

void Transaction::Walk(std::string_view begin, absl::FunctionRef<bool(std::string_view key)> visit) {
  WalkPrefix(begin, {}, visit);
}

void Transaction::WalkAll(std::string_view begin, absl::FunctionRef<bool(std::string_view key)> visit) {
  auto own = written_.lower_bound(begin);
  // The keys of its own in front of `limit`; all if it is null.
  const auto visit_own = [&](const std::string_view* limit) {
    for (; own != written_.end() && (limit == nullptr || own->first < *limit); ++own) {
      if (own->second.has_value() && own->second->expiry_ms > now_ms_ && !visit(own->first)) return false;
    }
    return true;
  };
  if (!deleted_all_) {
    const std::unique_ptr<Iterator> it = source_->Walk(begin);
    if (it == nullptr) {
      status_ = absl::UnavailableError("a walk waits for the disk");
      return;
    }
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      if (++walked_keys_ > kWalkedKeysMax) {
        status_ =
            base::Error(absl::StatusCode::kResourceExhausted, "it would walk over more than {} keys", kWalkedKeysMax);
        return;
      }
      const std::string_view key = it->key();
      if (!visit_own(&key)) return;
      if (own != written_.end() && own->first == key) continue;
      if (!visit(key)) return;
    }
    status_ = it->status();
    if (!status_.ok()) return;
  }
  visit_own(nullptr);
}

std::vector<Condition> Transaction::Conditions() const {
  std::vector<Condition> conditions;
  conditions.reserve(seen_.size());
  for (const auto& [key, state] : seen_) {
    if (state.has_value()) {
      conditions.push_back({Condition::Check::kHasValue, key, state->value});
    } else {
      conditions.push_back({Condition::Check::kAbsent, key, {}});
    }
  }
  return conditions;
}

std::vector<Operation> Transaction::Writes() const {
  std::vector<Operation> operations;
  operations.reserve(written_.size() + 2);
  if (deleted_all_) {
    operations.push_back({.kind = OperationKind::kDeleteRange, .value = LastKey()});
    operations.push_back({.kind = OperationKind::kDelete, .key = LastKey()});
  }
  for (const auto& [key, state] : written_) {
    if (!state.has_value()) {
      operations.push_back({.kind = OperationKind::kDelete, .key = key});
      continue;
    }
    Operation& put = operations.emplace_back(Operation{.kind = OperationKind::kPut, .key = key, .value = state->value});
    if (state->expiry_ms == kNeverExpires) continue;
    put.expiry = absl::FromUnixMillis(state->expiry_ms);
    put.time_to_live = put.expiry - absl::FromUnixMillis(now_ms_);
  }
  return operations;
}

}  // namespace bandb::server
