// How fast background work goes on, and how far it has come.
//
// Before each step a job asks whether it may take it. One that may not, since compactions are
// paused or the rate limit wants it to wait, is parked: given up to this, and started again when
// the time has come. So no thread waits, and closing starts all that are parked, to let them end.
#ifndef BANDB_STORAGE_ENGINE_WORK_PACE_H_
#define BANDB_STORAGE_ENGINE_WORK_PACE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "bandb/stats.h"
#include "base/env.h"
#include "base/mutex.h"
#include "storage/compaction/rate_limit.h"
#include "storage/engine/wake_up.h"

namespace bandb::storage {

// How far a compaction has come.
struct WorkProgress {
  CompactionProgress fixed;
  std::atomic<uint64_t> done_bytes{0};
  std::atomic<uint64_t> written_bytes{0};
};

// Thread safety: any thread.
class WorkPace {
 public:
  // `bytes_per_second`: as Options has it. Jobs that have waited are started by GoOn, which is to
  // be called when `wake_up` runs kFlushesGoOn or kCompactionsGoOn.
  WorkPace(const base::Env& env, uint64_t bytes_per_second, std::shared_ptr<WakeUp> wake_up)
      : executor_(env.executor), clock_(env.clock), wake_up_(std::move(wake_up)), limit_(bytes_per_second) {}

  // What a step of a merge reads: a few milliseconds of work.
  uint64_t StepBytes() const { return limit_.StepBytes(kStepBytes); }
  void Wrote(bool is_flush, uint64_t bytes) { limit_.Wrote(is_flush, bytes, clock_->MonotonicNanos()); }

  // What writes nothing, such as a drop, has no limit to wait for.
  bool MayStep(bool is_flush, bool writes = true) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Of a job that may not. Of this nothing is touched once it runs again, whose end may be the end
  // of this.
  void Park(bool is_flush, std::unique_ptr<base::Job> job, bool writes = true) ABSL_LOCKS_EXCLUDED(mutex_);
  // Starts what has waited for the timer and is not paused; it asks again.
  void GoOn(WakeUp::Timer timer) ABSL_LOCKS_EXCLUDED(mutex_);

  void Pause() ABSL_LOCKS_EXCLUDED(mutex_);
  // False if nothing is paused. As many as of Pause have compactions go on.
  bool Continue() ABSL_LOCKS_EXCLUDED(mutex_);
  bool IsPaused() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Nothing waits any more.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

  // Of each compaction that runs.
  void Begin(std::shared_ptr<const WorkProgress> progress) ABSL_LOCKS_EXCLUDED(mutex_);
  void End(const std::shared_ptr<WorkProgress>& progress) ABSL_LOCKS_EXCLUDED(mutex_);
  void FillStats(Stats* stats) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static constexpr uint64_t kStepBytes = 1 << 20;

  struct Parked {
    bool is_flush = false;
    bool writes = true;
    std::unique_ptr<base::Job> job;
  };

  bool IsHeld(bool is_flush) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !closed_ && !is_flush && pauses_ != 0;
  }
  // Starts what neither waits for a timer nor is paused.
  void GoOn() ABSL_LOCKS_EXCLUDED(mutex_);
  // True if nothing of its kind waits yet, so that a timer is wanted.
  bool BeginWaiting(bool is_flush, int64_t now_nanos) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndWaiting(bool is_flush) ABSL_LOCKS_EXCLUDED(mutex_);

  base::Executor* const executor_;
  base::Clock* const clock_;
  const std::shared_ptr<WakeUp> wake_up_;
  RateLimit limit_;
  mutable base::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t pauses_ ABSL_GUARDED_BY(mutex_) = 0;
  // Since when compactions, and flushes, wait for the limit: each kind has one timer at a time.
  std::array<std::optional<int64_t>, 2> waiting_since_nanos_ ABSL_GUARDED_BY(mutex_);
  int64_t throttled_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Parked> parked_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<const WorkProgress>> running_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_WORK_PACE_H_
