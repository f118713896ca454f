// Who may be a peer: what a node says of itself to others, and how it judges what they say.
//
// Refusals are for the people who set a cluster up: each names what is wrong, and who said so.
#ifndef BANDB_CLUSTER_PEER_HANDSHAKE_H_
#define BANDB_CLUSTER_PEER_HANDSHAKE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "proto/peer_hello.h"
#include "raft/types/ids.h"

namespace bandb::cluster {

// A node, as others are told of it.
struct PeerSelf {
  raft::ClusterId cluster = 0;  // 0: of none, yet; such a node can only ask to be let in
  raft::NodeId node = raft::kNoNode;
  // Drawn at each start, so that two processes on copies of one directory are told apart.
  uint64_t incarnation = 0;
  proto::VersionRange versions;
  // The highest of entries (entry_payload.h) that it understands; 0: it does not say.
  uint8_t entry_version = 0;
};

// `expected`: kNoNode when this side was called, or takes any node that answers.
proto::PeerHello MakeHello(const PeerSelf& self, proto::HelloKind kind, proto::LinkClass link_class,
                           raft::NodeId expected);

// Whether to talk to the caller that says this. Errors: kFailedPrecondition.
absl::Status CheckCaller(const PeerSelf& self, const proto::PeerHello& hello);
// Whether the side that answers is the node that was called. Errors: kFailedPrecondition.
absl::Status CheckCalled(const PeerSelf& self, raft::NodeId expected, const proto::PeerHello& hello);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_PEER_HANDSHAKE_H_
