// What is said of a node, of its cluster and of a member, wherever it is shown.
#ifndef BANDB_ADMIN_CLUSTER_WORDS_H_
#define BANDB_ADMIN_CLUSTER_WORDS_H_

#include <string>
#include <string_view>

#include "bandb/cluster.h"

namespace bandb::admin {

std::string_view RoleName(NodeRole role);
std::string_view KindOf(const MemberStatus& member);
// What keeps this node from serving, or "ok".
std::string_view HealthOf(const ClusterStatus& status);
// What keeps the member from being well, or nothing. Of all who asked, this node knows itself best.
std::string TroubleOf(const ClusterStatus& status, const MemberStatus& member);
// What people call the leader; "nobody" if none is known.
std::string LeaderName(const ClusterStatus& status);

}  // namespace bandb::admin

#endif  // BANDB_ADMIN_CLUSTER_WORDS_H_
