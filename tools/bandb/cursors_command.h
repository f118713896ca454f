// `bandb cursors`: the named places that a server remembers in its change feed.
#ifndef BANDB_TOOLS_BANDB_CURSORS_COMMAND_H_
#define BANDB_TOOLS_BANDB_CURSORS_COMMAND_H_

#include <string>
#include <vector>

#include "client/target.h"

namespace bandb::cli {

// Returns the exit code.
int RunCursors(const client::Target& target, std::vector<std::string> arguments);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_CURSORS_COMMAND_H_
