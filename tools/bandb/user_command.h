// `bandb user`: who may use a server, in the file that its configuration names.
#ifndef BANDB_TOOLS_BANDB_USER_COMMAND_H_
#define BANDB_TOOLS_BANDB_USER_COMMAND_H_

#include <string>
#include <vector>

namespace bandb::cli {

// Returns the exit code.
int RunUser(std::vector<std::string> arguments);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_USER_COMMAND_H_
