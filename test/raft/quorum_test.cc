// Quorum arithmetic, checked against a version too slow and too plain to be wrong: it tries every
// set of members.
#include "raft/quorum.h"

#include <map>
#include <optional>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::raft {
namespace {

Configuration RandomConfiguration(base::Random* random) {
  Configuration configuration;
  const uint64_t members = 1 + random->Uniform(7);
  for (NodeId id = 1; id <= members; ++id) {
    Member member{.id = id, .voter = random->OneIn(2), .outgoing = random->OneIn(3), .address = {}};
    member.learner = !member.votes();
    configuration.members.push_back(member);
  }
  return configuration;
}

// Whether the members in `set`, one bit each, are a majority of each side that exists.
bool IsQuorum(const Configuration& configuration, uint64_t set) {
  for (bool outgoing : {false, true}) {
    int all = 0;
    int in = 0;
    for (const Member& m : configuration.members) {
      if (!(outgoing ? m.outgoing : m.voter)) continue;
      ++all;
      in += (set >> m.id) & 1;
    }
    if (all > 0 && in * 2 <= all) return false;
  }
  return configuration.has_voters();
}

uint64_t DumbValue(const Configuration& configuration, const std::map<NodeId, uint64_t>& values) {
  uint64_t best = 0;
  for (uint64_t set = 0; set < 256; ++set) {
    if (!IsQuorum(configuration, set)) continue;
    uint64_t least = UINT64_MAX;
    for (const Member& m : configuration.members) {
      if ((set >> m.id) & 1 && m.votes()) least = std::min(least, values.at(m.id));
    }
    if (least != UINT64_MAX) best = std::max(best, least);
  }
  return best;
}

TEST_CASE("the value that a quorum has reached is the best that any quorum has reached", "[raft]") {
  base::Random random(1);
  for (int run = 0; run < 20000; ++run) {
    const Configuration configuration = RandomConfiguration(&random);
    std::map<NodeId, uint64_t> values;
    for (const Member& m : configuration.members) values[m.id] = random.Uniform(6);
    const uint64_t value = QuorumValue(configuration, [&](NodeId id) { return values.at(id); });
    REQUIRE(value == DumbValue(configuration, values));
  }
}

TEST_CASE("an election is won by a quorum of grants, and lost when no quorum can still come about", "[raft]") {
  base::Random random(2);
  for (int run = 0; run < 20000; ++run) {
    const Configuration configuration = RandomConfiguration(&random);
    uint64_t granted = 0;
    uint64_t open = 0;
    std::map<NodeId, std::optional<bool>> votes;
    for (const Member& m : configuration.members) {
      const uint64_t vote = random.Uniform(3);
      if (vote < 2) votes[m.id] = vote == 1;
      granted |= uint64_t{vote == 1} << m.id;
      open |= uint64_t{vote != 0} << m.id;
    }
    const VoteResult expected = IsQuorum(configuration, granted) ? VoteResult::kWon
                                : IsQuorum(configuration, open)  ? VoteResult::kPending
                                                                 : VoteResult::kLost;
    const VoteResult result = QuorumVote(configuration, [&](NodeId id) {
      auto vote = votes.find(id);
      return vote == votes.end() ? std::nullopt : vote->second;
    });
    REQUIRE(result == expected);
  }
}

TEST_CASE("without voters nothing is reached and nothing won", "[raft]") {
  const Configuration empty;
  CHECK(QuorumValue(empty, [](NodeId) -> uint64_t { return 9; }) == 0);
  CHECK(QuorumVote(empty, [](NodeId) { return std::optional<bool>(true); }) == VoteResult::kLost);
}

}  // namespace
}  // namespace bandb::raft
