// `bandb watch`: prints what is written to a server, as it is written.
#ifndef BANDB_TOOLS_BANDB_WATCH_COMMAND_H_
#define BANDB_TOOLS_BANDB_WATCH_COMMAND_H_

#include <string>
#include <vector>

#include "client/target.h"
#include "proto/changes.h"

namespace bandb::cli {

// A line for one change of a commit; `json`: as an object.
std::string FormatChange(const proto::CommitHead& commit, const proto::BatchOperation& change, bool json);

// Returns the exit code.
int RunWatch(const client::Target& target, std::vector<std::string> arguments);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_WATCH_COMMAND_H_
