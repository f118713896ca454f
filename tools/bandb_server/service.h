// The life of the server process: open the database, serve it, end in order when told to.
#ifndef BANDB_TOOLS_BANDB_SERVER_SERVICE_H_
#define BANDB_TOOLS_BANDB_SERVER_SERVICE_H_

#include "config.h"

namespace bandb::server_program {

// Exit codes of the program.
inline constexpr int kDone = 0;    // drained, or there was nothing to serve
inline constexpr int kFailed = 1;  // the database or the port could not be had; what was left was closed hard
inline constexpr int kUsage = 2;   // bad arguments or a bad configuration

// Serves until SIGTERM or SIGINT, then drains. Prints "listening on HOST:PORT" on standard output once it serves.
// Returns the exit code. To be called before the process has other threads, since it blocks these signals in all of
// them.
int Serve(const Config& config);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_SERVICE_H_
