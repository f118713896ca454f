#include "cluster/commit_clock.h"

#include "support/catch.h"

namespace bandb::cluster {

TEST_CASE("commit times never go back, whatever the clock does") {
  CommitClock clock;
  CHECK(clock.term() == 0);
  clock.Begin(3, 5000);
  CHECK(clock.term() == 3);
  CHECK(clock.Next(4000) == 5000);
  CHECK(clock.Next(-1) == 5000);
  CHECK(clock.AheadMs(4000) == 1000);
  CHECK(clock.AheadMs(-5) == 5000);
  CHECK(clock.Next(6000) == 6000);
  // That was of an entry that there never was.
  CHECK(clock.Next(5500) == 5500);
  clock.Given(6000);
  CHECK(clock.AheadMs(6000) == 0);
  CHECK(clock.Next(5999) == 6000);
}

TEST_CASE("a time mark is due once the clock is ahead of the log, and not while it is behind") {
  CommitClock clock;
  clock.Begin(1, 10'000);
  CHECK(!clock.MarkDue(9'000, false));
  CHECK(!clock.MarkDue(10'000, false));
  CHECK(clock.MarkDue(11'000, false));
  clock.Next(11'000);
  CHECK(clock.MarkDue(11'000, false));
  clock.Given(11'000);
  CHECK(!clock.MarkDue(11'001, false));
  CHECK(clock.MarkDue(12'000, false));
  CHECK(!clock.MarkDue(11'009, true));
  CHECK(clock.MarkDue(11'010, true));
}

}  // namespace bandb::cluster
