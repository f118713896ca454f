// Figures in the text format of Prometheus, version 0.0.4.
//
//   # HELP bandb_server_replies_total Replies sent.
//   # TYPE bandb_server_replies_total counter
//   bandb_server_replies_total 17
#ifndef BANDB_ADMIN_PROMETHEUS_H_
#define BANDB_ADMIN_PROMETHEUS_H_

#include <string>

#include "admin/figures.h"

namespace bandb::admin {

// What a scrape of /metrics must say that it is.
inline constexpr char kPrometheusContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// All figures: bandb_server_… of the server, bandb_store_… of the store, bandb_store_level_… with
// the label `level`. Counters end in _total, times are in seconds. Latencies are histograms with
// one bucket for each octave from 8 microseconds to 8.6 seconds:
// bandb_server_request_duration_seconds with the labels `protocol` and `operation`, and
// bandb_server_hook_duration_seconds with the label `hook`.
std::string ToPrometheus(const Report& report);

}  // namespace bandb::admin

#endif  // BANDB_ADMIN_PROMETHEUS_H_
