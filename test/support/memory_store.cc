#include "support/memory_store.h"

#include <iterator>
#include <type_traits>
#include <utility>

#include "base/status.h"
#include "kv/batch_format.h"
#include "kv/limits.h"
#include "kv/snapshot_state.h"

namespace bandb::test {

namespace {

// A copy of everything.
class MapSnapshot final : public internal::SnapshotState {
 public:
  using Map = std::map<std::string, std::string>;
  MapSnapshot(const void* owner, Map map, std::shared_ptr<std::atomic<int64_t>> living)
      : SnapshotState(owner), map_(std::move(map)), living_(std::move(living)) {
    ++*living_;
  }
  ~MapSnapshot() override { --*living_; }
  static const Map& Of(const Snapshot& snapshot) { return static_cast<const MapSnapshot*>(snapshot.state())->map_; }

 private:
  const Map map_;
  const std::shared_ptr<std::atomic<int64_t>> living_;
};

// Walks a copy of the map as it was. Keys that were deleted count as skips.
class MemoryIterator final : public Iterator {
 public:
  MemoryIterator(std::map<std::string, std::string> entries, std::set<std::string> deleted, uint64_t skips_max)
      : entries_(std::move(entries)), deleted_(std::move(deleted)), skips_max_(skips_max), at_(entries_.end()) {}

  bool Valid() const override { return at_ != entries_.end(); }
  void SeekToFirst() override {
    at_ = entries_.begin();
    SkipDeleted(deleted_.begin(), deleted_.end());
  }
  void SeekToLast() override {
    at_ = entries_.empty() ? entries_.end() : std::prev(entries_.end());
    SkipDeleted(deleted_.rbegin(), deleted_.rend());
  }
  void Seek(std::string_view target) override { at_ = entries_.lower_bound(std::string(target)); }
  void SeekForPrev(std::string_view target) override {
    at_ = entries_.upper_bound(std::string(target));
    at_ = at_ == entries_.begin() ? entries_.end() : std::prev(at_);
  }
  void Next() override {
    const std::string from = at_->first;
    ++at_;
    SkipDeleted(deleted_.upper_bound(from), deleted_.end());
  }
  void Prev() override {
    const std::string from = at_->first;
    at_ = at_ == entries_.begin() ? entries_.end() : std::prev(at_);
    SkipDeleted(std::make_reverse_iterator(deleted_.lower_bound(from)), deleted_.rend());
  }
  std::string_view resume_key() const override { return resume_key_; }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return at_->second; }
  absl::Status status() const override { return status_; }

 private:
  // Passes the deleted keys from `first` on, up to where it is.
  template <typename It>
  void SkipDeleted(It first, It end) {
    const bool forward = std::is_same_v<It, std::set<std::string>::const_iterator> ||
                         std::is_same_v<It, std::set<std::string>::iterator>;
    for (; first != end; ++first) {
      if (Valid() && (forward ? *first > at_->first : *first < at_->first)) return;
      if (++skips_ <= skips_max_ || skips_max_ == 0) continue;
      at_ = entries_.end();
      resume_key_ = *first;
      status_ = base::Error(absl::StatusCode::kUnavailable, "gave up");
      return;
    }
  }

  const std::map<std::string, std::string> entries_;
  const std::set<std::string> deleted_;
  const uint64_t skips_max_;
  uint64_t skips_ = 0;
  std::string resume_key_;
  absl::Status status_;
  std::map<std::string, std::string>::const_iterator at_;
};

}  // namespace

MemoryStore::MemoryStore(base::Executor* executor) : executor_(executor) {}

MemoryStore::~MemoryStore() { SetHolding(false); }

void MemoryStore::SetStalled(bool stalled) {
  base::MutexLock lock(&mutex_);
  stalled_ = stalled;
}

void MemoryStore::SetHolding(bool holding) {
  while (true) {
    std::optional<Held> next;
    {
      base::MutexLock lock(&mutex_);
      // Whatever comes while the held ones are released comes after them.
      if (holding || held_.empty()) {
        holding_ = holding;
        return;
      }
      next = std::move(held_.front());
      held_.pop_front();
    }
    Finish(*std::move(next));
  }
}

void MemoryStore::FailWritesWith(const absl::Status& status) {
  base::MutexLock lock(&mutex_);
  write_error_ = status;
}

void MemoryStore::FailReadsWith(const absl::Status& status) {
  base::MutexLock lock(&mutex_);
  read_error_ = status;
}

void MemoryStore::SetAsksOthers(bool asks) {
  base::MutexLock lock(&mutex_);
  asks_others_ = asks;
}

void MemoryStore::FailBarriersWith(const absl::Status& status) {
  base::MutexLock lock(&mutex_);
  barrier_error_ = status;
}

void MemoryStore::SetCold(std::string_view key) {
  base::MutexLock lock(&mutex_);
  cold_.emplace(key);
}

void MemoryStore::SetUndurable(std::string_view key) {
  base::MutexLock lock(&mutex_);
  undurable_.emplace(key);
}

void MemoryStore::HoldReadsUntil(base::Event* event) {
  base::MutexLock lock(&mutex_);
  reads_held_ = event;
}

void MemoryStore::WaitForReads() {
  disk_reads_++;
  base::Event* held = nullptr;
  {
    base::MutexLock lock(&mutex_);
    held = reads_held_;
  }
  if (held != nullptr) held->BlockUntilSet(base::kForever);
}

size_t MemoryStore::size() const {
  base::MutexLock lock(&mutex_);
  return map_.size();
}

uint64_t MemoryStore::batches() const {
  base::MutexLock lock(&mutex_);
  return batches_;
}

uint64_t MemoryStore::synced_batches() const {
  base::MutexLock lock(&mutex_);
  return synced_batches_;
}

size_t MemoryStore::held() const {
  base::MutexLock lock(&mutex_);
  return held_.size();
}

absl::Status MemoryStore::DoPut(std::string_view key, std::string_view value, const WriteOptions& options) {
  WriteBatch batch;
  batch.Put(key, value);
  return Apply(batch, options.sync);
}

absl::Status MemoryStore::DoDelete(std::string_view key, const WriteOptions& options) {
  WriteBatch batch;
  batch.Delete(key);
  return Apply(batch, options.sync);
}

absl::Status MemoryStore::DoWrite(const WriteBatch& batch, const WriteOptions& options) {
  return Apply(batch, options.sync);
}

absl::Status MemoryStore::Apply(const WriteBatch& batch, bool sync) {
  BANDB_RETURN_IF_ERROR(kv::CheckBatch(kv::WriteLimits(), batch));
  base::MutexLock lock(&mutex_);
  if (!write_error_.ok()) return write_error_;
  if (stalled_) return base::Error(absl::StatusCode::kUnavailable, "stalled");
  // What was not done syncs nothing either.
  BANDB_RETURN_IF_ERROR(ApplyLocked(batch));
  batches_++;
  if (sync) synced_batches_++;
  if (sync) undurable_.clear();
  return absl::OkStatus();
}

absl::Status MemoryStore::ApplyLocked(const WriteBatch& batch) {
  kv::ConditionReader conditions(WriteBatchAccess::Conditions(batch));
  kv::Condition condition;
  while (conditions.Next(&condition)) {
    if (condition.check == kv::Check::kHasVersion) return absl::UnimplementedError("no versions are kept");
    bool holds = false;
    if (condition.check == kv::Check::kEmptyRange) {
      const auto first = map_.lower_bound(std::string(condition.key));
      holds = first == map_.end() || (!condition.value.empty() && first->first >= condition.value);
    } else {
      const auto found = map_.find(std::string(condition.key));
      const bool present = found != map_.end();
      holds = kv::Holds(condition, present ? std::make_optional<std::string_view>(found->second) : std::nullopt, 0);
    }
    if (!holds) return base::Error(absl::StatusCode::kAborted, "a condition does not hold");
  }
  kv::OperationReader operations(WriteBatchAccess::Operations(batch));
  kv::Operation operation;
  while (operations.Next(&operation)) {
    const std::string key(operation.key);
    if (operation.kind == kv::Kind::kDelete) {
      map_.erase(key);
      deleted_.insert(key);
    } else if (operation.kind == kv::Kind::kRangeDelete) {
      const std::string limit(operation.value);
      if (key < limit) map_.erase(map_.lower_bound(key), map_.lower_bound(limit));
    } else {
      map_[key] = std::string(operation.value);
      deleted_.erase(key);
    }
  }
  return absl::OkStatus();
}

absl::Status MemoryStore::BarrierOutcome() const {
  base::MutexLock lock(&mutex_);
  return barrier_error_;
}

void MemoryStore::Finish(Held held) {
  absl::Status status = held.batch.has_value() ? Apply(*held.batch, held.sync) : BarrierOutcome();
  executor_->Post(base::Priority::kHigh, [done = std::move(held.done), status]() mutable { std::move(done)(status); });
}

void MemoryStore::DoWriteAsync(WriteBatch batch, const WriteOptions& options, WriteCallback done) {
  Held held{std::move(batch), options.sync, std::move(done)};
  {
    base::MutexLock lock(&mutex_);
    if (holding_ || !held_.empty()) {
      held_.push_back(std::move(held));
      return;
    }
  }
  Finish(std::move(held));
}

void MemoryStore::DoReadBarrierAsync(const ReadOptions&, ReadCallback ready) {
  Held held{std::nullopt, false, std::move(ready)};
  {
    base::MutexLock lock(&mutex_);
    if (holding_ || !held_.empty()) {
      held_.push_back(std::move(held));
      return;
    }
  }
  Finish(std::move(held));
}

absl::Status MemoryStore::DoGet(std::string_view key, PinnedValue* value, const ReadOptions& options) {
  if (!options.only_cached) WaitForReads();
  base::MutexLock lock(&mutex_);
  if (options.only_cached && cold_.contains(std::string(key))) {
    return base::Error(absl::StatusCode::kUnavailable, "not in memory");
  }
  if (options.only_cached && asks_others_ && options.consistency != Consistency::kLocal) {
    return base::Error(absl::StatusCode::kUnavailable, "others have to be asked");
  }
  if (options.saw_undurable != nullptr) *options.saw_undurable = undurable_.contains(std::string(key));
  if (!read_error_.ok()) return read_error_;
  const auto found = map_.find(std::string(key));
  if (found == map_.end()) return base::Error(absl::StatusCode::kNotFound, "no such key");
  std::shared_ptr<const std::string>& kept = pinned_[found->first];
  if (kept == nullptr || *kept != found->second) kept = std::make_shared<const std::string>(found->second);
  using Owner = std::shared_ptr<const std::string>;
  value->Pin(*kept, new Owner(kept), [](void* owner) { delete static_cast<Owner*>(owner); });
  return absl::OkStatus();
}

std::vector<absl::StatusOr<std::string>> MemoryStore::DoMultiGet(absl::Span<const std::string_view> keys,
                                                                 const ReadOptions& options) {
  std::vector<absl::StatusOr<std::string>> results;
  for (const std::string_view key : keys) results.push_back(Get(key, options));
  return results;
}

Snapshot MemoryStore::DoGetSnapshot() {
  base::MutexLock lock(&mutex_);
  return Snapshot(std::make_shared<const MapSnapshot>(this, map_, snapshots_));
}

std::unique_ptr<Iterator> MemoryStore::DoNewIterator(const ReadOptions& options) {
  WaitForReads();
  base::MutexLock lock(&mutex_);
  if (options.saw_undurable != nullptr) *options.saw_undurable = !undurable_.empty();
  const Map& map = options.snapshot == nullptr ? map_ : MapSnapshot::Of(*options.snapshot);
  const auto begin = map.lower_bound(options.lower_bound);
  const auto end = options.upper_bound.empty() ? map.end() : map.lower_bound(options.upper_bound);
  const bool inverted = !options.upper_bound.empty() && options.upper_bound < options.lower_bound;
  if (inverted) return std::make_unique<MemoryIterator>(Map(), std::set<std::string>(), options.skips_max);
  const auto deleted_end = options.upper_bound.empty() ? deleted_.end() : deleted_.lower_bound(options.upper_bound);
  return std::make_unique<MemoryIterator>(Map(begin, end),
                                          std::set<std::string>(deleted_.lower_bound(options.lower_bound), deleted_end),
                                          options.skips_max);
}

}  // namespace bandb::test
