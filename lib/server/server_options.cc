// Validate: which ServerOptions make no sense.
#include <string>
#include <string_view>

#include "bandb/server.h"
#include "base/status.h"
#include "net/address.h"
#include "proto/frame.h"

namespace bandb {

namespace {

// Collects what is wrong, so that all of it is said at once.
class RangeCheck {
 public:
  template <typename Number>
  void Within(std::string_view name, Number value, Number low, Number high) {
    if (value >= low && value <= high) return;
    wrong_ += fmt::format("; {} is {}, not between {} and {}", name, value, low, high);
  }
  void AtLeast(std::string_view name, absl::Duration value, absl::Duration low) {
    if (value >= low) return;
    wrong_ += fmt::format("; {} is {}, less than {}", name, absl::FormatDuration(value), absl::FormatDuration(low));
  }
  void Wrong(std::string_view what) { wrong_ += fmt::format("; {}", what); }
  absl::Status Result() const {
    if (wrong_.empty()) return absl::OkStatus();
    return base::Error(absl::StatusCode::kInvalidArgument, "server options: {}", wrong_.substr(2));
  }

 private:
  std::string wrong_;
};

}  // namespace

absl::Status Validate(const ServerOptions& options) {
  RangeCheck check;
  check.Within("loops", options.loops, 1, 64);
  check.Within("worker_threads", options.worker_threads, 1, 64);
  check.Within<uint32_t>("frame_bytes_max", options.frame_bytes_max, 64, proto::kFrameBytesHardMax);
  check.Within("connections_max", options.connections_max, 1, 1000000);
  check.Within("accepts_per_turn_max", options.accepts_per_turn_max, 1, 1000);
  check.Within("in_flight_requests_max", options.in_flight_requests_max, 1, 1000000);
  check.Within<uint64_t>("in_flight_bytes_max", options.in_flight_bytes_max, 4 << 10, 1 << 30);
  check.Within<uint64_t>("output_bytes_max", options.output_bytes_max, 4 << 10, 1 << 30);
  check.Within<uint64_t>("memory_bytes_max", options.memory_bytes_max, 4ull * options.frame_bytes_max, 1ull << 50);
  check.AtLeast("frame_timeout", options.frame_timeout, absl::Milliseconds(1));
  check.AtLeast("unread_timeout", options.unread_timeout, absl::Milliseconds(1));
  check.AtLeast("idle_timeout", options.idle_timeout, absl::Milliseconds(1));
  check.AtLeast("keepalive", options.keepalive, absl::Seconds(1));
  check.AtLeast("drain_timeout", options.drain_timeout, absl::ZeroDuration());
  if (!net::IsAddress(options.listen)) check.Wrong(fmt::format("listen is '{}', not HOST:PORT", options.listen));
  return check.Result();
}

}  // namespace bandb
