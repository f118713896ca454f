// The executor of a machine in a simulated world: a few workers whose steps take time, under the
// same clock as the loops and the network of all machines.
//
// Which of what is ready goes next is the StepExecutor's choice; this gives each choice its moment.
// A machine whose disk hangs does no step until it is released.
#ifndef BANDB_TEST_SUPPORT_SIM_EXECUTOR_H_
#define BANDB_TEST_SUPPORT_SIM_EXECUTOR_H_

#include <cstdint>
#include <memory>

#include "base/event_loop.h"
#include "base/executor.h"
#include "base/random.h"
#include "support/manual_clock.h"
#include "support/sim_streams.h"
#include "support/step_executor.h"

namespace bandb::test {

struct SimExecutorOptions {
  int host = 0;
  int workers = 2;
  uint64_t seed = 1;
  // How long a step takes before its effect is seen.
  int64_t step_nanos_min = 20'000;
  int64_t step_nanos_max = 1'000'000;
};

// Thread safety: one thread. Lifetime: the network outlives it.
class SimExecutor final : public base::Executor {
 public:
  SimExecutor(SimNetwork* network, const SimExecutorOptions& options);
  ~SimExecutor() override;

  void Post(base::Priority priority, base::Task task) override;
  void PostAfter(int64_t delay_nanos, base::Task task) override;
  void Start(base::Priority priority, std::unique_ptr<base::Job> job) override;
  // Runs what this executor has to do, without time for anybody else: for opening and closing. Not
  // from a task or step.
  bool Wait(base::Event* event, int64_t timeout_nanos) override;

  // No step is done while it hangs.
  void Hang(bool hangs);
  bool hangs() const { return hangs_; }
  // From now on a step takes so many times as long.
  void SetSlowness(int64_t factor) { slowness_ = factor; }
  // Destroys what has not run.
  void Shutdown();

 private:
  int64_t DrawNanos() { return slowness_ * random_.Between(options_.step_nanos_min, options_.step_nanos_max); }
  // Brings the clock of the steps up to this time, if it is not there.
  void AdvanceTo(int64_t nanos);
  // Has one more worker look for something to do, if one is free.
  void Engage();

  SimNetwork* const network_;
  const SimExecutorOptions options_;
  base::Random random_;
  const std::unique_ptr<base::EventLoop> loop_;
  ManualClock clock_;
  StepExecutor steps_;
  int64_t slowness_ = 1;
  int busy_ = 0;  // workers that are in a step
  bool hangs_ = false;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_SIM_EXECUTOR_H_
