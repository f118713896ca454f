// What a node knows of its cluster, for people and for their programs.
#ifndef BANDB_TOOLS_BANDB_SERVER_CLUSTER_REPORT_H_
#define BANDB_TOOLS_BANDB_SERVER_CLUSTER_REPORT_H_

#include <string>

#include "bandb/cluster.h"

namespace bandb::server_program {

// A line for each member.
std::string ShowMembers(const ClusterStatus& status);
// The same as an array, on one line. Ids are strings: they have more bits than a number of
// JavaScript's.
std::string MembersJson(const ClusterStatus& status);
// This node, the cluster, and a line for each member.
std::string ShowStatus(const ClusterStatus& status);
// The same as an object, on one line.
std::string StatusJson(const ClusterStatus& status);
// What people call the leader; "nobody" if none is known.
std::string LeaderName(const ClusterStatus& status);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_CLUSTER_REPORT_H_
