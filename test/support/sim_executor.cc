#include "support/sim_executor.h"

#include <algorithm>
#include <utility>

namespace bandb::test {

SimExecutor::SimExecutor(SimNetwork* network, const SimExecutorOptions& options)
    : network_(network),
      options_(options),
      random_(options.seed),
      loop_(network->MakeLoop(options.host)),
      steps_(&clock_, random_.Next()) {}

SimExecutor::~SimExecutor() { Shutdown(); }

void SimExecutor::AdvanceTo(int64_t nanos) { clock_.Advance(std::max<int64_t>(nanos - clock_.MonotonicNanos(), 0)); }

void SimExecutor::Engage() {
  if (busy_ == options_.workers) return;
  ++busy_;
  loop_->After(DrawNanos(), [this] {
    --busy_;
    AdvanceTo(network_->now_nanos());
    if (steps_.RunOne(clock_.MonotonicNanos())) Engage();
  });
}

void SimExecutor::Post(base::Priority priority, base::Task task) {
  steps_.Post(priority, std::move(task));
  Engage();
}

void SimExecutor::PostAfter(int64_t delay_nanos, base::Task task) {
  AdvanceTo(network_->now_nanos());
  steps_.PostAfter(delay_nanos, std::move(task));
  const int64_t due = clock_.MonotonicNanos() + std::max<int64_t>(delay_nanos, 0);
  loop_->After(delay_nanos, [this, due] {
    AdvanceTo(due);
    Engage();
  });
}

void SimExecutor::Start(base::Priority priority, std::unique_ptr<base::Job> job) {
  steps_.Start(priority, std::move(job));
  Engage();
}

bool SimExecutor::Wait(base::Event* event, int64_t timeout_nanos) { return steps_.Wait(event, timeout_nanos); }

void SimExecutor::Hang(bool hangs) {
  hangs_ = hangs;
  network_->Hold(loop_.get(), hangs);
}

void SimExecutor::Shutdown() { steps_.Shutdown(); }

}  // namespace bandb::test
