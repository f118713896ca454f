// The executor of the tests: one thread, which picks the next step by seed, and time that passes
// only here.
//
// Whatever may happen in production may happen here: of all that is ready, any task that is first
// in its priority may go next, and any job that has begun. The same seed and the same posts give
// the same run. Time does not pass while there is work, but for a few microseconds a step, and
// jumps to the next timer when there is none.
#ifndef BANDB_TEST_SUPPORT_STEP_EXECUTOR_H_
#define BANDB_TEST_SUPPORT_STEP_EXECUTOR_H_

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "base/executor.h"
#include "base/random.h"
#include "support/manual_clock.h"

namespace bandb::test {

// Thread safety: one thread.
class StepExecutor final : public base::Executor {
 public:
  // `clock` is moved by Wait and the Run functions. Lifetime: borrowed.
  StepExecutor(ManualClock* clock, uint64_t seed) : clock_(clock), random_(seed) {}
  // Destroys what has not run.
  ~StepExecutor() override { Shutdown(); }

  void Post(base::Priority priority, base::Task task) override;
  void PostAfter(int64_t delay_nanos, base::Task task) override;
  void Start(base::Priority priority, std::unique_ptr<base::Job> job) override;
  // Runs steps until the event is set or the time has passed. If there is nothing to run and the
  // wait is forever, or if it takes more than kStepsMax steps, that is a deadlock or livelock of
  // the code under test: says so and aborts.
  bool Wait(base::Event* event, int64_t timeout_nanos) override;

  // Runs one step; if none is ready, the next timer's, if it is due by `until_nanos`. False if
  // there was nothing to do.
  bool RunOne(int64_t until_nanos = base::kForever);
  // Runs until nothing is ready now, without waiting for timers. Returns the steps.
  uint64_t RunReady();
  // Runs everything that comes up within the next `nanos`, which pass.
  void RunFor(int64_t nanos);
  // Destroys what has not run, unrun. What is posted later is destroyed at once.
  void Shutdown();

  uint64_t steps() const { return steps_; }
  // Depends on every choice made so far: two runs that agree in it were the same.
  uint64_t trace() const { return trace_; }
  bool idle() const;

  static constexpr uint64_t kStepsMax = 20'000'000;

 private:
  struct Work {
    base::Task task;
    std::unique_ptr<base::Job> job;
    uint64_t number = 0;  // of all that was queued
  };
  // What waits at one priority, each part in the order of queueing. Of what has not begun only the
  // first may go; of the jobs that have, any.
  struct Queue {
    std::deque<Work> unbegun;
    std::deque<Work> begun;
    bool empty() const { return unbegun.empty() && begun.empty(); }
  };

  bool RunReadyOne();
  Work TakeFrom(Queue* queue);
  void MoveDueTimers();

  ManualClock* const clock_;
  base::Random random_;
  std::array<Queue, base::kPriorities> queues_;
  std::multimap<int64_t, base::Task> timers_;
  uint64_t queued_ = 0;
  uint64_t steps_ = 0;
  uint64_t trace_ = 0;
  bool in_step_ = false;
  bool stopped_ = false;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_STEP_EXECUTOR_H_
