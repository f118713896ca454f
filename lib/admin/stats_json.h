// Figures as one JSON object, for programs and for the page.
#ifndef BANDB_ADMIN_STATS_JSON_H_
#define BANDB_ADMIN_STATS_JSON_H_

#include <string>

#include "admin/figures.h"
#include "bandb/cluster.h"

namespace bandb::admin {

// {"version": …, "start_seconds": …, "server": {NAME: …}, "store": {NAME: …, "levels": [{…}]},
// "cluster": {…}, "requests": [{"protocol": …, "operation": …, "count": …, "p50_micros": …, …}],
// "hooks": [{"hook": …, …}]}, with the names of figures.h. "store" is null while the store cannot
// tell, "cluster" of what is no node; else it is what ToJson makes of its state. Latencies have
// count, sum_micros, max_micros, p50_micros, p90_micros, p99_micros and p999_micros.
std::string ToJson(const Report& report);

// What a node knows of its cluster, on one line. Ids are strings: they have more bits than a number
// of JavaScript's.
std::string ToJson(const ClusterStatus& status);
// Its "members", by themselves.
std::string MembersToJson(const ClusterStatus& status);

}  // namespace bandb::admin

#endif  // BANDB_ADMIN_STATS_JSON_H_
