// The threads of routes that ask for a worker.
//
// One that does not come back within the time of its route is lost until it does: nothing can end
// it. Another thread takes its place, a limited number of times, so that a route which hangs now
// and then keeps no other from running, and one which always hangs does not fill the process.
#ifndef BANDB_SERVER_ROUTE_WORKERS_H_
#define BANDB_SERVER_ROUTE_WORKERS_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "bandb/logger.h"
#include "base/mutex.h"
#include "base/thread_executor.h"
#include "net/log_budget.h"

namespace bandb::server {

// Thread safety: any thread.
class RouteWorkers {
 public:
  // Beside `threads` it starts up to `spares_max` in the place of lost ones. `logger` may be null.
  RouteWorkers(int threads, int spares_max, Logger* logger)
      : spares_max_(spares_max), logger_(logger), executor_(threads) {}

  base::Executor* executor() { return &executor_; }
  // The route has not come back in its time; it has, after all. Of each some lines are logged, and
  // then one a second.
  void Lose(uint32_t message_id, absl::Duration limit, int64_t now_nanos) ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeBack(uint32_t message_id, int64_t now_nanos) ABSL_LOCKS_EXCLUDED(mutex_);
  // How many are lost now.
  uint64_t lost() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Of lines of a kind.
  struct Turn {
    bool may_log = false;
    uint64_t left_out = 0;  // since the last one
  };
  static constexpr net::LogBudget::Limits kLineLimits{.burst = 4, .nanos_per_line = 1000000000};

  static Turn TurnOf(net::LogBudget* budget, int64_t now_nanos);
  void Log(LogSeverity severity, std::string line, const Turn& turn);

  const int spares_max_;
  Logger* const logger_;
  mutable base::Mutex mutex_;
  int lost_ ABSL_GUARDED_BY(mutex_) = 0;
  int spares_ ABSL_GUARDED_BY(mutex_) = 0;  // that were started
  net::LogBudget lost_lines_ ABSL_GUARDED_BY(mutex_){kLineLimits};
  net::LogBudget back_lines_ ABSL_GUARDED_BY(mutex_){kLineLimits};
  base::ThreadExecutor executor_;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_ROUTE_WORKERS_H_
