// The trail of costs against a plain vector of them.
#include "raft/cost_trail.h"

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::raft {
namespace {

// Every cost, and sums by addition.
struct PlainCosts {
  Index floor = 0;
  std::vector<uint64_t> costs;

  Index last() const { return floor + costs.size(); }
  uint64_t After(Index index, Index upper) const {
    uint64_t sum = 0;
    for (Index i = index + 1; i <= upper; ++i) sum += i > floor ? costs[static_cast<size_t>(i - floor - 1)] : 0;
    return sum;
  }
};

// What both say of a place and of an amount; `slack` is how much the trail may say too much.
void Compare(const CostTrail& trail, const PlainCosts& plain, Index index, uint64_t bytes, uint64_t slack) {
  const uint64_t exact = plain.After(index, plain.last());
  CHECK(trail.After(index) >= exact);
  CHECK(trail.After(index) <= exact + slack);
  const Index within = trail.Within(plain.last(), bytes);
  REQUIRE(within <= plain.last());
  CHECK(plain.After(within, plain.last()) <= bytes);
  // One entry less at the lower end would be too much, but for the slack.
  if (within > plain.floor) CHECK(plain.After(within - 1, plain.last()) + slack >= bytes);
}

TEST_CASE("a short log has exact costs, through appends, truncations and compactions", "[raft]") {
  base::Random random(7);
  CostTrail trail(3);
  PlainCosts plain{3, {}};
  for (int step = 0; step < 3000; ++step) {
    const uint64_t act = random.Uniform(10);
    if (act < 6 || plain.costs.empty()) {
      if (plain.costs.size() >= 500) continue;
      plain.costs.push_back(32 + random.Uniform(2000));
      trail.Append(plain.last(), plain.costs.back());
    } else if (act < 8) {
      const Index first = plain.last() - random.Uniform(std::min<size_t>(plain.costs.size(), 5));
      trail.TruncateFrom(first, plain.After(first - 1, plain.last()));
      plain.costs.resize(static_cast<size_t>(first - plain.floor - 1));
    } else if (act == 8) {
      const Index floor = plain.floor + random.Uniform(std::min<size_t>(plain.costs.size(), 5) + 1);
      trail.CompactTo(floor);
      plain.costs.erase(plain.costs.begin(), plain.costs.begin() + static_cast<ptrdiff_t>(floor - plain.floor));
      plain.floor = floor;
    }
    const Index index = plain.floor + random.Uniform(plain.costs.size() + 1);
    CHECK(trail.After(index) == plain.After(index, plain.last()));
    const uint64_t bytes = random.Uniform(plain.After(plain.floor, plain.last()) + 100);
    const Index within = trail.Within(plain.last(), bytes);
    CHECK(plain.After(within, plain.last()) <= bytes);
    if (within > plain.floor) CHECK(plain.After(within - 1, plain.last()) > bytes);
  }
}

TEST_CASE("a long log has few marks, and costs that are no more than a hundredth too large", "[raft]") {
  base::Random random(8);
  CostTrail trail;
  PlainCosts plain;
  for (int i = 0; i < 50'000; ++i) {
    plain.costs.push_back(32 + random.Uniform(200));
    trail.Append(plain.last(), plain.costs.back());
    REQUIRE(trail.marks() <= CostTrail::kMarksMax);
  }
  const uint64_t all = plain.After(0, plain.last());
  for (int i = 0; i < 30; ++i) Compare(trail, plain, random.Uniform(plain.last()), random.Uniform(all), all / 100);
  // What is left after a compaction is told apart more finely by and by.
  trail.CompactTo(49'900);
  plain.costs.erase(plain.costs.begin(), plain.costs.begin() + 49'900);
  plain.floor = 49'900;
  for (int i = 0; i < 2000; ++i) {
    plain.costs.push_back(32 + random.Uniform(200));
    trail.Append(plain.last(), plain.costs.back());
  }
  const uint64_t rest = plain.After(plain.floor, plain.last());
  for (int i = 0; i < 30; ++i)
    Compare(trail, plain, 50'500 + random.Uniform(1400), random.Uniform(rest / 2), rest / 100);
}

TEST_CASE("the cost within the whole log is the whole log", "[raft]") {
  CostTrail trail(10);
  CHECK(trail.After(10) == 0);
  CHECK(trail.Within(10, 100) == 10);
  trail.Append(11, 50);
  trail.Append(12, 60);
  CHECK(trail.Within(12, 1000) == 10);
  CHECK(trail.Within(12, 110) == 10);
  CHECK(trail.Within(12, 109) == 11);
  CHECK(trail.Within(12, 59) == 12);
  CHECK(trail.Within(11, 50) == 10);
  CHECK(trail.Within(12, 0) == 12);
}

}  // namespace
}  // namespace bandb::raft
