// `bandb latency`: how long the requests and the hooks of a server take.
#ifndef BANDB_TOOLS_BANDB_LATENCY_COMMAND_H_
#define BANDB_TOOLS_BANDB_LATENCY_COMMAND_H_

#include <string>
#include <vector>

#include "client/target.h"
#include "figures.h"

namespace bandb::cli {

// A line for each histogram that has something, under a line of titles; `seconds`: in how long
// they came, for the rate; 0: leave it out. Empty if there is nothing.
std::string ShowLatencies(const Figures& figures, double seconds);
// Those of `now` that came after `before`.
Figures Since(const Figures& now, const Figures& before);

// Returns the exit code.
int RunLatency(const client::Target& target, std::vector<std::string> arguments);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_LATENCY_COMMAND_H_
