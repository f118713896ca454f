#include "base/clock.h"

#include <ctime>

namespace bandb::base {

namespace {

int64_t ReadNanos(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

// Counts on while the machine is suspended, as the time of other nodes does, which may rest
// something on a lease. To a caller that waits, this is the same as a process that was stopped for
// a while.
int64_t SystemClock::MonotonicNanos() { return ReadNanos(CLOCK_BOOTTIME); }
int64_t SystemClock::WallMillis() { return ReadNanos(CLOCK_REALTIME) / 1'000'000; }

}  // namespace bandb::base
