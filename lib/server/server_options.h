// Which ServerOptions make no sense.
#ifndef BANDB_SERVER_SERVER_OPTIONS_H_
#define BANDB_SERVER_SERVER_OPTIONS_H_

#include "bandb/server.h"
#include "kv/option_check.h"

namespace bandb::server {

// Complains of every option that is out of range or contradicts another.
void CheckOptions(const ServerOptions& options, kv::OptionCheck* check);

}  // namespace bandb::server

#endif  // BANDB_SERVER_SERVER_OPTIONS_H_
