#include "server/server_stats.h"

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace bandb::server {

std::string ToText(const ServerStats& stats) {
  const struct {
    std::string_view name;
    uint64_t value;
  } lines[] = {
      {"connections_open", stats.connections_open},
      {"connections_accepted", stats.connections_accepted},
      {"connections_refused", stats.connections_refused},
      {"connections_evicted", stats.connections_evicted},
      {"connections_timed_out", stats.connections_timed_out},
      {"accept_failures", stats.accept_failures},
      {"bytes_read", stats.bytes_read},
      {"bytes_written", stats.bytes_written},
      {"frames_read", stats.frames_read},
      {"replies", stats.replies},
      {"error_replies", stats.error_replies},
      {"malformed_frames", stats.malformed_frames},
      {"read_calls", stats.read_calls},
      {"write_calls", stats.write_calls},
      {"turns", stats.turns},
      {"pauses", stats.pauses},
      {"hook_failures", stats.hook_failures},
      {"hook_overruns", stats.hook_overruns},
      {"workers_lost", stats.workers_lost},
      {"hook_drops", stats.hook_drops},
      {"hook_rejections", stats.hook_rejections},
      {"hook_routes", stats.hook_routes},
      {"hook_emissions", stats.hook_emissions},
      {"write_groups", stats.write_groups},
      {"write_operations", stats.write_operations},
      {"reads", stats.reads},
      {"overloaded", stats.overloaded},
      {"failed_logins", stats.failed_logins},
      {"denials", stats.denials},
      {"slow_requests", stats.slow_requests},
      {"tls_failures", stats.tls_failures},
      {"snapshots_open", stats.snapshots_open},
      {"memory_bytes", stats.memory_bytes},
      {"in_flight", stats.in_flight},
  };
  // A new counter must be added here, too.
  static_assert(sizeof(lines) / sizeof(lines[0]) == sizeof(ServerStats) / sizeof(uint64_t));
  std::string text;
  for (const auto& line : lines) text += fmt::format("{} {}\n", line.name, line.value);
  return text;
}

}  // namespace bandb::server
