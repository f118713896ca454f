// Where readers of the change feed have been in the logs, so that the next one that goes on from
// there need not read a log from its beginning: over the wire every request is a reader.
#ifndef BANDB_STORAGE_LOG_SPOTS_H_
#define BANDB_STORAGE_LOG_SPOTS_H_

#include <cstdint>
#include <deque>
#include <map>

#include "base/mutex.h"

namespace bandb::storage {

// Thread safety: any thread.
class LogSpots {
 public:
  static constexpr size_t kSpotsMax = 1024;

  // In the log `number`, what comes before `offset`, the beginning of a record, is of no later
  // sequence.
  void Note(uint64_t number, uint64_t sequence, uint64_t offset) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    const auto [spot, is_new] = spots_.try_emplace(sequence, Spot{number, offset});
    if (!is_new) {
      spot->second = Spot{number, offset};
      return;
    }
    order_.push_back(sequence);
    if (order_.size() <= kSpotsMax) return;
    spots_.erase(order_.front());
    order_.pop_front();
  }
  // Where to begin in the log to find all that is of later sequences; 0: at its beginning.
  uint64_t Find(uint64_t number, uint64_t sequence) const ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    auto spot = spots_.upper_bound(sequence);
    if (spot == spots_.begin()) return 0;
    --spot;
    return spot->second.number == number ? spot->second.offset : 0;
  }

 private:
  struct Spot {
    uint64_t number = 0;
    uint64_t offset = 0;
  };

  mutable base::Mutex mutex_;
  std::map<uint64_t, Spot> spots_ ABSL_GUARDED_BY(mutex_);
  // Of these, the oldest first.
  std::deque<uint64_t> order_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_LOG_SPOTS_H_
