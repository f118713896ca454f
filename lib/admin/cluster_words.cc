#include "admin/cluster_words.h"

#include "base/escape.h"
#include "base/status.h"

namespace bandb::admin {

std::string_view RoleName(NodeRole role) {
  switch (role) {
    case NodeRole::kFollower:
      return "follower";
    case NodeRole::kCandidate:
      return "candidate";
    case NodeRole::kLeader:
      return "leader";
  }
  return "unknown";
}

std::string_view KindOf(const MemberStatus& member) { return member.voter ? "voter" : "learner"; }

std::string_view HealthOf(const ClusterStatus& status) {
  return status.health.ok() ? "ok" : base::Message(status.health);
}

std::string TroubleOf(const ClusterStatus& status, const MemberStatus& member) {
  if (member.self && !status.health.ok()) return std::string(HealthOf(status));
  return member.trouble;
}

std::string LeaderName(const ClusterStatus& status) {
  for (const MemberStatus& member : status.members) {
    if (member.leader) return member.name.empty() ? std::to_string(member.id) : base::Escape(member.name);
  }
  return status.leader == 0 ? "nobody" : std::to_string(status.leader);
}

}  // namespace bandb::admin
