#include "storage/compaction/rate_limit.h"

#include "support/catch.h"

namespace bandb::storage {

namespace {

constexpr int64_t kSecond = 1'000'000'000;

}  // namespace

TEST_CASE("without a limit nothing waits") {
  RateLimit limit(0);
  limit.Wrote(true, uint64_t{1} << 40, 0);
  limit.Wrote(false, uint64_t{1} << 40, 0);
  CHECK(limit.WaitNanos(true, 0) == 0);
  CHECK(limit.WaitNanos(false, 0) == 0);
  CHECK(limit.StepBytes(1 << 20) == 1 << 20);
}

TEST_CASE("who has written waits for as long as that may take, and time that passed unused is no credit") {
  RateLimit limit(1 << 20);
  CHECK(limit.WaitNanos(false, 5 * kSecond) == 0);
  limit.Wrote(false, 2 << 20, 5 * kSecond);
  CHECK(limit.WaitNanos(false, 5 * kSecond) == 2 * kSecond);
  CHECK(limit.WaitNanos(false, 6 * kSecond) == kSecond);
  CHECK(limit.WaitNanos(false, 7 * kSecond) == 0);
  limit.Wrote(false, 1 << 20, 100 * kSecond);
  CHECK(limit.WaitNanos(false, 100 * kSecond) == kSecond);
}

TEST_CASE("a flush waits for flushes alone, and compactions for both") {
  RateLimit limit(1 << 20);
  limit.Wrote(false, 10 << 20, 0);
  CHECK(limit.WaitNanos(true, 0) == 0);
  limit.Wrote(true, 1 << 20, 0);
  // An eighth of the second belongs to compactions.
  CHECK(limit.WaitNanos(true, 0) == kSecond + kSecond / 7);
  CHECK(limit.WaitNanos(false, 0) == 11 * kSecond);
}

TEST_CASE("what is written in the long run is the limit") {
  RateLimit limit(1 << 20);
  int64_t now = 0;
  uint64_t written = 0;
  while (now < 100 * kSecond) {
    for (const bool is_flush : {true, false}) {
      if (limit.WaitNanos(is_flush, now) != 0) continue;
      limit.Wrote(is_flush, 100'000, now);
      written += 100'000;
    }
    now += kSecond / 100;
  }
  CHECK(written > (95 << 20));
  CHECK(written < (102 << 20));
}

TEST_CASE("flushes without an end leave compactions an eighth") {
  RateLimit limit(1 << 20);
  uint64_t flushed = 0;
  uint64_t compacted = 0;
  for (int64_t now = 0; now < 100 * kSecond; now += kSecond / 1000) {
    for (const bool is_flush : {true, false}) {
      if (limit.WaitNanos(is_flush, now) != 0) continue;
      limit.Wrote(is_flush, 100'000, now);
      (is_flush ? flushed : compacted) += 100'000;
    }
  }
  CHECK(flushed > (85 << 20));
  CHECK(compacted > (11 << 20));
  CHECK(flushed + compacted < (102 << 20));
}

TEST_CASE("at the extremes nothing overflows") {
  constexpr uint64_t kSlowest = 64 << 10;
  constexpr uint64_t kFastest = uint64_t{1} << 40;
  for (const uint64_t per_second : {uint64_t{1}, kSlowest, kFastest, UINT64_MAX}) {
    for (const bool is_flush : {true, false}) {
      RateLimit limit(per_second);
      for (int i = 0; i < 3; ++i) {
        const int64_t before = limit.WaitNanos(is_flush, kSecond);
        limit.Wrote(is_flush, UINT64_MAX, kSecond);
        CHECK(limit.WaitNanos(is_flush, kSecond) >= before);
        CHECK(limit.WaitNanos(is_flush, kSecond) >= kSecond);
        CHECK(limit.WaitNanos(is_flush, kSecond) <= INT64_MAX - kSecond);
      }
    }
  }
  RateLimit slow(kSlowest);
  slow.Wrote(false, 1, 0);
  CHECK(slow.WaitNanos(false, 0) == kSecond / kSlowest);
  slow.Wrote(false, kFastest, kSecond);
  CHECK(slow.WaitNanos(false, kSecond) == (int64_t{1} << 24) * kSecond);
  RateLimit fast(kFastest);
  fast.Wrote(false, kFastest, 0);
  CHECK(fast.WaitNanos(false, 0) == kSecond);
}

TEST_CASE("steps are a fraction of a second's worth") {
  CHECK(RateLimit(64 << 10).StepBytes(1 << 20) == 16 << 10);
  CHECK(RateLimit(1 << 20).StepBytes(1 << 20) == 128 << 10);
  CHECK(RateLimit(1 << 30).StepBytes(1 << 20) == 1 << 20);
}

}  // namespace bandb::storage
