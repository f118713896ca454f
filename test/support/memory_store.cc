#include "support/memory_store.h"

#include <utility>

#include "base/status.h"
#include "kv/batch_format.h"
#include "kv/limits.h"

namespace bandb::test {

namespace {

// Walks a copy of the map as it was.
class MemoryIterator final : public Iterator {
 public:
  explicit MemoryIterator(std::map<std::string, std::string> entries)
      : entries_(std::move(entries)), at_(entries_.end()) {}

  bool Valid() const override { return at_ != entries_.end(); }
  void SeekToFirst() override { at_ = entries_.begin(); }
  void SeekToLast() override { at_ = entries_.empty() ? entries_.end() : std::prev(entries_.end()); }
  void Seek(std::string_view target) override { at_ = entries_.lower_bound(std::string(target)); }
  void SeekForPrev(std::string_view target) override {
    at_ = entries_.upper_bound(std::string(target));
    at_ = at_ == entries_.begin() ? entries_.end() : std::prev(at_);
  }
  void Next() override { ++at_; }
  void Prev() override { at_ = at_ == entries_.begin() ? entries_.end() : std::prev(at_); }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return at_->second; }
  absl::Status status() const override { return absl::OkStatus(); }

 private:
  const std::map<std::string, std::string> entries_;
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
  std::deque<Held> released;
  {
    base::MutexLock lock(&mutex_);
    holding_ = holding;
    if (!holding) released.swap(held_);
  }
  for (Held& held : released) Finish(std::move(held));
}

void MemoryStore::FailWritesWith(const absl::Status& status) {
  base::MutexLock lock(&mutex_);
  write_error_ = status;
}

void MemoryStore::FailReadsWith(const absl::Status& status) {
  base::MutexLock lock(&mutex_);
  read_error_ = status;
}

void MemoryStore::SetCold(std::string_view key) {
  base::MutexLock lock(&mutex_);
  cold_.emplace(key);
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
  BANDB_RETURN_IF_ERROR(kv::CheckBatch(kv::Limits(), batch));
  base::MutexLock lock(&mutex_);
  if (!write_error_.ok()) return write_error_;
  if (stalled_) return base::Error(absl::StatusCode::kUnavailable, "stalled");
  batches_++;
  if (sync) synced_batches_++;
  return ApplyLocked(batch);
}

absl::Status MemoryStore::ApplyLocked(const WriteBatch& batch) {
  kv::ConditionReader conditions(WriteBatchAccess::Conditions(batch));
  kv::Condition condition;
  while (conditions.Next(&condition)) {
    const auto found = map_.find(std::string(condition.key));
    const bool present = found != map_.end();
    bool holds = present;
    if (condition.check == kv::Check::kAbsent) holds = !present;
    if (condition.check == kv::Check::kHasValue) holds = present && found->second == condition.value;
    if (!holds) return base::Error(absl::StatusCode::kAborted, "a condition does not hold");
  }
  kv::OperationReader operations(WriteBatchAccess::Operations(batch));
  kv::Operation operation;
  while (operations.Next(&operation)) {
    const std::string key(operation.key);
    if (operation.kind == kv::Kind::kDelete) {
      map_.erase(key);
    } else if (operation.kind == kv::Kind::kRangeDelete) {
      const std::string limit(operation.value);
      if (key < limit) map_.erase(map_.lower_bound(key), map_.lower_bound(limit));
    } else {
      map_[key] = std::string(operation.value);
    }
  }
  return absl::OkStatus();
}

void MemoryStore::Finish(Held held) {
  absl::Status status = held.batch.has_value() ? Apply(*held.batch, held.sync) : absl::OkStatus();
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
  base::MutexLock lock(&mutex_);
  if (options.only_cached && cold_.contains(std::string(key))) {
    return base::Error(absl::StatusCode::kUnavailable, "not in memory");
  }
  if (!read_error_.ok()) return read_error_;
  const auto found = map_.find(std::string(key));
  if (found == map_.end()) return base::Error(absl::StatusCode::kNotFound, "no such key");
  value->Copy(found->second);
  return absl::OkStatus();
}

std::vector<absl::StatusOr<std::string>> MemoryStore::DoMultiGet(absl::Span<const std::string_view> keys,
                                                                 const ReadOptions& options) {
  std::vector<absl::StatusOr<std::string>> results;
  for (const std::string_view key : keys) results.push_back(Get(key, options));
  return results;
}

std::unique_ptr<Iterator> MemoryStore::DoNewIterator(const ReadOptions& options) {
  base::MutexLock lock(&mutex_);
  const auto begin = map_.lower_bound(options.lower_bound);
  const auto end = options.upper_bound.empty() ? map_.end() : map_.lower_bound(options.upper_bound);
  const bool inverted = !options.upper_bound.empty() && options.upper_bound < options.lower_bound;
  return std::make_unique<MemoryIterator>(inverted ? Map() : Map(begin, end));
}

}  // namespace bandb::test
