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
  require(priority <= kPriorityMax, "priority must be at most kPriorityMax");
  require(disk_stall_timeout_nanos >= election_timeout_nanos,
          "disk_stall_timeout_nanos must be at least election_timeout_nanos");
  require(message_bytes_max >= 1, "message_bytes_max must be at least 1");
  require(inflight_bytes_max >= 1, "inflight_bytes_max must be at least 1");
  require(inflight_messages_max >= 1, "inflight_messages_max must be at least 1");
  require(uncommitted_bytes_max >= 1, "uncommitted_bytes_max must be at least 1");
  require(applying_bytes_max >= 1, "applying_bytes_max must be at least 1");
  require(pending_reads_max >= 1, "pending_reads_max must be at least 1");
  require(snapshot_log_bytes >= 1, "snapshot_log_bytes must be at least 1");
  require(commit_delay_nanos >= 0 && commit_delay_nanos <= heartbeat_interval_nanos,
          "commit_delay_nanos must be between 0 and heartbeat_interval_nanos");
  require(clock_drift_percent <= 40, "clock_drift_percent must be at most 40");
  if (wrong.empty()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInvalidArgument, "raft options: {}", wrong);
}

}  // namespace bandb::raft
