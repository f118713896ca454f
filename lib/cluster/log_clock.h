// LogClock: how the time of the log goes with the clocks of people.
//
// The time of the log never goes back: what has expired for one reader is gone for all, and
// replicas drop it whenever they merge. Where a leader's clock was ahead by mistake, the log is
// ahead of all clocks once they are right. An entry then has them accepted: from it on the time of
// the log goes on at their pace, ahead of them by what it was ahead then, and whatever people see
// or say of times is that much less. So nothing comes back, and nothing waits for the clocks.
//
// The accepted clocks are a function of the log alone, and lie in space 0 of the state machine:
//
//   key   := "clock"
//   value := version:u8 (1) count:varint (since_ms:varint ahead_ms:varint)[count]
//
// both growing from one to the next. Of more than there is room for, the one goes by which the log
// was least further ahead, the earliest of several: times between it and the next are shown as much
// late.
#ifndef BANDB_CLUSTER_LOG_CLOCK_H_
#define BANDB_CLUSTER_LOG_CLOCK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bandb/iterator.h"
#include "base/mutex.h"

namespace bandb::cluster {

// Times are in milliseconds. Thread safety: one thread at a time.
class LogClock {
 public:
  static constexpr size_t kAcceptedMax = 32;

  // Reads what `system`, over space 0, holds. Errors: kDataLoss malformed; what the iterator says.
  static absl::StatusOr<LogClock> Load(Iterator* system);

  // By so much the log is ahead of clocks now; 0: none was ever accepted.
  uint64_t ahead_ms() const { return accepted_.empty() ? 0 : accepted_.back().ahead_ms; }
  // What a clock has shown at a time of the log.
  uint64_t ToClock(uint64_t log_ms) const;
  // The time of the log at which clocks have shown as much, the last one if they did so twice.
  uint64_t ToLog(uint64_t clock_ms) const;

  // At this time of the log clocks are accepted, which the log is ahead of by so much. False: it
  // was known.
  bool Accept(uint64_t log_ms, uint64_t ahead_ms);
  // The encoded operation on space 0 that keeps it, and what it comes to at the most.
  std::string Keep() const;
  static uint64_t BytesMax();

 private:
  struct Accepted {
    uint64_t since_ms = 0;
    uint64_t ahead_ms = 0;
  };
  // Before another one comes.
  void ForgetLeast();

  std::vector<Accepted> accepted_;
};

// The clock as the node has applied it, for all threads.
class SharedLogClock {
 public:
  void Set(const LogClock& clock) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    clock_ = clock;
    ahead_ms_.store(clock.ahead_ms(), std::memory_order_release);
  }
  LogClock Get() const ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    return clock_;
  }
  uint64_t ahead_ms() const { return ahead_ms_.load(std::memory_order_acquire); }

 private:
  std::atomic<uint64_t> ahead_ms_{0};
  mutable base::Mutex mutex_;
  LogClock clock_ ABSL_GUARDED_BY(mutex_);
};

// An iterator whose expiries are what clocks show.
std::unique_ptr<Iterator> ShowByTheClock(std::unique_ptr<Iterator> iterator, uint64_t ahead_ms);
// An expiry of the log, as clocks show it. The last one there is stays that.
int64_t ExpiryByTheClock(absl::Time expiry, uint64_t ahead_ms);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_LOG_CLOCK_H_
