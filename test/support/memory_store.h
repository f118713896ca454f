// A Store in an ordered map: the plainest thing that keeps the contract, for tests of what rests
// above a Store.
#ifndef BANDB_TEST_SUPPORT_MEMORY_STORE_H_
#define BANDB_TEST_SUPPORT_MEMORY_STORE_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bandb/store.h"
#include "base/executor.h"
#include "base/mutex.h"

namespace bandb::test {

// Nothing is durable. Values with a time to live never expire, and none has a version. Async calls
// take effect at once, in order, and answer on the executor, which may be told to hold the answers
// back.
// Lifetime: the executor must outlive it. Thread safety: any thread.
class MemoryStore final : public Store {
 public:
  explicit MemoryStore(base::Executor* executor);
  ~MemoryStore() override;

  // While stalled, WriteAsync answers kUnavailable and changes nothing.
  void SetStalled(bool stalled) ABSL_LOCKS_EXCLUDED(mutex_);
  // While holding, neither writes take effect nor barriers open; letting go runs them in their
  // order.
  void SetHolding(bool holding) ABSL_LOCKS_EXCLUDED(mutex_);
  // Every write fails with this; OK ends it.
  void FailWritesWith(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  // Every read fails with this; OK ends it.
  void FailReadsWith(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  // This key is not in memory: ReadOptions::only_cached does not find it.
  void SetCold(std::string_view key) ABSL_LOCKS_EXCLUDED(mutex_);
  // As a node with peers: what has to be up to date is not read with ReadOptions::only_cached, but
  // after a barrier.
  void SetAsksOthers(bool asks) ABSL_LOCKS_EXCLUDED(mutex_);
  // Barriers answer this, and do not open; OK ends it.
  void FailBarriersWith(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  // The last write of this key may be lost with the power, until a batch was written with sync.
  void SetUndurable(std::string_view key) ABSL_LOCKS_EXCLUDED(mutex_);
  // Reads that may wait for a disk (iterators, and Get without only_cached) wait for this first.
  // Null ends it.
  void HoldReadsUntil(base::Event* event) ABSL_LOCKS_EXCLUDED(mutex_);

  // Reads that might wait for a disk, begun so far.
  uint64_t disk_reads() const { return disk_reads_.load(); }
  // Snapshots that live.
  int64_t snapshots() const { return snapshots_->load(); }
  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Batches that were written, with their sync flag.
  uint64_t batches() const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t synced_batches() const ABSL_LOCKS_EXCLUDED(mutex_);
  size_t held() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Map = std::map<std::string, std::string>;
  struct Held {
    std::optional<WriteBatch> batch;  // none: a barrier
    bool sync = false;
    WriteCallback done;
  };

  absl::Status DoPut(std::string_view key, std::string_view value, const WriteOptions& options) override;
  absl::Status DoDelete(std::string_view key, const WriteOptions& options) override;
  absl::Status DoWrite(const WriteBatch& batch, const WriteOptions& options) override;
  void DoWriteAsync(WriteBatch batch, const WriteOptions& options, WriteCallback done) override;
  absl::Status DoGet(std::string_view key, PinnedValue* value, const ReadOptions& options) override;
  std::vector<absl::StatusOr<std::string>> DoMultiGet(absl::Span<const std::string_view> keys,
                                                      const ReadOptions& options) override;
  std::unique_ptr<Iterator> DoNewIterator(const ReadOptions& options) override;
  Snapshot DoGetSnapshot() override;
  void DoReadBarrierAsync(const ReadOptions& options, ReadCallback ready) override;

  void WaitForReads() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Apply(const WriteBatch& batch, bool sync) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status ApplyLocked(const WriteBatch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status BarrierOutcome() const ABSL_LOCKS_EXCLUDED(mutex_);
  void Finish(Held held);

  base::Executor* const executor_;
  mutable base::Mutex mutex_;
  Map map_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> deleted_ ABSL_GUARDED_BY(mutex_);
  std::deque<Held> held_ ABSL_GUARDED_BY(mutex_);
  bool stalled_ ABSL_GUARDED_BY(mutex_) = false;
  bool holding_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status write_error_ ABSL_GUARDED_BY(mutex_);
  absl::Status read_error_ ABSL_GUARDED_BY(mutex_);
  bool asks_others_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status barrier_error_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> cold_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> undurable_ ABSL_GUARDED_BY(mutex_);
  base::Event* reads_held_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // Values that were read, shared with the readers as a memtable's are.
  std::map<std::string, std::shared_ptr<const std::string>> pinned_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> disk_reads_{0};
  // Outlives the store where snapshots do.
  const std::shared_ptr<std::atomic<int64_t>> snapshots_ = std::make_shared<std::atomic<int64_t>>(0);
  uint64_t batches_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t synced_batches_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_MEMORY_STORE_H_
