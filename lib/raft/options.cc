#include "raft/options.h"

#include <string>

#include "base/status.h"

namespace bandb::raft {

absl::Status Options::Validate() const {
  std::string wrong;
  auto require = [&wrong](bool holds, const char* rule) {
    if (holds) return;
    if (!wrong.empty()) wrong += "; ";
    wrong += rule;
  };
  require(self != kNoNode, "self must not be 0");
  require(election_timeout_nanos >= 1000, "election_timeout_nanos must be at least 1000");
  require(election_timeout_nanos <= Nanos{1} << 50, "election_timeout_nanos must be at most 2^50");
  require(heartbeat_interval_nanos >= 1, "heartbeat_interval_nanos must be at least 1");
  require(heartbeat_interval_nanos <= election_timeout_nanos / 3,
          "heartbeat_interval_nanos must be at most a third of election_timeout_nanos");
  require(priority <= kMaxPriority, "priority must be at most kMaxPriority");
  require(disk_stall_timeout_nanos >= election_timeout_nanos,
          "disk_stall_timeout_nanos must be at least election_timeout_nanos");
  require(max_message_bytes >= 1, "max_message_bytes must be at least 1");
  require(max_inflight_bytes >= 1, "max_inflight_bytes must be at least 1");
  require(max_inflight_messages >= 1, "max_inflight_messages must be at least 1");
  require(max_uncommitted_bytes >= 1, "max_uncommitted_bytes must be at least 1");
  require(max_applying_bytes >= 1, "max_applying_bytes must be at least 1");
  require(max_pending_reads >= 1, "max_pending_reads must be at least 1");
  require(snapshot_log_bytes >= 1, "snapshot_log_bytes must be at least 1");
  require(clock_drift_percent <= 40, "clock_drift_percent must be at most 40");
  if (wrong.empty()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInvalidArgument, "raft options: {}", wrong);
}

}  // namespace bandb::raft
