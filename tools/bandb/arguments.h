// The arguments of a command of bandb that has options of its own.
#ifndef BANDB_TOOLS_BANDB_ARGUMENTS_H_
#define BANDB_TOOLS_BANDB_ARGUMENTS_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

namespace bandb::cli {

// Takes them as `app` declares them. The exit code, if the command ends with that: its help was
// asked for and printed, or they are wrong, which was told.
std::optional<int> ParseArguments(CLI::App* app, std::vector<std::string> arguments);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_ARGUMENTS_H_
