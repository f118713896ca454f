#include "cluster/lost_quorum.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "base/status.h"
#include "cluster/node_directory.h"
#include "cluster/single_log.h"
#include "raft/types/configuration_codec.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

constexpr uint8_t kPositionVersion = 1;
constexpr int64_t kTurnNanos = 10'000'000;

std::string ToHex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return text;
}

bool FromHex(std::string_view text, std::string* bytes) {
  bytes->clear();
  const auto value = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  if (text.size() % 2 != 0) return false;
  for (size_t i = 0; i < text.size(); i += 2) {
    if (value(text[i]) < 0 || value(text[i + 1]) < 0) return false;
    bytes->push_back(static_cast<char>(value(text[i]) * 16 + value(text[i + 1])));
  }
  return true;
}

// A node that does not run: its directory, with all that is in it.
class StoppedNode final : private LogDevice::Listener {
 public:
  static absl::StatusOr<std::unique_ptr<StoppedNode>> Open(const StoppedNodeParts& parts) {
    std::unique_ptr<StoppedNode> node(new StoppedNode(parts));
    BANDB_ASSIGN_OR_RETURN(node->directory_, NodeDirectory::Open(parts.env, parts.dir, /*create=*/false));
    if (node->directory_->content() != NodeDirectory::Content::kNode) {
      return base::Error(StatusCode::kFailedPrecondition, "{}: holds no node of a cluster", parts.dir);
    }
    BANDB_ASSIGN_OR_RETURN(node->replica_, node->directory_->OpenReplica(parts.node.storage));
    SingleLogOptions log;
    log.executor = parts.env.executor;
    log.clock = parts.env.clock;
    log.random = parts.env.random;
    log.logger = parts.env.logger;
    log.post = [loop = parts.loop.get()](base::Task task) { loop->Post(std::move(task)); };
    log.segment_bytes = parts.node.segment_bytes;
    BANDB_ASSIGN_OR_RETURN(node->log_, node->directory_->OpenLog(log, node->replica_->durable()));
    node->log_->SetListener(node.get());
    return node;
  }
  ~StoppedNode() override {
    log_.reset();
    if (replica_ != nullptr) CloseReplica(replica_.get(), parts_.env.executor).IgnoreError();
  }

  NodeDirectory* directory() { return directory_.get(); }
  const raft::Restart& restart() const { return log_->restart(); }
  SurvivorPosition position() const {
    return {.cluster = ClusterIdOf(directory_->identity()),
            .log = raft::PositionOf(restart(), directory_->identity().node_id)};
  }

  // The entry before the hard state: a log of a later term counts without it.
  absl::Status Write(const raft::Entry& entry, const raft::HardState& hard_state) {
    log_->WriteLog({.write = 1, .term = entry.term, .index = entry.index, .commit = 0, .entries = {entry}});
    log_->WriteHardState({.write = 1, .state = hard_state});
    while (!written_ && !failed_) parts_.loop->RunOnce(kTurnNanos);
    if (!failed_) return absl::OkStatus();
    return base::Error(StatusCode::kInternal, "the log could not be written; call again, once the cause is gone");
  }

 private:
  explicit StoppedNode(const StoppedNodeParts& parts) : parts_(parts) {}

  void OnHardStateDurable(uint64_t) override { written_ = true; }
  void OnLogDurable(uint64_t, raft::Term, raft::Index) override {}
  void OnWriteFailed() override { failed_ = true; }
  void OnFetched(uint64_t, bool, raft::Entries) override {}
  void OnReset(raft::Index, raft::Term) override {}
  void OnCapacity(bool) override {}

  const StoppedNodeParts parts_;
  std::unique_ptr<NodeDirectory> directory_;
  std::unique_ptr<storage::EngineReplica> replica_;
  std::unique_ptr<SingleLog> log_;
  bool written_ = false;
  bool failed_ = false;
};

// The survivors, all of one cluster.
absl::StatusOr<std::vector<SurvivorPosition>> DecodeAll(const std::vector<std::string>& texts) {
  std::vector<SurvivorPosition> survivors;
  for (const std::string& text : texts) {
    BANDB_ASSIGN_OR_RETURN(SurvivorPosition survivor, DecodeSurvivor(text));
    if (!survivors.empty() && survivor.cluster != survivors.front().cluster) {
      return base::Error(StatusCode::kInvalidArgument, "node {} is of cluster {}, and node {} of cluster {}",
                         survivor.log.node, survivor.cluster, survivors.front().log.node, survivors.front().cluster);
    }
    survivors.push_back(std::move(survivor));
  }
  if (survivors.empty()) return base::Error(StatusCode::kInvalidArgument, "no survivors are named");
  return survivors;
}

QuorumRecovery ResultOf(const std::vector<SurvivorPosition>& survivors, raft::ClusterId cluster) {
  QuorumRecovery result{.cluster_id = cluster};
  const auto rank = [](const raft::LogPosition& p) { return std::make_tuple(p.last_term, p.last_index, ~p.node); };
  const raft::LogPosition* best = &survivors.front().log;
  for (const SurvivorPosition& survivor : survivors) {
    if (rank(survivor.log) > rank(*best)) best = &survivor.log;
  }
  for (const SurvivorPosition& survivor : survivors) {
    result.voters.push_back(survivor.log.node);
    if (!best->configuration.Votes(survivor.log.node)) result.new_voters.push_back(survivor.log.node);
  }
  std::sort(result.voters.begin(), result.voters.end());
  std::sort(result.new_voters.begin(), result.new_voters.end());
  return result;
}

}  // namespace

std::string EncodeSurvivor(const SurvivorPosition& position) {
  std::string bytes;
  std::string configuration;
  raft::EncodeConfiguration(position.log.configuration, &configuration);
  base::PutFixed8(&bytes, kPositionVersion);
  base::PutFixed64(&bytes, position.cluster);
  base::PutFixed64(&bytes, position.log.node);
  base::PutFixed64(&bytes, position.log.last_term);
  base::PutFixed64(&bytes, position.log.last_index);
  base::PutFixed64(&bytes, position.log.hard_state_term);
  base::PutLengthPrefixed(&bytes, configuration);
  base::PutFixed64(&bytes, base::Hash64(bytes));
  return ToHex(bytes);
}

absl::StatusOr<SurvivorPosition> DecodeSurvivor(std::string_view text) {
  const absl::Status malformed =
      base::Error(StatusCode::kInvalidArgument, "{}: not what a survivor has said of itself", text.substr(0, 40));
  std::string bytes;
  if (!FromHex(text, &bytes) || bytes.size() < sizeof(uint64_t)) return malformed;
  const std::string_view content = std::string_view(bytes).substr(0, bytes.size() - sizeof(uint64_t));
  if (base::LoadFixed<uint64_t>(bytes.data() + content.size()) != base::Hash64(content)) return malformed;
  base::ByteReader reader(content);
  SurvivorPosition position;
  uint8_t version = 0;
  std::string_view configuration;
  if (!reader.ReadFixed(&version) || version != kPositionVersion || !reader.ReadFixed(&position.cluster) ||
      !reader.ReadFixed(&position.log.node) || !reader.ReadFixed(&position.log.last_term) ||
      !reader.ReadFixed(&position.log.last_index) || !reader.ReadFixed(&position.log.hard_state_term) ||
      !reader.ReadLengthPrefixed(&configuration) || !reader.empty() ||
      !raft::DecodeConfiguration(configuration, &position.log.configuration)) {
    return malformed;
  }
  return position;
}

raft::ClusterId RecoveredClusterId(std::vector<SurvivorPosition> survivors) {
  std::sort(survivors.begin(), survivors.end(),
            [](const SurvivorPosition& a, const SurvivorPosition& b) { return a.log.node < b.log.node; });
  std::string all;
  for (const SurvivorPosition& survivor : survivors) base::PutLengthPrefixed(&all, EncodeSurvivor(survivor));
  const raft::ClusterId id = base::Hash64(all) >> 1;
  return id != 0 && id != survivors.front().cluster ? id : survivors.front().cluster ^ 1;
}

absl::StatusOr<std::string> DescribeSurvivor(const StoppedNodeParts& parts) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<StoppedNode> node, StoppedNode::Open(parts));
  return EncodeSurvivor(node->position());
}

absl::StatusOr<QuorumRecovery> RecoverLostQuorum(const StoppedNodeParts& parts, const std::vector<std::string>& texts) {
  BANDB_ASSIGN_OR_RETURN(const std::vector<SurvivorPosition> survivors, DecodeAll(texts));
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<StoppedNode> node, StoppedNode::Open(parts));
  const raft::ClusterId before = survivors.front().cluster;
  const raft::ClusterId after = RecoveredClusterId(survivors);
  const SurvivorPosition own = node->position();
  raft::LostQuorum lost{.survivors = {}, .new_cluster = after};
  for (const SurvivorPosition& survivor : survivors) lost.survivors.push_back(survivor.log);
  const bool moved = own.cluster == after;
  const bool is_there = std::find(lost.survivors.begin(), lost.survivors.end(), own.log) != lost.survivors.end();
  // It has written what it had to, in an earlier call.
  if (moved && !is_there) return ResultOf(survivors, after);
  if (!moved && own.cluster != before) {
    return base::Error(StatusCode::kInvalidArgument, "{}: is of cluster {}, and the survivors are of cluster {}",
                       parts.dir, own.cluster, before);
  }
  BANDB_ASSIGN_OR_RETURN(const raft::QuorumRecovery recovery,
                         raft::RecoverLostQuorum(node->restart(), own.log.node, 0, before, lost));
  if (!moved) BANDB_RETURN_IF_ERROR(node->directory()->MoveToCluster(after));
  if (recovery.entry.has_value()) BANDB_RETURN_IF_ERROR(node->Write(*recovery.entry, recovery.hard_state));
  QuorumRecovery result = ResultOf(survivors, after);
  BANDB_ASSERT(result.new_voters.size() == recovery.new_voters.size());
  parts.env.logger->Log(base::LogLevel::kWarning, "{}: node {} is of cluster {} now, recovered by {} survivors of {}",
                        parts.dir, own.log.node, after, survivors.size(), before);
  return result;
}

}  // namespace bandb::cluster
