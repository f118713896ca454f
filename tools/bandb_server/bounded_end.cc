#include "bounded_end.h"

#include <memory>
#include <utility>

namespace bandb::server_program {

EndOutcome RunBounded(base::Executor* executor, base::Clock* clock, base::Task work, int64_t timeout_nanos,
                      const std::function<bool()>& told_again) {
  // Shared with the task, which may outlive this call.
  const auto done = std::make_shared<base::Event>();
  executor->Post(base::Priority::kHigh, [done, work = std::move(work)]() mutable {
    std::move(work)();
    done->Set();
  });
  const int64_t begin = clock->MonotonicNanos();
  while (!done->IsSet()) {
    if (told_again()) return EndOutcome::kToldAgain;
    if (!done->IsSet() && clock->MonotonicNanos() - begin >= timeout_nanos) return EndOutcome::kTookTooLong;
  }
  return EndOutcome::kDone;
}

}  // namespace bandb::server_program
