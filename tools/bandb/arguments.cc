#include "arguments.h"

#include <algorithm>
#include <utility>

#include "shell.h"

namespace bandb::cli {

std::optional<int> ParseArguments(CLI::App* app, std::vector<std::string> arguments) {
  // CLI11 takes arguments last first.
  std::reverse(arguments.begin(), arguments.end());
  try {
    app->parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return app->exit(error) == 0 ? kDone : kUsage;
  }
  return std::nullopt;
}

}  // namespace bandb::cli
