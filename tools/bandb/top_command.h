// `bandb top`: a screen that shows what a server does, again and again.
#ifndef BANDB_TOOLS_BANDB_TOP_COMMAND_H_
#define BANDB_TOOLS_BANDB_TOP_COMMAND_H_

#include <string>
#include <vector>

#include "client/target.h"

namespace bandb::cli {

// Returns the exit code.
int RunTop(const client::Target& target, std::vector<std::string> arguments);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_TOP_COMMAND_H_
