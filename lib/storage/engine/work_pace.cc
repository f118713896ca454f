#include "storage/engine/work_pace.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace bandb::storage {

namespace {

base::Priority PriorityOf(bool is_flush) { return is_flush ? base::Priority::kHigh : base::Priority::kLow; }

}  // namespace

bool WorkPace::MayStep(bool is_flush, bool writes) const {
  const int64_t wait_nanos = writes ? limit_.WaitNanos(is_flush, clock_->MonotonicNanos()) : 0;
  base::MutexLock lock(&mutex_);
  return closed_ || (wait_nanos == 0 && !IsHeld(is_flush));
}

void WorkPace::Park(bool is_flush, std::unique_ptr<base::Job> job, bool writes) {
  BANDB_ASSERT(job != nullptr);
  // Once it is parked or started it may run on another thread, and this be gone with its end.
  base::Executor* const executor = executor_;
  const std::shared_ptr<WakeUp> wake_up = wake_up_;
  const int64_t now_nanos = clock_->MonotonicNanos();
  // By now it may do without; then it finds that out.
  const int64_t wait_nanos = writes ? limit_.WaitNanos(is_flush, now_nanos) : 0;
  bool needs_timer = false;
  {
    base::MutexLock lock(&mutex_);
    const bool is_held = IsHeld(is_flush);
    if (!closed_ && (wait_nanos != 0 || is_held)) {
      parked_.push_back({is_flush, writes, std::move(job)});
      needs_timer = !is_held && BeginWaiting(is_flush, now_nanos);
    }
  }
  if (job != nullptr) executor->Start(PriorityOf(is_flush), std::move(job));
  if (!needs_timer) return;
  const WakeUp::Timer timer = is_flush ? WakeUp::kFlushesGoOn : WakeUp::kCompactionsGoOn;
  executor->PostAfter(wait_nanos, [wake_up, timer]() { wake_up->Run(timer); });
}

bool WorkPace::BeginWaiting(bool is_flush, int64_t now_nanos) {
  std::optional<int64_t>& since = waiting_since_nanos_[is_flush ? 1 : 0];
  if (since) return false;
  since = now_nanos;
  return true;
}

void WorkPace::EndWaiting(bool is_flush) {
  const int64_t now_nanos = clock_->MonotonicNanos();
  base::MutexLock lock(&mutex_);
  std::optional<int64_t>& since = waiting_since_nanos_[is_flush ? 1 : 0];
  if (since) throttled_nanos_ += now_nanos - *since;
  since.reset();
}

void WorkPace::GoOn(WakeUp::Timer timer) {
  EndWaiting(timer == WakeUp::kFlushesGoOn);
  GoOn();
}

void WorkPace::GoOn() {
  std::vector<Parked> ready;
  {
    base::MutexLock lock(&mutex_);
    const auto first_ready = std::stable_partition(parked_.begin(), parked_.end(), [this](const Parked& parked) {
      mutex_.AssertHeld();
      return IsHeld(parked.is_flush) || (!closed_ && parked.writes && waiting_since_nanos_[parked.is_flush ? 1 : 0]);
    });
    ready.assign(std::make_move_iterator(first_ready), std::make_move_iterator(parked_.end()));
    parked_.erase(first_ready, parked_.end());
  }
  for (Parked& next : ready) executor_->Start(PriorityOf(next.is_flush), std::move(next.job));
}

void WorkPace::Pause() {
  base::MutexLock lock(&mutex_);
  ++pauses_;
}

bool WorkPace::Continue() {
  {
    base::MutexLock lock(&mutex_);
    if (pauses_ == 0) return false;
    if (--pauses_ != 0) return true;
  }
  GoOn();
  return true;
}

bool WorkPace::IsPaused() const {
  base::MutexLock lock(&mutex_);
  return pauses_ != 0;
}

void WorkPace::Close() {
  {
    base::MutexLock lock(&mutex_);
    closed_ = true;
  }
  for (const bool is_flush : {false, true}) EndWaiting(is_flush);
  GoOn();
}

void WorkPace::Begin(std::shared_ptr<const WorkProgress> progress) {
  base::MutexLock lock(&mutex_);
  running_.push_back(std::move(progress));
}

void WorkPace::End(const std::shared_ptr<WorkProgress>& progress) {
  base::MutexLock lock(&mutex_);
  const size_t erased = std::erase(running_, progress);
  BANDB_ASSERT(erased == 1);
}

void WorkPace::FillStats(Stats* stats) const {
  base::MutexLock lock(&mutex_);
  for (const std::shared_ptr<const WorkProgress>& progress : running_) {
    CompactionProgress& shown = stats->running_compactions.emplace_back(progress->fixed);
    shown.done_bytes = progress->done_bytes.load(std::memory_order_relaxed);
    shown.written_bytes = progress->written_bytes.load(std::memory_order_relaxed);
  }
  stats->compaction_pauses = pauses_;
  stats->throttled_micros = static_cast<uint64_t>(throttled_nanos_) / 1000;
}

}  // namespace bandb::storage
