// LocalClock: the monotonic clock of one node, which has its own origin and its own idea of a
// second.
#ifndef BANDB_TEST_SIM_LOCAL_CLOCK_H_
#define BANDB_TEST_SIM_LOCAL_CLOCK_H_

#include <cmath>

#include "raft/types/ids.h"
#include "sim/scheduler.h"

namespace bandb::sim {

class LocalClock {
 public:
  LocalClock(const Scheduler& scheduler, raft::Nanos origin) : scheduler_(scheduler), local_base_(origin) {}

  raft::Nanos now() const { return LocalAt(scheduler_.now()); }
  // The first virtual time at which the clock shows at least `local`, if its rate stays.
  Nanos WhenShows(raft::Nanos local) const {
    if (local <= now()) return scheduler_.now();
    return base_ + static_cast<Nanos>(std::ceil(static_cast<double>(local - local_base_) / rate_)) + 1;
  }
  // From now on the clock runs at `rate` local seconds per virtual second.
  void SetRate(double rate) {
    Rebase();
    rate_ = rate;
  }
  void Jump(Nanos forward) {
    Rebase();
    local_base_ += static_cast<raft::Nanos>(forward);
  }

 private:
  raft::Nanos LocalAt(Nanos when) const {
    return local_base_ + static_cast<raft::Nanos>(static_cast<double>(when - base_) * rate_);
  }
  void Rebase() {
    local_base_ = now();
    base_ = scheduler_.now();
  }

  const Scheduler& scheduler_;
  raft::Nanos local_base_;
  Nanos base_ = 0;
  double rate_ = 1.0;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_LOCAL_CLOCK_H_
