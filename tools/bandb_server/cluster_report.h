// What a node knows of its cluster, for people; for programs see admin/stats_json.h.
#ifndef BANDB_TOOLS_BANDB_SERVER_CLUSTER_REPORT_H_
#define BANDB_TOOLS_BANDB_SERVER_CLUSTER_REPORT_H_

#include <string>

#include "bandb/cluster.h"

namespace bandb::server_program {

// A line for each member.
std::string ShowMembers(const ClusterStatus& status);
// This node, the cluster, and a line for each member.
std::string ShowStatus(const ClusterStatus& status);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_CLUSTER_REPORT_H_
