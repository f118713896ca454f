// A clock that does not move until a test moves it.
#ifndef BANDB_TEST_SUPPORT_MANUAL_CLOCK_H_
#define BANDB_TEST_SUPPORT_MANUAL_CLOCK_H_

#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace bandb::test {

// Thread safety: any thread.
class ManualClock final : public base::Clock {
 public:
  static constexpr int64_t kFirstWallMillis = 1'700'000'000'000;

  int64_t MonotonicNanos() override { return nanos_.load(); }
  int64_t WallMillis() override { return wall_offset_ms_.load() + nanos_.load() / 1'000'000; }

  // Both clocks go on by this much.
  void Advance(int64_t nanos) { nanos_ += nanos; }
  void AdvanceMillis(int64_t millis) { Advance(millis * 1'000'000); }
  // Somebody sets the wall clock, either way.
  void JumpWallMillis(int64_t millis) { wall_offset_ms_ += millis; }

 private:
  std::atomic<int64_t> nanos_{1'000'000'000};
  std::atomic<int64_t> wall_offset_ms_{kFirstWallMillis};
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_MANUAL_CLOCK_H_
