// What SIGHUP does: reads the configuration again, takes over what a running server can, and tells
// what it cannot.
//
// Today only the level of the log is taken over. Whatever else becomes live (certificates, users)
// is built whole from the fresh configuration before anything of the running one is replaced, so
// that a reload is done or refused, never half.
#ifndef BANDB_TOOLS_BANDB_SERVER_RELOAD_H_
#define BANDB_TOOLS_BANDB_SERVER_RELOAD_H_

#include "absl/status/statusor.h"
#include "config.h"
#include "logger_bridge.h"

namespace bandb::server_program {

// `running` is what the server works with. If `fresh` is an error nothing changes, and the log says
// what is wrong. Else live settings are taken over, and the log names those that wait for a
// restart.
void Reload(const absl::StatusOr<Config>& fresh, Config* running, LoggerBridge* logger);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_RELOAD_H_
