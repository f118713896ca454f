// `bandb cluster`: clusters on this machine.
#ifndef BANDB_TOOLS_BANDB_CLUSTER_COMMAND_H_
#define BANDB_TOOLS_BANDB_CLUSTER_COMMAND_H_

#include <string>
#include <vector>

namespace bandb::cli {

// Runs `bandb cluster ARGUMENTS`; returns the exit code.
int RunCluster(std::vector<std::string> arguments);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_CLUSTER_COMMAND_H_
