// The live snapshots of a database.
#ifndef BANDB_STORAGE_COMPACTION_SNAPSHOT_LIST_H_
#define BANDB_STORAGE_COMPACTION_SNAPSHOT_LIST_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <utility>

#include "base/mutex.h"
#include "kv/snapshot_state.h"
#include "storage/compaction/version_keeper.h"

namespace bandb::storage {

class SnapshotList;

// One moment for a reader of many keys: everything up to the sequence was written, and no more.
struct Moment {
  Sequence sequence = 0;
  uint64_t now_ms = 0;
};

// The present one. `now_ms` is asked for the time until nothing is published meanwhile: with a
// later sequence, a reader could see a write beside what had to have expired for it; with an
// earlier one, miss a renewal that was published before the time was asked for. What else it takes,
// such as a view, is of the moment.
template <typename NowMs>
Moment PresentMoment(const std::atomic<Sequence>& last_sequence, const NowMs& now_ms) {
  Moment moment{.sequence = last_sequence.load(std::memory_order_acquire)};
  while (true) {
    moment.now_ms = now_ms();
    const Sequence last = last_sequence.load(std::memory_order_acquire);
    if (std::exchange(moment.sequence, last) == last) return moment;
  }
}

// What a snapshot is registered with: its sequence and its time.
struct SnapshotPlace {
  std::pair<Sequence, uint64_t> at;
  bool amid_forgetting = false;
};

// One state to read: everything up to a sequence, at a time.
class DbSnapshot final : public internal::SnapshotState {
 public:
  // Takes the present moment and registers it in one step: a merge that began before it ends before
  // that sequence, and one that begins later knows of it. So it is with the time: a merge must not
  // drop what expires between the two. `generation`: of the view (ReadView) that it was taken of.
  DbSnapshot(std::shared_ptr<SnapshotList> list, uint64_t generation, const std::atomic<Sequence>& last_sequence,
             const std::function<uint64_t()>& now_ms);
  ~DbSnapshot() override;

  Sequence sequence() const { return place_.at.first; }
  uint64_t now_ms() const { return place_.at.second; }
  uint64_t generation() const { return generation_; }
  // It was taken while something is forgotten that it may see: then it has to keep a state of its
  // own, which its owner gives it before others have it.
  bool amid_forgetting() const { return place_.amid_forgetting; }
  void Keep(std::shared_ptr<const void> state) { kept_ = std::move(state); }
  const std::shared_ptr<const void>& kept() const { return kept_; }

 private:
  // Shared: a snapshot may outlive its database.
  const std::shared_ptr<SnapshotList> list_;
  const uint64_t generation_;
  const SnapshotPlace place_;
  std::shared_ptr<const void> kept_;
};

// Thread safety: any thread.
class SnapshotList {
 public:
  // `released` is called after the end of each snapshot, by the thread that ended it.
  explicit SnapshotList(std::function<void()> released = nullptr) : released_(std::move(released)) {}
  // What a merge that begins now must leave to be seen. Snapshots that are taken later see
  // everything that is there now.
  SnapshotHorizon Horizon(uint64_t now_ms) const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t Count() const ABSL_LOCKS_EXCLUDED(mutex_);
  // 0 if there is none.
  Sequence Oldest() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Before an edit takes something away whose first sequence is this one: false if a live snapshot
  // sees it, and was not told. Else those that are taken until EndForgetting, which comes when the
  // edit is installed or has failed, are told.
  bool BeginForgetting(Sequence first) ABSL_LOCKS_EXCLUDED(mutex_);
  void EndForgetting() ABSL_LOCKS_EXCLUDED(mutex_);
  // From when something is to be taken away until nothing is: those that are taken meanwhile are
  // told, too. So it waits for the end of those from before alone, however many come after them.
  void SetForgettingDue(bool due) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  friend class DbSnapshot;
  SnapshotPlace Add(const std::atomic<Sequence>& last_sequence, const std::function<uint64_t()>& now_ms)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const SnapshotPlace& place) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::function<void()> released_;
  mutable base::Mutex mutex_;
  std::multiset<std::pair<Sequence, uint64_t>> live_ ABSL_GUARDED_BY(mutex_);
  // The sequences of those that were not told of any forgetting.
  std::multiset<Sequence> readers_ ABSL_GUARDED_BY(mutex_);
  int forgetting_ ABSL_GUARDED_BY(mutex_) = 0;
  bool forgetting_due_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_COMPACTION_SNAPSHOT_LIST_H_
