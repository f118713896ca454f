#include "cluster/start_options.h"

#include <algorithm>

#include "kv/option_check.h"
#include "kv/options.h"
#include "net/address.h"

namespace bandb::cluster {

namespace {

constexpr raft::Nanos kCommitDelayNanos = 1'000'000;

// 0.0.0.0 or [::], which leads everybody to their own machine.
bool IsAnyAddress(const std::string& address) {
  return address.starts_with("0.0.0.0:") || address.starts_with("[::]:");
}

void CheckAddresses(const ClusterOptions& options, kv::OptionCheck* check) {
  const auto must_be = [check](std::string_view option, const std::string& address) {
    if (address.empty() || (net::IsAddress(address) && address.size() <= kMemberPartBytesMax)) return;
    check->Wrong({kv::OptionName{option}, " is not HOST:PORT"});
  };
  must_be("listen", options.listen);
  must_be("advertise", options.advertise);
  must_be("client_address", options.client_address);
  for (const std::string& address : options.join) must_be("join", address.empty() ? "empty" : address);
  if (options.name.size() > kMemberPartBytesMax) check->Wrong({kv::OptionName{"name"}, " is too long"});
  if (options.advertise.empty() && IsAnyAddress(options.listen)) {
    check->Wrong({kv::OptionName{"listen"}, " is every address of this machine, so ", kv::OptionName{"advertise"},
                  " has to say which one others dial"});
  }
  const std::string& own = options.advertise.empty() ? options.listen : options.advertise;
  if (std::count(options.join.begin(), options.join.end(), own) > 0) {
    check->Wrong({kv::OptionName{"join"}, " names this node itself"});
  }
  for (auto address = options.join.begin(); address != options.join.end(); ++address) {
    if (std::count(options.join.begin(), address, *address) != 1) continue;
    check->Wrong({kv::OptionName{"join"}, " names " + *address + " twice"});
  }
}

// What has members compact by themselves to different ends.
void CheckReplicable(const Options& storage, kv::OptionCheck* check) {
  if (storage.compaction_style == CompactionStyle::kFifo) {
    check->Wrong({kv::OptionName{"compaction_style"}, " is kFifo, and the members would forget at different times"});
  }
  if (storage.compaction_filter != nullptr) {
    check->Wrong({kv::OptionName{"compaction_filter"}, " is set, and the members would differ in what it decides"});
  }
}

}  // namespace

void CheckOptions(const ClusterOptions& options, kv::OptionCheck* to) {
  kv::OptionCheck& check = *to;
  CheckReplicable(options.storage, &check);
  CheckAddresses(options, &check);
  if (options.bootstrap && !options.join.empty()) {
    check.Wrong(
        {kv::OptionName{"bootstrap"}, " begins a cluster and ", kv::OptionName{"join"}, " asks to be let into one"});
  }
  if (!options.join.empty() && options.listen.empty()) {
    check.Wrong({kv::OptionName{"listen"}, " is empty, and others have to reach a node that joins"});
  }
  if (!options.replaces.empty() && options.join_as_learner) {
    check.Wrong({kv::OptionName{"replaces"}, " makes a voter, and ", kv::OptionName{"join_as_learner"}, " forbids it"});
  }
  check.Within("election_timeout", absl::ToInt64Milliseconds(options.election_timeout), 50, 60'000);
  check.Within("heartbeat_interval", absl::ToInt64Milliseconds(options.heartbeat_interval), 1,
               std::max<int64_t>(absl::ToInt64Milliseconds(options.election_timeout) / 3, 1));
  if (options.heartbeat_interval > options.election_timeout / 3) {
    check.Wrong(
        {kv::OptionName{"heartbeat_interval"}, " is more than a third of ", kv::OptionName{"election_timeout"}});
  }
  check.Within("priority", options.priority, 0, static_cast<int>(raft::kPriorityMax));
  check.Within("log_file_bytes", options.log_file_bytes, 8ull << 20, 512ull << 20);
}

absl::Status CheckStart(const ClusterOptions& options) {
  kv::OptionCheck check;
  kv::CheckOptions(options.storage, &check);
  CheckOptions(options, &check);
  if (options.dir.empty()) check.Wrong({kv::OptionName{"dir"}, " is empty"});
  return check.ToStatus("cluster options");
}

NodeOptions NodeOptionsOf(const ClusterOptions& options, const std::string& listen) {
  NodeOptions node;
  node.core.election_timeout_nanos = absl::ToInt64Nanoseconds(options.election_timeout);
  node.core.heartbeat_interval_nanos = absl::ToInt64Nanoseconds(options.heartbeat_interval);
  node.core.disk_stall_timeout_nanos = std::max<raft::Nanos>(3'000'000'000, node.core.election_timeout_nanos);
  node.core.priority = static_cast<uint32_t>(options.priority);
  node.core.commit_delay_nanos = std::min(kCommitDelayNanos, node.core.heartbeat_interval_nanos);
  node.core.lease_reads = options.lease_reads;
  node.core.uncommitted_bytes_max = options.log_file_bytes / 4;
  // What comes at once has to fit into one file of the peer's log, too.
  node.core.inflight_bytes_max = std::min(node.core.inflight_bytes_max, options.log_file_bytes / 4);
  node.core.snapshot_log_bytes = options.log_file_bytes;
  node.core.retained_log_bytes = options.log_retained_bytes;
  node.storage = options.storage;
  node.segment_bytes = options.log_file_bytes;
  node.listen = listen;
  node.address = {.peer = options.advertise.empty() ? listen : options.advertise,
                  .client = options.client_address,
                  .name = options.name};
  // One that says nothing for so long is not there.
  node.peers.silence_nanos = std::max<int64_t>(node.core.election_timeout_nanos, 1'000'000'000);
  node.peers.ping_nanos = std::min<int64_t>(node.peers.silence_nanos / 4, 500'000'000);
  return node;
}

}  // namespace bandb::cluster
