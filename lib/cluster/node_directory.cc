#include "cluster/node_directory.h"

#include <utility>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "base/status.h"
#include "raft/types/configuration_codec.h"
#include "storage/db.h"
#include "storage/file/file_names.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

constexpr std::string_view kNodeMagic = "BanDBnod";
constexpr uint32_t kNodeVersion = 1;
// Where earlier releases have 0, and do not look.
constexpr uint32_t kBegun = 1;
// Of the largest membership, and more.
constexpr uint64_t kNodeBytesMax = 1 << 20;

std::string GroupDir(const std::string& dir) { return base::JoinPath(dir, "groups/0"); }
std::string NodePath(const std::string& dir) { return base::JoinPath(GroupDir(dir), "NODE"); }
std::string NodeLockPath(const std::string& dir) { return base::JoinPath(GroupDir(dir), "LOCK"); }

// With no slash at its end, so that a walk upward knows where to stop.
absl::StatusOr<std::string> DirectoryPath(std::string path) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return base::Error(StatusCode::kInvalidArgument, "the path of a directory is empty or holds a zero byte");
  }
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string EncodeMembership(const raft::Configuration& configuration) {
  std::string bytes;
  raft::EncodeConfiguration(configuration, &bytes);
  return bytes;
}

}  // namespace

storage::Uuid ClusterUuid(raft::ClusterId cluster) {
  std::string bytes;
  base::PutFixed64(&bytes, cluster);
  storage::Uuid id;
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

raft::ClusterId ClusterIdOf(const storage::Identity& identity) {
  return base::LoadFixed<uint64_t>(identity.cluster_id.bytes.data());
}

uint64_t DrawId(base::Random* random) {
  uint64_t id = 0;
  while (id == 0) id = random->Next() >> 1;
  return id;
}

std::string EncodeNodeRecord(const NodeRecord& record) {
  std::string bytes(kNodeMagic);
  base::PutFixed32(&bytes, kNodeVersion);
  base::PutFixed32(&bytes, record.begun ? kBegun : 0);
  base::PutFixed64(&bytes, record.node);
  bytes.append(record.database_id.bytes.data(), record.database_id.bytes.size());
  base::PutFixed64(&bytes, record.first.index);
  base::PutFixed64(&bytes, record.first.term);
  base::PutLengthPrefixed(&bytes, record.membership);
  base::PutFixed64(&bytes, base::Hash64(bytes));
  return bytes;
}

absl::StatusOr<NodeRecord> DecodeNodeRecord(std::string_view bytes, std::string_view path) {
  const auto damaged = [path] {
    return base::Error(StatusCode::kDataLoss, "{}: offset 0: not a node's record, or damaged", path);
  };
  if (bytes.size() < kNodeMagic.size() + 16 || !bytes.starts_with(kNodeMagic)) return damaged();
  const std::string_view content = bytes.substr(0, bytes.size() - 8);
  if (base::LoadFixed<uint64_t>(bytes.data() + content.size()) != base::Hash64(content)) return damaged();
  base::ByteReader reader(content.substr(kNodeMagic.size()));
  uint32_t version = 0;
  uint32_t begun = 0;
  std::string_view database_id;
  std::string_view membership;
  NodeRecord record;
  if (!reader.ReadFixed(&version)) return damaged();
  if (version != kNodeVersion) {
    return base::Error(StatusCode::kFailedPrecondition, "{}: written by a newer release", path);
  }
  if (!reader.ReadFixed(&begun) || !reader.ReadFixed(&record.node) ||
      !reader.ReadBytes(record.database_id.bytes.size(), &database_id) || !reader.ReadFixed(&record.first.index) ||
      !reader.ReadFixed(&record.first.term) || !reader.ReadLengthPrefixed(&membership) || !reader.empty()) {
    return damaged();
  }
  std::copy(database_id.begin(), database_id.end(), record.database_id.bytes.begin());
  record.membership.assign(membership);
  record.begun = begun == kBegun;
  raft::Configuration configuration;
  const bool known = membership.empty() || raft::DecodeConfiguration(membership, &configuration);
  if (!known || record.node == raft::kNoNode) return damaged();
  return record;
}

absl::StatusOr<raft::SnapshotMeta> MetaOf(const storage::ReplicaPosition& position) {
  raft::SnapshotMeta meta{.index = position.applied.index, .term = position.applied.term, .configuration = {}};
  if (position.membership.empty()) return meta;
  if (!raft::DecodeConfiguration(position.membership, &meta.configuration)) {
    return base::Error(StatusCode::kDataLoss, "the members at entry {} are damaged", meta.index);
  }
  return meta;
}

NodeDirectory::NodeDirectory(const base::Env& env, std::string dir) : env_(env), dir_(std::move(dir)) {}

absl::StatusOr<std::unique_ptr<NodeDirectory>> NodeDirectory::Open(const base::Env& env, const std::string& dir,
                                                                   bool create) {
  BANDB_ASSIGN_OR_RETURN(std::string path, DirectoryPath(dir));
  std::unique_ptr<NodeDirectory> directory(new NodeDirectory(env, std::move(path)));
  // Once without the lock, so that nothing is made where nothing is to be.
  BANDB_RETURN_IF_ERROR(directory->Look());
  if (directory->content_ == Content::kNothing && !create) {
    return base::Error(StatusCode::kNotFound,
                       "{}: holds no node; say whether a cluster is to be begun (bootstrap) or joined (join)", dir);
  }
  if (directory->content_ == Content::kStandalone && !create) {
    return base::Error(StatusCode::kFailedPrecondition,
                       "{}: holds a standalone database; it is taken over only where that is asked for (bootstrap)",
                       dir);
  }
  BANDB_RETURN_IF_ERROR(directory->MakeGroupDirectory());
  BANDB_RETURN_IF_ERROR(directory->Lock());
  BANDB_RETURN_IF_ERROR(directory->Look());
  // Of an earlier release, or of a creation that was cut short at its end. A full disk keeps no
  // node from starting.
  if (directory->content_ == Content::kNode && !directory->record_.begun) {
    const absl::Status marked = directory->MarkBegun();
    if (!marked.ok() && !absl::IsResourceExhausted(marked)) return marked;
  }
  return directory;
}

absl::Status NodeDirectory::WriteRecord() {
  return base::InstallFile(env_.files, NodePath(dir_), EncodeNodeRecord(record_));
}

absl::Status NodeDirectory::MarkBegun() {
  record_.begun = true;
  return WriteRecord();
}

LogDirectory NodeDirectory::log_directory() const {
  return {.files = env_.files, .path = base::JoinPath(GroupDir(dir_), "log"), .database_id = identity_.database_id};
}

absl::Status NodeDirectory::Look() {
  record_ = {};
  BANDB_ASSIGN_OR_RETURN(const bool has_record, env_.files->Exists(NodePath(dir_)));
  if (has_record) {
    BANDB_ASSIGN_OR_RETURN(const std::string bytes, base::ReadFile(env_.files, NodePath(dir_), kNodeBytesMax));
    BANDB_ASSIGN_OR_RETURN(record_, DecodeNodeRecord(bytes, NodePath(dir_)));
  }
  content_ = Content::kNothing;
  const std::string path = storage::IdentityPath(dir_);
  BANDB_ASSIGN_OR_RETURN(const bool exists, env_.files->Exists(path));
  if (!exists) return MustBeUnfinished();
  BANDB_ASSIGN_OR_RETURN(const std::string bytes, base::ReadFile(env_.files, path, storage::kIdentityBytesMax));
  BANDB_ASSIGN_OR_RETURN(identity_, storage::DecodeIdentity(bytes, path));
  content_ = identity_.IsOfCluster() ? Content::kNode : Content::kStandalone;
  if (content_ == Content::kStandalone) return absl::OkStatus();
  if (!has_record || record_.node != identity_.node_id || !(record_.database_id == identity_.database_id)) {
    return base::Error(StatusCode::kDataLoss, "{}: offset 0: {}, though there is an IDENTITY of node {}",
                       NodePath(dir_), has_record ? "of another node" : "missing", identity_.node_id);
  }
  return absl::OkStatus();
}

absl::Status NodeDirectory::MustBeUnfinished() const {
  const std::string current = storage::CurrentPath(storage::EngineDir(dir_));
  BANDB_ASSIGN_OR_RETURN(const bool has_database, env_.files->Exists(current));
  BANDB_ASSIGN_OR_RETURN(const bool creating, env_.files->Exists(storage::CreatingPath(dir_)));
  if (!has_database || creating) return absl::OkStatus();
  return base::Error(StatusCode::kDataLoss, "{}: offset 0: missing, though there is a database",
                     storage::IdentityPath(dir_));
}

absl::Status NodeDirectory::MakeGroupDirectory() {
  const std::string group = GroupDir(dir_);
  BANDB_RETURN_IF_ERROR(env_.files->CreateDirs(group));
  // The folders on the way may come from a creation that was cut short. One above the node's own
  // that may not be read was not made by us.
  for (std::string path = group; path != base::ParentPath(path);) {
    path = base::ParentPath(path);
    const absl::Status synced = env_.files->SyncDir(path);
    if (path.size() >= dir_.size()) BANDB_RETURN_IF_ERROR(synced);
  }
  return absl::OkStatus();
}

absl::Status NodeDirectory::Lock() {
  BANDB_ASSIGN_OR_RETURN(lock_, env_.files->Lock(NodeLockPath(dir_)));
  lock_->NameOwner();
  return absl::OkStatus();
}

absl::Status NodeDirectory::Bootstrap(const Options& options, const SingleLogOptions& log, const std::string& address) {
  BANDB_ASSERT(content_ != Content::kNode && lock_ != nullptr);
  storage::Identity identity{
      .database_id = {}, .cluster_id = ClusterUuid(DrawId(env_.random)), .node_id = DrawId(env_.random)};
  raft::Configuration configuration = raft::MakeConfiguration({identity.node_id});
  configuration.members.front().address = address;
  NodeRecord record{.node = identity.node_id, .membership = EncodeMembership(configuration)};
  // Open until nobody takes it for a standalone database any more: what somebody else wrote to it
  // meanwhile would be in no table, and nobody could put it there.
  std::unique_ptr<Db> taken_over;
  if (content_ == Content::kStandalone) {
    // What it has in logs of its own must be in tables: a node has none.
    Options existing = options;
    existing.create_if_missing = false;
    BANDB_ASSIGN_OR_RETURN(taken_over, storage::OpenDb(env_, dir_, existing));
    BANDB_RETURN_IF_ERROR(taken_over->Flush());
    identity.database_id = identity_.database_id;
    // Never 0, where a node without anything would begin.
    record.first = {.index = 1, .term = 1};
  } else {
    identity.database_id = storage::RandomUuid(env_.random);
  }
  record.database_id = identity.database_id;
  BANDB_RETURN_IF_ERROR(Begin(options, log, identity, std::move(record)));
  return taken_over == nullptr ? absl::OkStatus() : taken_over->Close();
}

absl::StatusOr<raft::NodeId> NodeDirectory::JoiningId() {
  BANDB_ASSERT(content_ != Content::kNode && lock_ != nullptr);
  if (content_ == Content::kStandalone) {
    return base::Error(StatusCode::kFailedPrecondition,
                       "{}: holds a standalone database, which cannot be brought into a cluster that exists: begin a "
                       "cluster with it (bootstrap), or join with an empty directory",
                       dir_);
  }
  // One of a bootstrap that was cut short has been nobody's either. But the record may be all that
  // is left of a node that has voted and acknowledged: nobody asks under its id again.
  if (record_.node == raft::kNoNode || record_.begun) {
    record_ = {.node = DrawId(env_.random)};
    BANDB_RETURN_IF_ERROR(WriteRecord());
  }
  return record_.node;
}

absl::Status NodeDirectory::Join(const Options& options, const SingleLogOptions& log, raft::ClusterId cluster,
                                 const storage::Uuid& database_id) {
  BANDB_ASSERT(content_ == Content::kNothing && record_.node != raft::kNoNode);
  const storage::Identity identity{
      .database_id = database_id, .cluster_id = ClusterUuid(cluster), .node_id = record_.node};
  return Begin(options, log, identity, {.node = record_.node, .database_id = database_id, .membership = {}});
}

absl::Status NodeDirectory::Begin(const Options& options, const SingleLogOptions& log,
                                  const storage::Identity& identity, NodeRecord record) {
  const bool adopts = content_ == Content::kStandalone;
  record_ = std::move(record);
  BANDB_RETURN_IF_ERROR(WriteRecord());
  identity_ = identity;
  SingleLogOptions mine = log;
  mine.directory = log_directory();
  // What is left of a creation that was cut short: nobody has written to it.
  BANDB_RETURN_IF_ERROR(env_.files->CreateDirs(mine.directory.path));
  BANDB_RETURN_IF_ERROR(RemoveSegments(mine.directory, {1}));
  raft::SnapshotMeta floor{.index = record_.first.index, .term = record_.first.term, .configuration = {}};
  if (!record_.membership.empty()) raft::DecodeConfiguration(record_.membership, &floor.configuration);
  BANDB_RETURN_IF_ERROR(SingleLog::Create(mine, {.term = floor.term, .commit = floor.index}, floor));
  if (adopts) {
    BANDB_RETURN_IF_ERROR(
        base::InstallFile(env_.files, storage::IdentityPath(dir_), storage::EncodeIdentity(identity_)));
    env_.logger->Log(base::LogLevel::kWarning, "{}: the standalone database is taken over by node {} of cluster {}",
                     dir_, identity_.node_id, ClusterIdOf(identity_));
  } else {
    Options fresh = options;
    fresh.create_if_missing = true;
    fresh.error_if_exists = false;
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<storage::EngineReplica> replica,
                           storage::EngineReplica::Open(env_, dir_, fresh, Start()));
    BANDB_RETURN_IF_ERROR(CloseReplica(replica.get(), env_.executor));
  }
  BANDB_RETURN_IF_ERROR(MarkBegun());
  content_ = Content::kNode;
  return absl::OkStatus();
}

storage::ReplicaStart NodeDirectory::Start() const {
  return {.identity = identity_, .applied = record_.first, .membership = record_.membership};
}

absl::StatusOr<std::unique_ptr<storage::EngineReplica>> NodeDirectory::OpenReplica(const Options& options) const {
  BANDB_ASSERT(content_ == Content::kNode);
  Options existing = options;
  existing.create_if_missing = false;
  existing.error_if_exists = false;
  return storage::EngineReplica::Open(env_, dir_, existing, Start());
}

absl::StatusOr<std::unique_ptr<SingleLog>> NodeDirectory::OpenLog(const SingleLogOptions& log,
                                                                  const storage::ReplicaPosition& durable) const {
  BANDB_ASSERT(content_ == Content::kNode);
  SingleLogOptions mine = log;
  mine.directory = log_directory();
  BANDB_ASSIGN_OR_RETURN(const raft::SnapshotMeta state, MetaOf(durable));
  absl::StatusOr<std::unique_ptr<base::FileSystem>> pinned = env_.files->Pin(mine.directory.path);
  if (pinned.ok()) {
    mine.directory.pinned = *std::move(pinned);
    mine.directory.files = mine.directory.pinned.get();
  } else if (pinned.status().code() != StatusCode::kNotFound) {
    return pinned.status();
  }
  absl::StatusOr<std::unique_ptr<SingleLog>> opened = SingleLog::Open(mine, state);
  if (opened.status().code() != StatusCode::kNotFound) return opened;
  // What it had promised is not known any more.
  return base::Error(StatusCode::kDataLoss, "{}: the log is gone; the node has to join again, with an empty directory",
                     mine.directory.path);
}

absl::Status NodeDirectory::MoveToCluster(raft::ClusterId cluster) {
  BANDB_ASSERT(content_ == Content::kNode);
  storage::Identity moved = identity_;
  moved.cluster_id = ClusterUuid(cluster);
  BANDB_RETURN_IF_ERROR(base::InstallFile(env_.files, storage::IdentityPath(dir_), storage::EncodeIdentity(moved)));
  identity_ = moved;
  return absl::OkStatus();
}

absl::Status CloseReplica(storage::EngineReplica* replica, base::Executor* executor) {
  base::Event event;
  absl::Status rest;
  replica->engine().BeginClose([&](absl::Status status) {
    rest = std::move(status);
    event.Set();
  });
  while (!executor->Wait(&event, base::kForever)) {
  }
  const absl::Status finished = replica->engine().FinishClose();
  return rest.ok() ? finished : rest;
}

}  // namespace bandb::cluster
