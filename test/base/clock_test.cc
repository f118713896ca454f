#include "base/clock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

#include "support/catch.h"

namespace {

// How long this machine has been suspended, as the program is told.
int64_t suspended_seconds = 0;

}  // namespace

// What takes the place of the C library's function of this name, in this program.
extern "C" {
int ReadSuspended(clockid_t id, timespec* now) __asm__("clock_gettime");
}

int ReadSuspended(clockid_t id, timespec* now) {
  const long result = ::syscall(SYS_clock_gettime, id, now);
  const bool counts = id == CLOCK_BOOTTIME || id == CLOCK_REALTIME;
  if (result == 0 && counts) now->tv_sec += suspended_seconds;
  return static_cast<int>(result);
}

namespace bandb::base {

TEST_CASE("the time in which a machine is suspended counts, on both clocks") {
  SystemClock clock;
  const int64_t nanos = clock.MonotonicNanos();
  const int64_t wall_ms = clock.WallMillis();
  suspended_seconds = 100'000;
  const int64_t passed_nanos = clock.MonotonicNanos() - nanos;
  const int64_t passed_ms = clock.WallMillis() - wall_ms;
  suspended_seconds = 0;
  CHECK(passed_nanos >= 100'000 * int64_t{1'000'000'000});
  CHECK(passed_nanos < 101'000 * int64_t{1'000'000'000});
  CHECK(passed_ms >= 100'000'000 - 1000);
}

}  // namespace bandb::base
