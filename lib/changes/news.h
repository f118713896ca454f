// How readers at the end of the change feed learn that there is more.
//
// Writers look at one number, which is 0 as long as nobody waits; only where somebody does
// is a lock taken.
#ifndef BANDB_CHANGES_NEWS_H_
#define BANDB_CHANGES_NEWS_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <unordered_set>
#include <vector>

#include "base/executor.h"
#include "base/mutex.h"
#include "kv/change_feed.h"

namespace bandb::changes {

// Thread safety: any thread.
class News {
 public:
  // A reader that waits adds its event or listener first, looks once more for what it waits for,
  // and removes it after the wait, however that ended. What was told is removed by that.
  void Add(base::Event* event) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    events_.push_back(event);
    waiting_.fetch_add(1, std::memory_order_seq_cst);
  }
  void Remove(base::Event* event) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    const auto at = std::find(events_.begin(), events_.end(), event);
    if (at == events_.end()) return;
    events_.erase(at);
    waiting_.fetch_sub(1, std::memory_order_seq_cst);
  }
  void Add(internal::ChangeListener* listener) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    if (listeners_.insert(listener).second) waiting_.fetch_add(1, std::memory_order_seq_cst);
  }
  void Remove(internal::ChangeListener* listener) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    if (listeners_.erase(listener) != 0) waiting_.fetch_sub(1, std::memory_order_seq_cst);
  }
  // There is more. What is told was stored before with std::memory_order_seq_cst: then either this
  // sees what waits, or the one that adds itself sees the news.
  void Tell() {
    if (waiting_.load(std::memory_order_seq_cst) != 0) TellAll();
  }
  uint64_t waiting() const { return waiting_.load(std::memory_order_seq_cst); }

 private:
  void TellAll() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    // Under the mutex: an event or a listener may be gone once it was removed.
    for (base::Event* event : events_) event->Set();
    for (internal::ChangeListener* listener : listeners_) listener->HasNews();
    events_.clear();
    listeners_.clear();
    waiting_.store(0, std::memory_order_seq_cst);
  }

  std::atomic<uint64_t> waiting_{0};
  base::Mutex mutex_;
  std::vector<base::Event*> events_ ABSL_GUARDED_BY(mutex_);
  std::unordered_set<internal::ChangeListener*> listeners_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::changes

#endif  // BANDB_CHANGES_NEWS_H_
