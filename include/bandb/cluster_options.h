// What can be set of a cluster's node, with its default, unit and effect; and what a node tells the
// application as it happens.
#ifndef BANDB_CLUSTER_OPTIONS_H_
#define BANDB_CLUSTER_OPTIONS_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "bandb/options.h"
#include "bandb/peer_tls.h"

namespace bandb {

// Implemented by the application. Every method does nothing by default.
// Thread safety: called from the thread that runs the callbacks of the store, one at a time, with
// no lock of BanDB held; see WriteCallback for what an implementation may do. What it throws is
// dropped, counted and logged.
class ClusterListener {
 public:
  virtual ~ClusterListener() = default;
  // Another node leads, as far as this one knows; 0: nobody. `self`: it is this node.
  virtual void OnLeaderChanged(uint64_t /*term*/, uint64_t /*leader*/, bool /*self*/) {}
  // Another set of members is agreed on; Cluster::GetStatus has them.
  virtual void OnMembersChanged(uint64_t /*version*/) {}
  // This node belongs to the cluster no more. It answers kFailedPrecondition from now on.
  virtual void OnRemoved() {}
  // This node is out of service: its own disk failed, or holds what it should not. Stop it and
  // restart it.
  virtual void OnFailed(const absl::Status&) {}
};

// How to start a node.
struct ClusterOptions {
  // Where the node keeps all that it has. Of this node alone; never a copy of another's.
  std::filesystem::path dir;
  // Of the database in it. `create_if_missing` and `error_if_exists` are not heeded; what members
  // would do by themselves to different ends is refused: compaction_filter, CompactionStyle::kFifo.
  Options storage;

  // What becomes of a directory that belongs to no cluster; one that does needs neither, and heeds
  // neither. A cluster is begun, with this node as its only member. A database that a Db has made
  // is taken over with all that it holds. Default: no.
  bool bootstrap = false;
  // Peer addresses of members, HOST:PORT: they are asked, one after the other and again, to let
  // this node in. It takes part as a learner, then votes. Not heeded by what is a node already.
  std::vector<std::string> join;
  // With `join`: a member, by name, peer address or id, whose place this node takes once it has
  // caught up.
  std::string replaces;
  // With `join`: it stays a learner, and is no part of any majority. Default: no.
  bool join_as_learner = false;

  // Where to listen for peers, HOST:PORT; port 0 takes a free one. Empty: it listens to nobody, and
  // is the only member there can be.
  std::string listen;
  // What others dial. Default: what it listens on, unless that is every address of the machine.
  std::string advertise;
  // Where clients reach this node, for others to tell them. May be empty.
  std::string client_address;
  // For people: in lists, messages and logs. Default: the peer address.
  std::string name;
  // All that nodes say to each other goes over TLS then, which each of them has to show a
  // certificate for. All have it or none: a node with it and one without have no connection. Null,
  // the default: anyone who reaches the port is believed.
  std::shared_ptr<PeerTls> tls;

  // A follower that has heard nothing of a leader for one to two of these stands for election. 50
  // ms to 1 min; default 1 s.
  absl::Duration election_timeout = absl::Seconds(1);
  // How often a leader is heard where there is nothing to say. At most a third of the election
  // timeout; default 100 ms.
  absl::Duration heartbeat_interval = absl::Milliseconds(100);
  // 0 to 10, default 10: of nodes that might lead, the one with the highest usually does.
  int priority = 10;
  // Whether the leader serves reads without asking anybody, as long as a majority has just been
  // heard: those with Consistency::kLease and, for now, those with kLinearizable, too. Assumes
  // clocks that drift by at most one percent and count the time in which a machine is suspended.
  // Default: no, and each of them costs a share of a round.
  bool lease_reads = false;

  // Size of one file of the log, in bytes. 8 MiB to 512 MiB; default 64 MiB. A quarter of it may be
  // on its way to being agreed on.
  uint64_t log_file_bytes = 64ull << 20;
  // How much of the log is kept for members that are away for a while, in bytes; one that misses
  // more is given the whole database again. Default 64 MiB.
  uint64_t log_retained_bytes = 64ull << 20;

  // Told who leads and who belongs. May be null. Lifetime: must outlive the node.
  ClusterListener* listener = nullptr;
};

}  // namespace bandb

#endif  // BANDB_CLUSTER_OPTIONS_H_
