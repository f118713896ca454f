// What the configuration of a server says of its cluster: what makes no sense of it, and what
// follows for the node.
#ifndef BANDB_TOOLS_BANDB_SERVER_CLUSTER_CONFIG_H_
#define BANDB_TOOLS_BANDB_SERVER_CLUSTER_CONFIG_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "config.h"
#include "kv/option_check.h"

namespace bandb::server_program {

// Where the mode is not said and writes need not be synced, which only a Db can do, it is
// standalone.
void ChooseMode(Config* config);

// Complains in the names of ClusterOptions.
void CheckCluster(const Config& config, kv::OptionCheck* check);

// Complains in the names of PeerTlsFiles.
void CheckPeerTls(const PeerTlsFiles& files, kv::OptionCheck* check);

// What is wrong with hosts and ports, by setting; looks names up, which may block. Names in
// cluster.join may come to exist later, and are not looked up.
std::vector<std::pair<std::string, absl::Status>> CheckClusterHosts(const Config& config);

// Whether no two listeners can have these addresses, of which either may be empty: one port, and of
// one host, or of all hosts. A port of 0 is another one each time. May block.
bool Clash(const std::string& a, const std::string& b);

// How the node starts. `database_exists`: in its directory is a database, of whatever kind.
ClusterOptions ClusterOptionsOf(const Config& config, bool database_exists);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_CLUSTER_CONFIG_H_
