// The term trail against a vector of terms.
#include "raft/term_trail.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::raft {
namespace {

TEST_CASE("the term trail says of every index what a vector of terms says", "[raft]") {
  base::Random random(1);
  TermTrail trail(0, 0, {}, 0);
  std::vector<Term> terms{0};
  Index floor = 0;
  for (int step = 0; step < 5000; ++step) {
    const uint64_t choice = random.Uniform(10);
    if (choice < 7) {
      const Term term = std::max<Term>(1, terms.back()) + (random.OneIn(3) ? random.Uniform(3) : 0);
      trail.Append(term);
      terms.push_back(term);
    } else if (choice < 9 && terms.size() - 1 > floor) {
      const Index first = floor + 1 + random.Uniform(terms.size() - 1 - floor);
      trail.TruncateFrom(first);
      terms.resize(first);
    } else {
      floor += random.Uniform(std::min<uint64_t>(4, terms.size() - floor));
      trail.CompactTo(floor);
    }
    REQUIRE(trail.last() == terms.size() - 1);
    REQUIRE(trail.last_term() == terms.back());
    const Index probe = random.Uniform(terms.size() + 2);
    const std::optional<Term> expected =
        probe < floor || probe >= terms.size() ? std::nullopt : std::optional<Term>(terms[probe]);
    REQUIRE(trail.At(probe) == expected);
    const Term limit = random.Uniform(terms.back() + 2);
    Index highest = std::min<Index>(probe, terms.size() - 1);
    if (highest >= floor) {
      while (highest > floor && terms[highest] > limit) --highest;
      if (terms[highest] > limit && highest > 0) --highest;
    }
    REQUIRE(trail.HighestAtMost(probe, limit) == highest);
  }
}

}  // namespace
}  // namespace bandb::raft
