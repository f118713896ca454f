// The executor seam: where background work runs, and how a façade waits.
//
// In production an Executor is a few threads and a timer. In the simulator it is one thread that
// picks the next step by seed. Code that is written against it never starts a thread and never
// sleeps. Engines only post; façades (Db, the server's main, the tools) alone call Wait, which in
// the simulator runs other steps until the event is set.
#ifndef BANDB_BASE_EXECUTOR_H_
#define BANDB_BASE_EXECUTOR_H_

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "base/mutex.h"

namespace bandb::base {

// Run exactly once, or destroyed unrun when the executor shuts down before its turn.
using Task = absl::AnyInvocable<void() &&>;

// Which work goes first when threads are short. Within one priority tasks start in the order they
// were posted.
enum class Priority : uint8_t {
  kHigh = 0,    // completions, log syncs and memtable flushes: a caller is waiting
  kNormal = 1,  // everything else that is short
  kLow = 2,     // compactions
};
inline constexpr int kPriorities = 3;

// Background work in resumable steps. A step does a bounded piece of work (some 100 µs to a few ms,
// blocking disk calls included) and returns; between two steps of a job any other work may run.
// Thread safety: steps of one job never overlap, and each sees what the one before it wrote, on
// whatever thread.
class Job {
 public:
  enum class Next : uint8_t { kAgain, kDone };
  virtual ~Job() = default;
  virtual Next Step() = 0;
};

// A one-shot flag with waiters; see Executor::Wait. Reset makes it fit for use again once no thread
// waits.
// Thread safety: any thread. An Event may be destroyed as soon as a Wait on it returned true.
class Event {
 public:
  void Set() ABSL_LOCKS_EXCLUDED(mutex_);
  bool IsSet() const ABSL_LOCKS_EXCLUDED(mutex_);
  void Reset() ABSL_LOCKS_EXCLUDED(mutex_);
  // Blocks the calling thread: for executors that have threads. Others use Executor::Wait.
  bool BlockUntilSet(int64_t timeout_nanos) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable Mutex mutex_;
  CondVar condition_;
  bool set_ ABSL_GUARDED_BY(mutex_) = false;
};

inline constexpr int64_t kForever = INT64_MAX;

// Thread safety: every method may be called from any thread. No method calls back into the caller.
class Executor {
 public:
  virtual ~Executor() = default;

  // Runs `task` soon, on a thread of the executor, never inside this call.
  virtual void Post(Priority priority, Task task) = 0;
  // Runs `task` on a thread of the executor once `delay_nanos` have passed.
  virtual void PostAfter(int64_t delay_nanos, Task task) = 0;
  // Steps `job` until it is done, then destroys it.
  virtual void Start(Priority priority, std::unique_ptr<Job> job) = 0;
  // Waits until `event` is set (true) or the time has passed (false). For façades only, and never
  // from a task or step.
  virtual bool Wait(Event* event, int64_t timeout_nanos) = 0;
};

}  // namespace bandb::base

#endif  // BANDB_BASE_EXECUTOR_H_
