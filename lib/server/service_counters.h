// What the service counts, next to what BanNet counts.
#ifndef BANDB_SERVER_SERVICE_COUNTERS_H_
#define BANDB_SERVER_SERVICE_COUNTERS_H_

#include "net/counters.h"

namespace bandb::server {

struct ServiceCounters {
  net::Counter malformed;
  net::Counter write_groups;
  net::Counter write_operations;
  net::Counter reads;
  net::Counter overloaded;
  net::Counter hook_failures;
  net::Counter hook_drops;
  net::Counter hook_rejections;
  net::Counter hook_routes;
  net::Counter hook_emissions;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_SERVICE_COUNTERS_H_
