// `bandb export`: the entries of a server, or of a directory without one, as files.
#ifndef BANDB_TOOLS_BANDB_EXPORT_COMMAND_H_
#define BANDB_TOOLS_BANDB_EXPORT_COMMAND_H_

#include <string>
#include <vector>

#include "client/target.h"

namespace bandb::cli {

// Carries it out, with the arguments after its name, and returns the exit code.
int RunExport(const client::Target& target, std::vector<std::string> arguments);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_EXPORT_COMMAND_H_
