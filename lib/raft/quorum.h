// Majorities, of one set of voters or of both sets of a joint configuration. Everything that needs
// a quorum asks here: votes, commit, rounds of reads.
#ifndef BANDB_RAFT_QUORUM_H_
#define BANDB_RAFT_QUORUM_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>

#include "base/assert.h"
#include "raft/types/configuration.h"

namespace bandb::raft {

enum class VoteResult : uint8_t { kPending = 0, kWon = 1, kLost = 2 };

// The largest value that a majority of the members for which `counts` holds have reached; the
// maximum if there are none, since an empty side of a joint configuration objects to nothing.
template <typename Counts, typename ValueOf>
uint64_t MajorityValue(const Configuration& configuration, Counts counts, ValueOf value_of) {
  BANDB_ASSERT(configuration.members.size() <= kMembersMax);
  std::array<uint64_t, kMembersMax> values;
  size_t count = 0;
  for (const Member& member : configuration.members) {
    if (counts(member)) values[count++] = value_of(member.id);
  }
  if (count == 0) return std::numeric_limits<uint64_t>::max();
  // With the values in descending order, the one at count / 2 has been reached by count / 2 + 1
  // members: a majority.
  const size_t place = count / 2;
  std::nth_element(values.begin(), values.begin() + place, values.begin() + count, std::greater<uint64_t>());
  return values[place];
}

// The largest value that a quorum has reached; 0 if the configuration has no voters.
template <typename ValueOf>
uint64_t QuorumValue(const Configuration& configuration, ValueOf value_of) {
  if (!configuration.has_voters()) return 0;
  const uint64_t incoming = MajorityValue(
      configuration, [](const Member& m) { return m.voter; }, value_of);
  const uint64_t outgoing = MajorityValue(
      configuration, [](const Member& m) { return m.outgoing; }, value_of);
  return std::min(incoming, outgoing);
}

template <typename Counts, typename VoteOf>
VoteResult MajorityVote(const Configuration& configuration, Counts counts, VoteOf vote_of) {
  size_t yes = 0;
  size_t no = 0;
  size_t count = 0;
  for (const Member& member : configuration.members) {
    if (!counts(member)) continue;
    ++count;
    const std::optional<bool> vote = vote_of(member.id);
    if (vote.has_value()) ++(*vote ? yes : no);
  }
  const size_t majority = count / 2 + 1;
  if (count == 0 || yes >= majority) return VoteResult::kWon;
  return count - no < majority ? VoteResult::kLost : VoteResult::kPending;
}

// The state of an election: won when both sides are, lost when either is. Without voters: lost.
template <typename VoteOf>
VoteResult QuorumVote(const Configuration& configuration, VoteOf vote_of) {
  if (!configuration.has_voters()) return VoteResult::kLost;
  const VoteResult incoming = MajorityVote(
      configuration, [](const Member& m) { return m.voter; }, vote_of);
  const VoteResult outgoing = MajorityVote(
      configuration, [](const Member& m) { return m.outgoing; }, vote_of);
  if (incoming == VoteResult::kLost || outgoing == VoteResult::kLost) return VoteResult::kLost;
  if (incoming == VoteResult::kWon && outgoing == VoteResult::kWon) return VoteResult::kWon;
  return VoteResult::kPending;
}

}  // namespace bandb::raft

#endif  // BANDB_RAFT_QUORUM_H_
