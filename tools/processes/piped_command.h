// A command of the shell that gets its standard input from this program.
#ifndef BANDB_TOOLS_PROCESSES_PIPED_COMMAND_H_
#define BANDB_TOOLS_PROCESSES_PIPED_COMMAND_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace bandb::processes {

// Names and values that the command finds in its environment besides those of this process.
using Variables = std::vector<std::pair<std::string, std::string>>;

// Runs `sh -c command` to its end with `input` as its standard input, of which it need not read
// anything; what it prints goes where this process prints. It is told to end (SIGTERM) if this
// process dies first. Call it from the thread that lives as long as the process. Returns its exit
// code, or 128 and the signal that has ended it. Errors: kInternal the system refused.
absl::StatusOr<int> RunPiped(const std::string& command, std::string_view input, const Variables& variables = {});

}  // namespace bandb::processes

#endif  // BANDB_TOOLS_PROCESSES_PIPED_COMMAND_H_
