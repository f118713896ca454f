#include "base/thread_executor.h"

#include <algorithm>
#include <exception>

#include "base/assert.h"

namespace bandb::base {

namespace {

// CondVar waits by the wall clock, which may be set back: a timer is late by no more than this.
constexpr int64_t kSleepMaxNanos = 1'000'000'000;

constexpr size_t Index(Priority priority) { return static_cast<size_t>(priority); }

}  // namespace

ThreadExecutor::ThreadExecutor(int threads) {
  BANDB_ASSERT(threads >= 1);
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    const bool reserved = i == 0 && threads > 1;
    threads_.emplace_back([this, reserved] { Run(reserved ? Priority::kNormal : Priority::kLow); });
  }
}

ThreadExecutor::~ThreadExecutor() { Shutdown(); }

void ThreadExecutor::Post(Priority priority, Task task) {
  BANDB_ASSERT(task != nullptr);
  Enqueue(priority, Work{std::move(task), nullptr});
}

void ThreadExecutor::Start(Priority priority, std::unique_ptr<Job> job) {
  BANDB_ASSERT(job != nullptr);
  Enqueue(priority, Work{nullptr, std::move(job)});
}

void ThreadExecutor::Enqueue(Priority priority, Work work) {
  MutexLock lock(&mutex_);
  // `work` outlives the lock, as a parameter does, so what is refused is destroyed without it.
  if (stopping_) return;
  queues_[Index(priority)].push_back(std::move(work));
  WakeOneLocked();
}

void ThreadExecutor::PostAfter(int64_t delay_nanos, Task task) {
  BANDB_ASSERT(task != nullptr);
  const int64_t now = clock_.MonotonicNanos();
  const int64_t due = now + std::clamp<int64_t>(delay_nanos, 0, INT64_MAX - now);
  MutexLock lock(&mutex_);
  if (stopping_) return;
  const bool earliest = timers_.empty() || due < timers_.begin()->first;
  timers_.emplace(due, std::move(task));
  if (!earliest) return;
  // All who are idle must wait for less time than they set out to: one alone might take other work
  // meanwhile.
  general_condition_.SignalAll();
  reserved_condition_.SignalAll();
}

bool ThreadExecutor::Wait(Event* event, int64_t timeout_nanos) { return event->BlockUntilSet(timeout_nanos); }

bool ThreadExecutor::AddThread() {
  MutexLock lock(&mutex_);
  if (stopping_) return false;
  try {
    threads_.emplace_back([this] { Run(Priority::kLow); });
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void ThreadExecutor::Shutdown() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    threads.swap(threads_);
    general_condition_.SignalAll();
    reserved_condition_.SignalAll();
  }
  for (std::thread& thread : threads) {
    BANDB_ASSERT(thread.get_id() != std::this_thread::get_id());
    thread.join();
  }
  // Destroyed without the lock: a task's destructor may post.
  std::array<std::deque<Work>, kPriorities> queues;
  Timers timers;
  MutexLock lock(&mutex_);
  queues.swap(queues_);
  timers.swap(timers_);
}

void ThreadExecutor::Run(Priority lowest) {
  Priority priority = Priority::kNormal;
  Work work;
  while (Take(lowest, &priority, &work)) {
    if (work.job == nullptr) {
      std::move(work.task)();
    } else if (work.job->Step() == Job::Next::kAgain) {
      Enqueue(priority, std::move(work));
    }
    // Destroyed here and not when the next piece is taken: others may wait for what it holds.
    work = Work();
  }
}

bool ThreadExecutor::Take(Priority lowest, Priority* priority, Work* work) {
  const bool general = lowest == Priority::kLow;
  MutexLock lock(&mutex_);
  for (;;) {
    if (stopping_) return false;
    MoveDueTimersLocked();
    if (TakeFromQueuesLocked(lowest, priority, work)) {
      WakeOneLocked();
      return true;
    }
    int& idle = general ? general_idle_ : reserved_idle_;
    CondVar& condition = general ? general_condition_ : reserved_condition_;
    ++idle;
    if (timers_.empty()) {
      condition.Wait(&mutex_);
    } else {
      const int64_t nanos = timers_.begin()->first - clock_.MonotonicNanos();
      condition.WaitFor(&mutex_, std::clamp<int64_t>(nanos, 0, kSleepMaxNanos));
    }
    --idle;
  }
}

bool ThreadExecutor::TakeFromQueuesLocked(Priority lowest, Priority* priority, Work* work) {
  for (size_t i = 0; i <= Index(lowest); ++i) {
    if (queues_[i].empty()) continue;
    *priority = static_cast<Priority>(i);
    *work = std::move(queues_[i].front());
    queues_[i].pop_front();
    return true;
  }
  return false;
}

void ThreadExecutor::MoveDueTimersLocked() {
  if (timers_.empty()) return;
  const int64_t now = clock_.MonotonicNanos();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    queues_[Index(Priority::kNormal)].push_back(Work{std::move(timers_.begin()->second), nullptr});
    timers_.erase(timers_.begin());
  }
}

void ThreadExecutor::WakeOneLocked() {
  const bool pressing = !queues_[Index(Priority::kHigh)].empty() || !queues_[Index(Priority::kNormal)].empty();
  // The reserved thread first, so that a general one stays free for the rest.
  if (pressing && reserved_idle_ > 0) {
    reserved_condition_.Signal();
  } else if (general_idle_ > 0 && (pressing || !queues_[Index(Priority::kLow)].empty())) {
    general_condition_.Signal();
  }
}

}  // namespace bandb::base
