// How the time of the log goes with clocks that were accepted.
#include "cluster/log_clock.h"

#include <memory>
#include <string>

#include "cluster/system_space.h"
#include "support/catch.h"

namespace bandb::cluster {

TEST_CASE("without an accepted clock the log shows what clocks do") {
  const LogClock clock;
  CHECK(clock.ahead_ms() == 0);
  CHECK(clock.ToClock(1000) == 1000);
  CHECK(clock.ToLog(1000) == 1000);
}

TEST_CASE("from an accepted clock on times are as much less as the log was ahead of it, and those before are not") {
  LogClock clock;
  REQUIRE(clock.Accept(10'000, 9'000));
  CHECK(clock.ahead_ms() == 9'000);
  CHECK(clock.ToClock(500) == 500);
  CHECK(clock.ToClock(9'999) == 9'999);
  CHECK(clock.ToClock(10'000) == 1'000);
  CHECK(clock.ToClock(12'000) == 3'000);
  // What clocks have shown twice is looked for where they were right.
  CHECK(clock.ToLog(500) == 500);
  CHECK(clock.ToLog(1'000) == 10'000);
  CHECK(clock.ToLog(3'000) == 12'000);
  CHECK(clock.ToLog(UINT64_MAX - 5) == UINT64_MAX);
  // The same clock once more, and one that the log is not so far ahead of.
  CHECK_FALSE(clock.Accept(11'000, 9'000));
  CHECK_FALSE(clock.Accept(11'000, 8'000));
  // More than there ever was.
  CHECK_FALSE(clock.Accept(11'000, 11'001));
  REQUIRE(clock.Accept(20'000, 19'500));
  CHECK(clock.ToClock(15'000) == 6'000);
  CHECK(clock.ToClock(20'000) == 500);
  CHECK(clock.ToLog(499) == 499);
  CHECK(clock.ToLog(500) == 20'000);
}

TEST_CASE("what is kept of accepted clocks is found again, and nothing else is taken") {
  LogClock clock;
  for (uint64_t i = 1; i <= 100; ++i) REQUIRE(clock.Accept(i * 1'000'000, i * 1000));
  SystemSpace space;
  CHECK(space.Apply(clock.Keep()) == 1);
  const absl::StatusOr<LogClock> found = LogClock::Load(space.NewIterator().get());
  REQUIRE_OK(found.status());
  CHECK(found->ahead_ms() == 100'000);
  CHECK(found->ToClock(100'500'000) == 100'500'000 - 100'000);
  CHECK(found->Keep() == clock.Keep());
  CHECK(clock.Keep().size() <= LogClock::BytesMax());
  for (const std::string& value :
       {std::string(), std::string("\x02\x00", 2), std::string("\x01\x01\x05", 3), std::string("\x01\x01\x05\x06", 4),
        std::string("\x01\x00\x00", 3), std::string("\x01\x02\x05\x03\x06\x03", 6), std::string("\x01\x7f", 2)}) {
    SystemSpace malformed;
    malformed.Put("clock", value);
    CHECK_CODE(LogClock::Load(malformed.NewIterator().get()).status(), kDataLoss);
  }
  SystemSpace none;
  none.Put("clocks", "");
  CHECK(LogClock::Load(none.NewIterator().get())->ahead_ms() == 0);
}

TEST_CASE("a clock that was far ahead is not forgotten for many that were hardly so, and all are shown nearly right") {
  LogClock clock;
  REQUIRE(clock.Accept(1'000'000, 900'000));
  for (uint64_t i = 1; i <= 1000; ++i) REQUIRE(clock.Accept(1'000'000 + i * 1000, 900'000 + i));
  CHECK(clock.ahead_ms() == 901'000);
  CHECK(clock.ToClock(999'999) == 999'999);
  for (uint64_t i = 0; i <= 1000; ++i) {
    const uint64_t log_ms = 1'000'000 + i * 1000;
    const uint64_t shown_ms = clock.ToClock(log_ms);
    CHECK(shown_ms >= log_ms - 900'000 - i);
    CHECK(shown_ms <= log_ms - 900'000);
    CHECK(clock.ToLog(shown_ms) >= 1'000'000);
  }
  CHECK(clock.Keep().size() <= LogClock::BytesMax());
}

TEST_CASE("no clock is accepted before one that is stored, which only a log of another history has") {
  SystemSpace space;
  LogClock later;
  REQUIRE(later.Accept(1'000'000, 1000));
  CHECK(space.Apply(later.Keep()) == 1);
  absl::StatusOr<LogClock> found = LogClock::Load(space.NewIterator().get());
  REQUIRE_OK(found.status());
  CHECK_FALSE(found->Accept(999'999, 2000));
  CHECK(found->ahead_ms() == 1000);
  CHECK(found->Accept(1'000'000, 2000));
}

TEST_CASE("an expiry that is the last there is stays that") {
  CHECK(ExpiryByTheClock(absl::FromUnixMillis(INT64_MAX), 1000) == INT64_MAX);
  CHECK(ExpiryByTheClock(absl::FromUnixMillis(5000), 1000) == 4000);
}

}  // namespace bandb::cluster
