// `bandb clients`, `slowlog` and `clock`: who is connected, what took long, and what time it is.
#ifndef BANDB_TOOLS_BANDB_OPERATOR_COMMAND_H_
#define BANDB_TOOLS_BANDB_OPERATOR_COMMAND_H_

#include <string>
#include <vector>

#include "client/target.h"

namespace bandb::cli {

// Each returns the exit code.
int RunClients(const client::Target& target, std::vector<std::string> arguments);
int RunSlowLog(const client::Target& target, std::vector<std::string> arguments);
int RunClock(const client::Target& target, std::vector<std::string> arguments);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_OPERATOR_COMMAND_H_
