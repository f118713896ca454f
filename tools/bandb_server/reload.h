// What SIGHUP does: reads the configuration again, takes over what a running server can, and tells
// what it cannot.
//
// Of the configuration only the level of the log is taken over. What changes in the files of users
// and certificates that it named at the start is the server's affair (Server::Reload): all of them
// are read before anything is replaced, so that a reload is done or refused, never half.
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
