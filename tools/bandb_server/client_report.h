// Clients and slow requests in words: what operators see of `bandb clients` and `bandb slowlog`.
#ifndef BANDB_TOOLS_BANDB_SERVER_CLIENT_REPORT_H_
#define BANDB_TOOLS_BANDB_SERVER_CLIENT_REPORT_H_

#include <string>
#include <vector>

#include "bandb/server.h"

namespace bandb::server_program {

// A line for each client, and one that tells how many were left out.
std::string ShowClients(const ClientList& list);
// The same as an object on each line. Ids are strings: they have more bits than a number of
// JavaScript's.
std::string ClientsJson(const ClientList& list);
// A line for each request. Bytes of keys that do not print are escaped.
std::string ShowSlowRequests(const std::vector<SlowRequest>& requests);
// The same as an object on each line.
std::string SlowRequestsJson(const std::vector<SlowRequest>& requests);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_CLIENT_REPORT_H_
