#include "server/server_options.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "bandb/options.h"
#include "base/status.h"
#include "kv/options.h"
#include "net/address.h"
#include "proto/frame.h"
#include "server/request_mark.h"

namespace bandb {

namespace server {

namespace {

// TCP takes no more.
constexpr absl::Duration kKeepaliveMax = absl::Seconds(32767);

// What a store and a process have open besides tables and connections: logs, tables being written,
// standard streams.
constexpr uint64_t kOtherFiles = 24;
constexpr uint64_t kFilesPerLoop = 4;
constexpr uint64_t kRefusedPerLoopMax = 64;

void AtLeast(std::string_view option, absl::Duration value, absl::Duration low, kv::OptionCheck* check) {
  if (value >= low) return;
  check->Wrong({kv::OptionName{option},
                fmt::format(" is {}, less than {}", absl::FormatDuration(value), absl::FormatDuration(low))});
}

void CheckTls(std::string_view option, const std::string& listen, const ServerOptions& options,
              kv::OptionCheck* check) {
  if (listen.empty()) return;
  if (!net::IsAddress(listen)) {
    check->Wrong({kv::OptionName{option}, fmt::format(" is '{}', not HOST:PORT", listen)});
  }
  if (options.tls_certificate_file.empty()) {
    check->Wrong({kv::OptionName{option}, " needs ", kv::OptionName{"tls_certificate_file"}});
  }
}

}  // namespace

void CheckOptions(const ServerOptions& options, kv::OptionCheck* check) {
  check->Within("loops", options.loops, 1, 64);
  check->Within("worker_threads", options.worker_threads, 1, 64);
  check->Within("frame_bytes_max", options.frame_bytes_max, 64, proto::kFrameBytesHardMax);
  check->Within("batch_operations_max", options.batch_operations_max, 1, 1000000);
  check->Within("connections_max", options.connections_max, 1, 1000000);
  check->Within("accepts_per_turn_max", options.accepts_per_turn_max, 1, 1000);
  check->Within("in_flight_requests_max", options.in_flight_requests_max, 1, 1000000);
  check->Within("in_flight_bytes_max", options.in_flight_bytes_max, 4 << 10, 1 << 30);
  check->Within("output_bytes_max", options.output_bytes_max, 4 << 10, 1 << 30);
  check->Within("memory_bytes_max", options.memory_bytes_max, 0, 1ull << 50);
  if (options.memory_bytes_max < 4ull * options.frame_bytes_max) {
    check->Wrong({kv::OptionName{"memory_bytes_max"},
                  fmt::format(" is {}, less than four times ", options.memory_bytes_max),
                  kv::OptionName{"frame_bytes_max"}, fmt::format(", {}", options.frame_bytes_max)});
  }
  AtLeast("login_timeout", options.login_timeout, absl::Milliseconds(1), check);
  AtLeast("frame_timeout", options.frame_timeout, absl::Milliseconds(1), check);
  AtLeast("unread_timeout", options.unread_timeout, absl::Milliseconds(1), check);
  AtLeast("idle_timeout", options.idle_timeout, absl::Milliseconds(1), check);
  AtLeast("store_timeout", options.store_timeout, absl::Milliseconds(1), check);
  AtLeast("stall_timeout", options.stall_timeout, absl::Milliseconds(1), check);
  AtLeast("keepalive", options.keepalive, absl::Seconds(1), check);
  if (options.keepalive > kKeepaliveMax && options.keepalive != absl::InfiniteDuration()) {
    check->Wrong(
        {kv::OptionName{"keepalive"}, fmt::format(" is {}, more than {}", absl::FormatDuration(options.keepalive),
                                                  absl::FormatDuration(kKeepaliveMax))});
  }
  AtLeast("slow_log_threshold", options.slow_log_threshold, absl::ZeroDuration(), check);
  check->Within("slow_log_key_bytes", options.slow_log_key_bytes, 0, static_cast<int>(RequestMark::kKeyBytesMax));
  AtLeast("hook_time_limit", options.hook_time_limit, absl::Milliseconds(1), check);
  AtLeast("drain_timeout", options.drain_timeout, absl::ZeroDuration(), check);
  if (!net::IsAddress(options.listen)) {
    check->Wrong({kv::OptionName{"listen"}, fmt::format(" is '{}', not HOST:PORT", options.listen)});
  }
  if (!options.redis_listen.empty() && !net::IsAddress(options.redis_listen)) {
    check->Wrong({kv::OptionName{"redis_listen"}, fmt::format(" is '{}', not HOST:PORT", options.redis_listen)});
  }
  CheckTls("tls_listen", options.tls_listen, options, check);
  CheckTls("redis_tls_listen", options.redis_tls_listen, options, check);
  if (options.tls_certificate_file.empty() != options.tls_key_file.empty()) {
    check->Wrong({kv::OptionName{"tls_certificate_file"}, " and ", kv::OptionName{"tls_key_file"}, " go together"});
  }
}

absl::Status CheckReach(const ServerOptions& options, const std::string& address) {
  BANDB_ASSIGN_OR_RETURN(const std::vector<net::SocketAddress> addresses, net::ParseAddresses(address));
  // The first one is listened on.
  if (options.insecure || !options.users_file.empty() || net::IsLoopback(addresses.front())) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInvalidArgument,
                     "{}, which others can reach, and there are no users: name a file of users, or say insecure",
                     address);
}

absl::Status CheckTlsReach(const ServerOptions& options, const std::string& address) {
  return options.tls_client_ca_file.empty() ? CheckReach(options, address) : net::ParseAddresses(address).status();
}

ConnectionRoom RoomFor(const ServerOptions& options, uint64_t process_max) {
  const auto loops = static_cast<uint64_t>(options.loops);
  const uint64_t kept = kv::OpenFilesMax(Options(), process_max) + kOtherFiles + loops * kFilesPerLoop;
  const uint64_t room = process_max - std::min(process_max, kept);
  const uint64_t refused = std::min(loops * kRefusedPerLoopMax, room / 8);
  const auto wanted = static_cast<uint64_t>(options.connections_max);
  return {.connections_max = static_cast<int>(std::clamp<uint64_t>(room - refused, 1, wanted)),
          .refused_max = static_cast<size_t>(refused / loops)};
}

}  // namespace server

absl::Status Validate(const ServerOptions& options) {
  kv::OptionCheck check;
  server::CheckOptions(options, &check);
  return check.ToStatus("server options");
}

}  // namespace bandb
