// Which ServerOptions make no sense, and what the process has for them.
#ifndef BANDB_SERVER_SERVER_OPTIONS_H_
#define BANDB_SERVER_SERVER_OPTIONS_H_

#include <cstddef>
#include <cstdint>

#include "bandb/server.h"
#include "kv/option_check.h"

namespace bandb::server {

// Complains of every option that is out of range or contradicts another.
void CheckOptions(const ServerOptions& options, kv::OptionCheck* check);

// How many connections a server takes.
struct ConnectionRoom {
  int connections_max = 0;
  // Per loop: connections that are being told that they are refused.
  size_t refused_max = 0;
};

// What options.connections_max comes to in a process that may have `process_max` files and sockets
// open: clients must leave the store those that it takes by default, or a client that connects
// often enough stops its writes.
// Whether an address may be listened on: all that others can reach need users, or `insecure`.
// May block for as long as the system looks for a name. Errors: kInvalidArgument.
absl::Status CheckReach(const ServerOptions& options, const std::string& address);
// Likewise, of an address where TLS is spoken: certificates of clients do as well.
absl::Status CheckTlsReach(const ServerOptions& options, const std::string& address);

ConnectionRoom RoomFor(const ServerOptions& options, uint64_t process_max);

}  // namespace bandb::server

#endif  // BANDB_SERVER_SERVER_OPTIONS_H_
