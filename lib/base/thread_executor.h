// The executor of production: a few threads, a queue for each priority, and timers.
//
// With two threads or more, the first never takes kLow, so that a memtable can always be flushed
// while compactions run. There is no thread for timers: idle threads wait until the next one is
// due, and a busy one looks when its step ends.
#ifndef BANDB_BASE_THREAD_EXECUTOR_H_
#define BANDB_BASE_THREAD_EXECUTOR_H_

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"

namespace bandb::base {

// Thread safety: every method but Shutdown and the destructor may be called from any thread.
class ThreadExecutor final : public Executor {
 public:
  // Starts `threads` threads, at least one.
  explicit ThreadExecutor(int threads);
  // Shuts down.
  ~ThreadExecutor() override;

  // One more, to do what the others do. False: there is none, or this has shut down.
  bool AddThread() ABSL_LOCKS_EXCLUDED(mutex_);

  void Post(Priority priority, Task task) override ABSL_LOCKS_EXCLUDED(mutex_);
  void PostAfter(int64_t delay_nanos, Task task) override ABSL_LOCKS_EXCLUDED(mutex_);
  void Start(Priority priority, std::unique_ptr<Job> job) override ABSL_LOCKS_EXCLUDED(mutex_);
  bool Wait(Event* event, int64_t timeout_nanos) override;

  // Lets the steps that are running end, joins the threads, and destroys whatever has not run,
  // unrun. What is posted later is destroyed at once. Idempotent. Not from a task or step, and by
  // one thread.
  void Shutdown() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // A task, or a job that wants its next step.
  struct Work {
    Task task;
    std::unique_ptr<Job> job;
  };
  // By the time it is due, then in the order of posting.
  using Timers = std::multimap<int64_t, Task>;

  void Enqueue(Priority priority, Work work) ABSL_LOCKS_EXCLUDED(mutex_);
  // A thread's life. `lowest` is the last priority that it takes.
  void Run(Priority lowest) ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes the next piece of work, waiting for it; false once the executor stops.
  bool Take(Priority lowest, Priority* priority, Work* work) ABSL_LOCKS_EXCLUDED(mutex_);
  bool TakeFromQueuesLocked(Priority lowest, Priority* priority, Work* work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MoveDueTimersLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Wakes a thread that can take what is queued, if one is idle. A thread that takes work calls it
  // for the rest of the queue, so that two wake-ups which met at one thread lose nothing.
  void WakeOneLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  SystemClock clock_;
  Mutex mutex_;
  CondVar general_condition_;   // threads that take everything
  CondVar reserved_condition_;  // the one that never takes kLow
  int general_idle_ ABSL_GUARDED_BY(mutex_) = 0;
  int reserved_idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::array<std::deque<Work>, kPriorities> queues_ ABSL_GUARDED_BY(mutex_);
  Timers timers_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::base

#endif  // BANDB_BASE_THREAD_EXECUTOR_H_
