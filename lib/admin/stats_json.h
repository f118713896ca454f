// Figures as one JSON object, for programs and for the page.
#ifndef BANDB_ADMIN_STATS_JSON_H_
#define BANDB_ADMIN_STATS_JSON_H_

#include <string>

#include "admin/figures.h"

namespace bandb::admin {

// {"version": …, "start_seconds": …, "server": {NAME: …}, "store": {NAME: …, "levels": [{…}]},
// "requests": [{"protocol": …, "operation": …, "count": …, "p50_micros": …, …}], "hooks": [{"hook":
// …, …}]}, with the names of figures.h. "store" is null while the store cannot tell. Latencies have
// count, sum_micros, max_micros, p50_micros, p90_micros, p99_micros and p999_micros.
std::string ToJson(const Report& report);

}  // namespace bandb::admin

#endif  // BANDB_ADMIN_STATS_JSON_H_
