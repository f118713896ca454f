#include "cluster/commit_clock.h"

#include "support/catch.h"

namespace bandb::cluster {

TEST_CASE("commit times never go back, whatever the clock does") {
  CommitClock clock;
  CHECK(clock.term() == 0);
  clock.Begin(3, 5000);
  CHECK(clock.term() == 3);
  CHECK(clock.Next(4000).commit_ms == 5000);
  CHECK(clock.Next(-1).commit_ms == 5000);
  CHECK(clock.AheadMs(4000) == 1000);
  CHECK(clock.AheadMs(-5) == 5000);
  CHECK(clock.Next(6000).commit_ms == 6000);
  // That was of an entry that there never was.
  CHECK(clock.Next(5500).commit_ms == 5500);
  clock.Given(6000);
  CHECK(clock.AheadMs(6000) == 0);
  CHECK(clock.Next(5999).commit_ms == 6000);
}

TEST_CASE("once a clock was accepted commit times go on at its pace, ahead of it") {
  CommitClock clock;
  clock.Begin(1, 50'000);
  const EntryTime accepting = clock.Next(3'000);
  CHECK(accepting.commit_ms == 50'000);
  CHECK(accepting.ahead_ms == 0);
  CHECK(accepting.accepted_ahead_ms == 47'000);
  clock.Given(accepting.commit_ms);
  CHECK(clock.Next(4'000).commit_ms == 50'000);
  clock.Accepted(accepting.accepted_ahead_ms);
  CHECK(clock.AheadMs(3'000) == 0);
  const EntryTime next = clock.Next(4'000);
  CHECK(next.commit_ms == 51'000);
  CHECK(next.ahead_ms == 47'000);
  CHECK(next.accepted_ahead_ms == 47'000);
  clock.Given(next.commit_ms);
  CHECK(clock.MarkDue(5'000, false));
  CHECK_FALSE(clock.MarkDue(4'000, false));
  // It is set back once more, and another node goes on with what was applied.
  CHECK(clock.Next(1'000).accepted_ahead_ms == 50'000);
  clock.Begin(2, 51'000, 47'000);
  CHECK(clock.Next(4'500).commit_ms == 51'500);
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
