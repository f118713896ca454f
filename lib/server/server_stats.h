// ServerStats as text, for the STATS message.
#ifndef BANDB_SERVER_SERVER_STATS_H_
#define BANDB_SERVER_SERVER_STATS_H_

#include <string>

#include "bandb/server.h"

namespace bandb::server {

// One line "name value" for each counter, in the order of the struct.
std::string ToText(const ServerStats& stats);

}  // namespace bandb::server

#endif  // BANDB_SERVER_SERVER_STATS_H_
