// `bandb import`: what an export wrote, into a server, or into a directory without one.
#ifndef BANDB_TOOLS_BANDB_IMPORT_COMMAND_H_
#define BANDB_TOOLS_BANDB_IMPORT_COMMAND_H_

#include <string>
#include <vector>

#include "client/target.h"

namespace bandb::cli {

// Carries it out, with the arguments after its name, and returns the exit code.
int RunImport(const client::Target& target, std::vector<std::string> arguments);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_IMPORT_COMMAND_H_
