#include "server/transaction.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "kv/limits.h"

namespace bandb::server {

namespace {

// After every key but this one.
const std::string& LastKey() {
  static const std::string& key = *new std::string(kv::kKeyBytesMax, '\xff');
  return key;
}

uint64_t LastTurn(const WrittenEntry& entry) { return entry.turns.back().written; }

// Whether it read what it had written of a key before this turn when that had come.
bool ReadsOver(const WrittenEntry& entry, uint64_t turn) {
  const auto after = std::partition_point(entry.turns.begin(), entry.turns.end(),
                                          [turn](const WriteTurn& one) { return one.written < turn; });
  return after != entry.turns.begin() && std::prev(after)->read >= turn;
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

Transaction::~Transaction() {
  if (bounds_.quota != nullptr) bounds_.quota->AddMemory(-static_cast<int64_t>(bytes_ + reply_bytes_));
}

void Transaction::Hold(size_t bytes) {
  bytes_ += bytes;
  work_ += bytes;
  if (bounds_.quota != nullptr) bounds_.quota->AddMemory(static_cast<int64_t>(bytes));
  if (!status_.ok()) return;
  if (bytes_ > bytes_max_) {
    status_ = base::Error(absl::StatusCode::kResourceExhausted, "it would hold more memory than this server allows");
  } else if (bounds_.quota != nullptr &&
             bounds_.quota->memory_bytes.load(std::memory_order_relaxed) > bounds_.memory_bytes_max) {
    status_ = base::Error(absl::StatusCode::kUnavailable, "the server is short of memory");
  }
}

void Transaction::LetGo(size_t bytes) {
  bytes_ -= bytes;
  if (bounds_.quota != nullptr) bounds_.quota->AddMemory(-static_cast<int64_t>(bytes));
}

void Transaction::Keep(size_t bytes) {
  kept_bytes_ += bytes;
  Hold(bytes);
}

void Transaction::Forget() {
  walk_state_.reset();
  LetGo(std::exchange(kept_bytes_, 0));
}

void Transaction::ForgetReads() {
  LetGo(BytesOf(seen_));
  seen_.clear();
}

bool Transaction::Yield() {
  if (!status_.ok()) return true;
  if (!IsSpent()) return false;
  paused_ = bounds_.may_pause;
  if (!paused_) status_ = base::Error(absl::StatusCode::kUnavailable, "it takes more than one step");
  return true;
}

bool Transaction::HasTimeFor(uint64_t work) {
  if (status_.ok() && !bounds_.may_pause && work > bounds_.work_max - std::min(work_, bounds_.work_max)) {
    status_ = base::Error(absl::StatusCode::kUnavailable, "it takes more than one step");
  }
  return status_.ok();
}

void Transaction::Resume() {
  work_ = 0;
  paused_ = false;
  resumed_ = true;
}

bool Transaction::HasRoomFor(size_t reply_bytes) {
  if (reply_bytes > reply_bytes_) work_ += reply_bytes - reply_bytes_;
  if (bounds_.quota != nullptr) {
    bounds_.quota->AddMemory(static_cast<int64_t>(reply_bytes) - static_cast<int64_t>(reply_bytes_));
  }
  reply_bytes_ = reply_bytes;
  if (status_.ok() && reply_bytes > bytes_max_) {
    status_ = base::Error(absl::StatusCode::kResourceExhausted, "the reply would be longer than this server allows");
  }
  return status_.ok();
}

std::string_view Transaction::StoredName(std::string_view key) const {
  if (bounds_.stored_names == nullptr) return key;
  const auto found = bounds_.stored_names->find(key);
  return found == bounds_.stored_names->end() ? key : std::string_view(found->second);
}

const EntryState& Transaction::Find(std::string_view key) {
  static const EntryState kNothing;
  if (const auto written = written_.find(key); written != written_.end()) {
    WriteTurn& turn = written->second.turns.back();
    turn.read = turn_;
    if (turn.written < turn_) reads_own_late_ = true;
    return written->second.state;
  }
  const std::string_view name = StoredName(key);
  if (bounds_.is_judged && turn_ > 0) {
    const auto [read, added] = late_reads_.try_emplace(std::string(name));
    if (added) Hold(EntryBytes(name, std::nullopt));
    read->second = turn_;
  }
  return deleted_all_ ? kNothing : FindStored(name);
}

const EntryState& Transaction::FindStored(std::string_view name) {
  static const EntryState kNothing;
  if (const auto seen = seen_.find(name); seen != seen_.end()) return seen->second;
  if (!bounds_.may_pause && Yield()) return kNothing;
  if (!status_.ok()) return kNothing;
  if (user_ != nullptr && !user_->grants.Cover(Access::kRead, name)) {
    status_ = absl::PermissionDeniedError(DeniedFailure(*user_, "reading this key").message);
    return kNothing;
  }
  EntryState state;
  status_ = source_->Read(name, &state);
  if (!status_.ok()) return kNothing;
  work_ += bounds_.work_per_lookup;
  Hold(EntryBytes(name, state));
  return seen_.emplace(name, std::move(state)).first->second;
}

const StoredEntry* Transaction::Get(std::string_view key) { return Shown(Find(key)); }

void Transaction::Put(std::string_view key, std::string value, int64_t expiry_ms) {
  Write(key, StoredEntry{std::move(value), expiry_ms});
}

void Transaction::Delete(std::string_view key) { Write(key, std::nullopt); }

void Transaction::Write(std::string_view key, EntryState state) {
  if (!status_.ok()) return;
  Hold(EntryBytes(key, state));
  const auto [found, added] = written_.try_emplace(std::string(key));
  WrittenEntry& written = found->second;
  const WriteTurn turn{++turn_, turn_};
  if (added) {
    written.turns.push_back(turn);
  } else {
    LetGo(EntryBytes(key, written.state));
    if (bounds_.is_judged) {
      Hold(sizeof(WriteTurn));
      written.turns.push_back(turn);
    } else {
      written.turns.back() = turn;
    }
  }
  written.state = std::move(state);
}

void Transaction::DeleteAll() {
  for (const auto& [key, written] : written_) {
    LetGo(EntryBytes(key, written.state) + (written.turns.size() - 1) * sizeof(WriteTurn));
  }
  written_.clear();
  deleted_all_ = true;
  deleted_turn_ = ++turn_;
}

bool Transaction::MayWalk(std::string_view prefix) {
  if (!status_.ok()) return false;
  if (user_ != nullptr && !user_->grants.CoverPrefix(Access::kRead, prefix)) {
    status_ = absl::PermissionDeniedError(DeniedFailure(*user_, "a walk over these keys").message);
  }
  return status_.ok();
}

bool Transaction::WalkPrefix(std::string_view begin, std::string_view prefix, Visit visit) {
  return MayWalk(prefix) && WalkAll(begin, prefix, visit, nullptr);
}

void Transaction::WalkSome(std::string_view begin, std::string_view prefix, Visit visit,
                           std::optional<std::string>* rest) {
  if (MayWalk(prefix)) WalkAll(begin, prefix, visit, rest);
}

bool Transaction::WalkAll(std::string_view begin, std::string_view prefix, Visit visit_one,
                          std::optional<std::string>* rest) {
  const auto visit = [&](std::string_view key) { return key.substr(0, prefix.size()) == prefix && visit_one(key); };
  const std::string from = walk_rest_.has_value() ? *std::exchange(walk_rest_, std::nullopt) : std::string(begin);
  auto own = written_.lower_bound(from);
  // The keys of its own before `limit`; all if it is null.
  const auto visit_own = [&](const std::string_view* limit) {
    for (; own != written_.end() && (limit == nullptr || own->first < *limit); ++own) {
      if (Shown(own->second.state) != nullptr && !visit(own->first)) return false;
    }
    return true;
  };
  const auto pause = [&](std::string_view at) {
    if (at.substr(0, prefix.size()) > prefix) return true;
    (rest == nullptr ? walk_rest_ : *rest) = std::string(at);
    if (rest == nullptr) paused_ = true;
    return false;
  };
  if (!deleted_all_) {
    const std::unique_ptr<Iterator> it = source_->Walk(from);
    if (it == nullptr) {
      status_ = absl::UnavailableError("a walk waits for the disk");
      return false;
    }
    bool looked = false;
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      const std::string_view key = it->key();
      if (!visit_own(&key)) return status_.ok();
      if (looked && IsSpent()) return pause(key);
      looked = true;
      // A value is not looked at, but has to be passed.
      work_ += kWorkPerKey + key.size() + it->value().size() / 4;
      if (++walked_keys_ > kWalkedKeysMax) {
        status_ =
            base::Error(absl::StatusCode::kResourceExhausted, "it would walk over more than {} keys", kWalkedKeysMax);
        return false;
      }
      if (own != written_.end() && own->first == key) continue;
      if (!visit(key)) return status_.ok();
    }
    if (absl::IsUnavailable(it->status())) {
      const std::string_view at = it->resume_key();
      return visit_own(&at) ? pause(at) : status_.ok();
    }
    status_ = it->status();
    if (!status_.ok()) return false;
  }
  visit_own(nullptr);
  return status_.ok();
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

std::vector<const WrittenMap::value_type*> Transaction::InOrder() const {
  std::vector<const WrittenMap::value_type*> entries;
  entries.reserve(written_.size());
  for (const auto& entry : written_) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(),
            [](const auto* a, const auto* b) { return LastTurn(a->second) < LastTurn(b->second); });
  return entries;
}

std::vector<Operation> Transaction::Writes() const {
  std::vector<Operation> operations;
  operations.reserve(written_.size() + 2);
  if (deleted_all_) {
    operations.push_back({.kind = OperationKind::kDeleteRange, .value = LastKey()});
    operations.push_back({.kind = OperationKind::kDelete, .key = LastKey()});
  }
  for (const auto* entry : InOrder()) {
    const std::string& key = entry->first;
    const EntryState& state = entry->second.state;
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

std::vector<Transaction::Judged> Transaction::InOrder(absl::Span<const Operation> judged) const {
  const std::vector<const WrittenMap::value_type*> entries = InOrder();
  const auto added = std::count_if(judged.begin(), judged.end(), [](const Operation& one) { return one.emitted; });
  const size_t own_count = judged.size() - static_cast<size_t>(added);
  BANDB_ASSERT(own_count >= entries.size());
  // Before the others may come what deletes everything.
  size_t deletions = own_count - entries.size();
  auto entry = entries.begin();
  std::vector<Judged> ordered;
  ordered.reserve(judged.size());
  for (const Operation& operation : judged) {
    if (operation.emitted) {
      BANDB_ASSERT(!ordered.empty());
      ordered.push_back({&operation, ordered.back().turn});
    } else if (deletions > 0) {
      --deletions;
      ordered.push_back({&operation, deleted_turn_});
    } else {
      const WrittenEntry& written = (*entry++)->second;
      ordered.push_back({&operation, LastTurn(written), &written});
    }
  }
  return ordered;
}

uint64_t Transaction::LateReadOf(std::string_view name) const {
  const auto found = late_reads_.find(name);
  return found == late_reads_.end() ? 0 : found->second;
}

bool Transaction::MissesOwnWrite(absl::Span<const Judged> judged) const {
  std::map<std::string_view, std::vector<uint64_t>> turns_of;
  for (const Judged& one : judged) {
    if (one.entry == nullptr) continue;
    std::vector<uint64_t>& turns = turns_of[one.operation->key];
    for (const WriteTurn& turn : one.entry->turns) turns.push_back(turn.written);
  }
  for (auto& [key, turns] : turns_of) std::sort(turns.begin(), turns.end());
  for (const Judged& one : judged) {
    if (one.entry == nullptr) continue;
    const std::vector<uint64_t>& turns = turns_of.at(one.operation->key);
    // By a name by which it did not write it.
    if (LateReadOf(one.operation->key) >= turns.front()) return true;
    for (const WriteTurn& turn : one.entry->turns) {
      // By the name by which it had written it: there was a later write, which is another name's.
      const auto next = std::upper_bound(turns.begin(), turns.end(), turn.written);
      if (next != turns.end() && *next <= turn.read) return true;
    }
  }
  return false;
}

bool Transaction::LosesAddedWrite(absl::Span<const Judged> judged) const {
  // Of who puts without having read, nothing is lost: it comes later.
  std::multimap<std::string_view, const WrittenEntry*> puts;
  for (const Judged& one : judged) {
    if (one.entry != nullptr && one.operation->kind == OperationKind::kPut) puts.emplace(one.operation->key, one.entry);
  }
  for (const Judged& one : judged) {
    const Operation& added = *one.operation;
    if (!added.emitted) continue;
    auto put = puts.lower_bound(added.key);
    const auto is_hit = [&] {
      if (put == puts.end()) return false;
      return added.IsRange() ? added.value.empty() || put->first < added.value : put->first == added.key;
    };
    for (; is_hit(); ++put) {
      if (LastTurn(*put->second) <= one.turn) continue;
      if (ReadsOver(*put->second, one.turn) || LateReadOf(put->first) >= one.turn) return true;
    }
  }
  return false;
}

absl::Status Transaction::CheckReads(absl::Span<const Operation> judged) const {
  if (!bounds_.is_judged || (late_reads_.empty() && !reads_own_late_)) return absl::OkStatus();
  const std::vector<Judged> ordered = InOrder(judged);
  if (MissesOwnWrite(ordered)) {
    return base::Error(
        absl::StatusCode::kInvalidArgument,
        "hooks make one of two keys of this transaction, which reads one after it has written the other");
  }
  if (LosesAddedWrite(ordered)) {
    return base::Error(absl::StatusCode::kInvalidArgument,
                       "hooks add a write of a key to this transaction, which reads and changes that key after it");
  }
  return absl::OkStatus();
}

}  // namespace bandb::server
