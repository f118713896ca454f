// Configuration: who belongs to the group, who votes, and how far a change of that has come.
//
// A change of voters goes through joint consensus (Raft thesis, 4.3): for a time the old and the
// new voters must both agree, each by a majority of their own. A configuration is always stored
// whole, never as a difference, so that a node that has any one of them knows everything; it takes
// effect on a node as soon as it is in that node's log, and ceases to if it is truncated.
#ifndef BANDB_RAFT_TYPES_CONFIGURATION_H_
#define BANDB_RAFT_TYPES_CONFIGURATION_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "raft/types/ids.h"

namespace bandb::raft {

// Members of one group, learners included. Small, because every message round visits all of them.
inline constexpr size_t kMembersMax = 64;
// Opaque address bytes of one member.
inline constexpr size_t kMemberAddressBytesMax = 1024;

struct Member {
  NodeId id = kNoNode;
  // Votes in the configuration that is entered; outside a joint change, the only one.
  bool voter = false;
  // Votes in the configuration that is left; set only during a joint change.
  bool outgoing = false;
  // Receives the log and does not vote once the change, if one is under way, is over.
  bool learner = false;
  // A learner that the leader makes a voter, by itself, as soon as it has caught up.
  bool promote = false;
  // With promote: the voter whose place it then takes; a member that votes in the configuration
  // that is entered. kNoNode if it is simply added.
  NodeId replaces = kNoNode;
  // Where to reach the member; opaque to the core.
  std::string address;

  bool votes() const { return voter || outgoing; }
  friend bool operator==(const Member&, const Member&) = default;
};

struct Configuration {
  // Ordered by id, each id once.
  std::vector<Member> members;
  // One more with every change; what a conditional change compares. 0 belongs to the empty
  // configuration.
  uint64_t version = 0;
  // The log index of the entry that brought it; 0 for the one a group is started with.
  Index index = 0;
  // The leader leaves this configuration by itself once it is committed. So it does with every
  // joint one: what had to be left by hand has been forgotten in other systems.
  bool auto_leave = false;

  bool joint() const {
    return std::any_of(members.begin(), members.end(), [](const Member& m) { return m.outgoing; });
  }
  const Member* Find(NodeId id) const {
    auto it = std::lower_bound(members.begin(), members.end(), id, [](const Member& m, NodeId x) { return m.id < x; });
    return it != members.end() && it->id == id ? &*it : nullptr;
  }
  bool Votes(NodeId id) const {
    const Member* member = Find(id);
    return member != nullptr && member->votes();
  }
  bool has_voters() const {
    return std::any_of(members.begin(), members.end(), [](const Member& m) { return m.votes(); });
  }
  friend bool operator==(const Configuration&, const Configuration&) = default;
};

// Whether this is a configuration that a group may have: ordered, unique ids other than kNoNode,
// within the limits, at least one voter on each side that exists, and flags that make sense
// together. Bytes from outside are asked this.
inline bool IsValid(const Configuration& configuration) {
  if (configuration.members.size() > kMembersMax) return false;
  NodeId previous = kNoNode;
  bool voters = false;
  for (const Member& m : configuration.members) {
    if (m.id <= previous || m.address.size() > kMemberAddressBytesMax) return false;
    if (m.voter && m.learner) return false;
    if (m.promote && (!m.learner || m.outgoing)) return false;
    if (m.replaces != kNoNode) {
      const Member* replaced = configuration.Find(m.replaces);
      if (!m.promote || replaced == nullptr || !replaced->voter) return false;
    }
    if (!m.voter && !m.outgoing && !m.learner) return false;
    previous = m.id;
    voters = voters || m.voter;
  }
  return voters && configuration.joint() == configuration.auto_leave;
}

// The configuration of the given voters and learners, as a group is started with; version 1.
inline Configuration MakeConfiguration(const std::vector<NodeId>& voters, const std::vector<NodeId>& learners = {}) {
  Configuration configuration;
  configuration.version = 1;
  for (NodeId id : voters) configuration.members.push_back({.id = id, .voter = true, .address = {}});
  for (NodeId id : learners) configuration.members.push_back({.id = id, .learner = true, .address = {}});
  std::sort(configuration.members.begin(), configuration.members.end(),
            [](const Member& a, const Member& b) { return a.id < b.id; });
  return configuration;
}

}  // namespace bandb::raft

#endif  // BANDB_RAFT_TYPES_CONFIGURATION_H_
