// The life of the server process: open the database, serve it, end in order when told to.
#ifndef BANDB_TOOLS_BANDB_SERVER_SERVICE_H_
#define BANDB_TOOLS_BANDB_SERVER_SERVICE_H_

#include <functional>

#include "absl/status/statusor.h"
#include "config.h"

namespace bandb::server_program {

// Exit codes of the program.
inline constexpr int kDone = 0;    // ended in order, or there was nothing to serve
inline constexpr int kFailed = 1;  // could not start, or something failed on the way; docs/operations.md lists what
inline constexpr int kUsage = 2;   // bad arguments or a bad configuration
inline constexpr int kLost = 3;    // its directory was lost while it served: a start would begin another database

// Serves until SIGTERM or SIGINT, then drains; a second of these ends the process at once. SIGHUP
// reads the configuration again by `reread`. Prints "listening on HOST:PORT" on standard output
// once it serves. Returns the exit code. Call it before the process has other threads, since it
// blocks these signals in all of them.
int Serve(Config config, const std::function<absl::StatusOr<Config>()>& reread);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_SERVICE_H_
