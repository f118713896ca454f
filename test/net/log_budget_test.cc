#include "net/log_budget.h"

#include "support/catch.h"

namespace bandb::test {

TEST_CASE("a budget of lines gives a few at once, then one in a while, and counts what it leaves out") {
  constexpr int64_t kStart = int64_t{1} << 60;
  net::LogBudget budget({.burst = 3, .nanos_per_line = 100});
  for (int i = 0; i < 3; i++) CHECK(budget.Spend(kStart));
  CHECK_FALSE(budget.Spend(kStart + 1));
  CHECK_FALSE(budget.Spend(kStart + 2));
  CHECK(budget.TakeLeftOut() == 2);
  CHECK(budget.TakeLeftOut() == 0);
  int lines = 0;
  for (int64_t now = kStart; now < kStart + 10'000; now++) lines += budget.Spend(now) ? 1 : 0;
  CHECK(lines >= 99);
  CHECK(lines <= 100);
  // A long silence saves no more than the burst.
  lines = 0;
  for (int i = 0; i < 10; i++) lines += budget.Spend(2 * kStart) ? 1 : 0;
  CHECK(lines == 3);
}

}  // namespace bandb::test
