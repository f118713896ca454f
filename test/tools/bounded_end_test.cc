#include "bounded_end.h"

#include "base/thread_executor.h"
#include "support/catch.h"
#include "support/manual_clock.h"

namespace bandb::test {

namespace {

using server_program::EndOutcome;
using server_program::RunBounded;

constexpr int64_t kSecond = 1'000'000'000;

}  // namespace

TEST_CASE("an end that comes is waited for") {
  ManualClock clock;
  base::ThreadExecutor executor(1);
  bool ended = false;
  CHECK(RunBounded(
            &executor, &clock, [&] { ended = true; }, kSecond, [] { return false; }) == EndOutcome::kDone);
  CHECK(ended);
}

TEST_CASE("an end that hangs is given up when the time has passed, or when told again") {
  ManualClock clock;
  base::Event release;
  base::ThreadExecutor executor(1);
  const auto hang = [&release] { release.BlockUntilSet(base::kForever); };
  int asked = 0;
  const auto tick = [&] {
    clock.Advance(kSecond / 10);
    return ++asked == 1000;
  };
  CHECK(RunBounded(&executor, &clock, hang, 5 * kSecond, tick) == EndOutcome::kTookTooLong);
  CHECK(asked == 50);
  CHECK(RunBounded(&executor, &clock, hang, base::kForever, tick) == EndOutcome::kToldAgain);
  release.Set();
}

}  // namespace bandb::test
