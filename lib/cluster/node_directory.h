// The directory of a node: found, begun or taken over, and known to be ours before anything in it
// is changed.
//
//   DIR/IDENTITY           database, cluster and node (storage/file/identity.h); says that all the rest is there
//   DIR/groups/0/NODE      where the node's own log began, and under which id it asks to be let in
//   DIR/groups/0/LOCK      held while the node has the directory
//   DIR/groups/0/db        the engine's
//   DIR/groups/0/log       the log's
//
//   node := magic:8 bytes version:u32 begun:u32 node_id:u64 database_id:16 bytes first_index:u64 first_term:u64
//           length:varint membership[length] checksum:u64
//
// A node comes into being in this order, each step durable before the next: NODE, the log, the
// engine's files, IDENTITY, NODE with `begun` 1, where earlier releases have 0. Where IDENTITY
// names no cluster nothing was ever acknowledged by a node, and what there is of one is begun
// again; where it does, a part that is missing is damage. A standalone database that is taken over
// has an IDENTITY before: it is flushed first, and its IDENTITY is replaced last, so that it is a
// whole standalone database until it is a whole node.
//
// The id that a joining node has drawn is kept before it asks: if it dies while the answer is on
// its way, it asks again as the same member. It does not once it has begun: where nothing but NODE
// is left of a node, what it has promised is not known.
#ifndef BANDB_CLUSTER_NODE_DIRECTORY_H_
#define BANDB_CLUSTER_NODE_DIRECTORY_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/options.h"
#include "base/env.h"
#include "cluster/single_log.h"
#include "raft/types/configuration.h"
#include "raft/types/durable_state.h"
#include "raft/types/ids.h"
#include "storage/engine/engine_replica.h"
#include "storage/file/identity.h"

namespace bandb::cluster {

// The cluster's id as an identity holds it, and back.
storage::Uuid ClusterUuid(raft::ClusterId cluster);
raft::ClusterId ClusterIdOf(const storage::Identity& identity);
// A new cluster or node: 63 bits, so that they are numbers everywhere, and never 0.
uint64_t DrawId(base::Random* random);

// What the NODE file says.
struct NodeRecord {
  raft::NodeId node = raft::kNoNode;
  storage::Uuid database_id{};  // of no bits until it is known
  storage::AppliedPosition first{};
  std::string membership{};  // an encoded configuration; empty for a node that joined
  // All else was there, so that the node may have voted and acknowledged.
  bool begun = false;

  friend bool operator==(const NodeRecord& a, const NodeRecord& b) {
    return a.node == b.node && a.database_id == b.database_id && a.first.index == b.first.index &&
           a.first.term == b.first.term && a.membership == b.membership && a.begun == b.begun;
  }
};
std::string EncodeNodeRecord(const NodeRecord& record);
// Errors: kDataLoss damaged; kFailedPrecondition a newer format.
absl::StatusOr<NodeRecord> DecodeNodeRecord(std::string_view bytes, std::string_view path);

// Waits for the disk. Thread safety: one thread at a time. The lock is held as long as it lives.
class NodeDirectory {
 public:
  enum class Content : uint8_t {
    kNothing,     // or what is left of a creation
    kStandalone,  // a database of no cluster
    kNode,
  };

  // Looks, and locks what is there or, with `create`, is to be. Lifetime: `env` is borrowed.
  // Errors: kFailedPrecondition in use, or of a newer format; kDataLoss a part is missing or
  // damaged; kNotFound nothing is there, and not `create`; kInvalidArgument the path is empty; what
  // the file system says.
  static absl::StatusOr<std::unique_ptr<NodeDirectory>> Open(const base::Env& env, const std::string& dir, bool create);

  Content content() const { return content_; }
  const std::string& path() const { return dir_; }
  LogDirectory log_directory() const;

  // Of what is no node yet: makes it the only member of a new cluster, with this address. A
  // standalone database is opened and flushed with these options first. Errors: as Db::Open; what
  // the file system says. What went wrong may be tried again.
  absl::Status Bootstrap(const Options& options, const SingleLogOptions& log, const std::string& address);
  // The id under which a node that is none yet asks to be let in: the same each time, and never
  // that of a node that was begun here. Errors: kFailedPrecondition a standalone database is here,
  // which a member of another cluster cannot bring along.
  absl::StatusOr<raft::NodeId> JoiningId();
  // After that: it was let in to this cluster.
  absl::Status Join(const Options& options, const SingleLogOptions& log, raft::ClusterId cluster,
                    const storage::Uuid& database_id);

  // Of a node from here on.
  const storage::Identity& identity() const { return identity_; }
  // Errors: as EngineReplica::Open.
  absl::StatusOr<std::unique_ptr<storage::EngineReplica>> OpenReplica(const Options& options) const;
  // Errors: as SingleLog::Open; kDataLoss there is no log.
  absl::StatusOr<std::unique_ptr<SingleLog>> OpenLog(const SingleLogOptions& log,
                                                     const storage::ReplicaPosition& durable) const;
  // Gives the lock back. Nothing is changed here after that.
  void Unlock() { lock_.reset(); }
  // Gives the node to another cluster, one that the survivors of a lost quorum form.
  absl::Status MoveToCluster(raft::ClusterId cluster);

 private:
  NodeDirectory(const base::Env& env, std::string dir);

  absl::Status Look();
  absl::Status WriteRecord();
  // Before the node does anything: its id is no other directory's from now on.
  absl::Status MarkBegun();
  // Without an IDENTITY: whether nothing was ever acknowledged here.
  absl::Status MustBeUnfinished() const;
  absl::Status MakeGroupDirectory();
  absl::Status Lock();
  absl::Status Begin(const Options& options, const SingleLogOptions& log, const storage::Identity& identity,
                     NodeRecord record);
  storage::ReplicaStart Start() const;

  const base::Env env_;
  const std::string dir_;
  Content content_ = Content::kNothing;
  storage::Identity identity_;
  NodeRecord record_;
  std::unique_ptr<base::FileLock> lock_;
};

// What a position says of the state machine, as the log and the core take it. Errors: kDataLoss its
// membership is no configuration.
absl::StatusOr<raft::SnapshotMeta> MetaOf(const storage::ReplicaPosition& position);

// Waits until nothing runs on behalf of the engine, and closes it. Not from a task or step.
absl::Status CloseReplica(storage::EngineReplica* replica, base::Executor* executor);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_NODE_DIRECTORY_H_
