// The clock seam. Time is in integers: nanoseconds on the monotonic clock, milliseconds since 1970
// on the wall clock.
#ifndef BANDB_BASE_CLOCK_H_
#define BANDB_BASE_CLOCK_H_

#include <cstdint>

namespace bandb::base {

// Thread safety: every method may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes back; counts from an arbitrary start. For intervals and deadlines.
  virtual int64_t MonotonicNanos() = 0;
  // May jump either way when the clock is set. For time to live and for people.
  virtual int64_t WallMillis() = 0;
};

class SystemClock final : public Clock {
 public:
  int64_t MonotonicNanos() override;
  int64_t WallMillis() override;
};

}  // namespace bandb::base

#endif  // BANDB_BASE_CLOCK_H_
