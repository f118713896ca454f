#include "cluster/peer_handshake.h"

#include "base/status.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

absl::Status CheckOther(const PeerSelf& self, const proto::PeerHello& hello) {
  if (hello.node == raft::kNoNode) return base::Error(StatusCode::kFailedPrecondition, "a node without an id");
  if (!proto::AgreeOnVersion(self.versions, hello.versions).has_value()) {
    return base::Error(StatusCode::kFailedPrecondition,
                       "no version of the protocol in common: node {:x} speaks {} to {}, node {:x} {} to {}", self.node,
                       self.versions.min, self.versions.max, hello.node, hello.versions.min, hello.versions.max);
  }
  const bool has_none = self.cluster == 0 || (hello.kind == proto::HelloKind::kJoin && hello.cluster == 0);
  if (!has_none && hello.cluster != self.cluster) {
    return base::Error(StatusCode::kFailedPrecondition, "another cluster: node {:x} is of {:x}, node {:x} of {:x}",
                       self.node, self.cluster, hello.node, hello.cluster);
  }
  if (hello.node != self.node) return absl::OkStatus();
  if (hello.incarnation == self.incarnation) {
    return base::Error(StatusCode::kFailedPrecondition, "node {:x} has called itself: the address is its own",
                       self.node);
  }
  return base::Error(StatusCode::kFailedPrecondition,
                     "both sides are node {:x}: is one directory a copy of the other's?", self.node);
}

}  // namespace

proto::PeerHello MakeHello(const PeerSelf& self, proto::HelloKind kind, proto::LinkClass link_class,
                           raft::NodeId expected) {
  return {.kind = kind,
          .link_class = link_class,
          .versions = self.versions,
          .cluster = self.cluster,
          .node = self.node,
          .expected = expected,
          .incarnation = self.incarnation,
          .entry_version = self.entry_version};
}

absl::Status CheckCaller(const PeerSelf& self, const proto::PeerHello& hello) {
  if (self.cluster == 0) {
    return base::Error(StatusCode::kFailedPrecondition, "node {:x} is of no cluster, yet", self.node);
  }
  BANDB_RETURN_IF_ERROR(CheckOther(self, hello));
  if (hello.expected == raft::kNoNode || hello.expected == self.node) return absl::OkStatus();
  return base::Error(StatusCode::kFailedPrecondition, "this is node {:x}, and not {:x}", self.node, hello.expected);
}

absl::Status CheckCalled(const PeerSelf& self, raft::NodeId expected, const proto::PeerHello& hello) {
  BANDB_RETURN_IF_ERROR(CheckOther(self, hello));
  if (expected == raft::kNoNode || hello.node == expected) return absl::OkStatus();
  return base::Error(StatusCode::kFailedPrecondition, "node {:x} answers there, and not {:x}", hello.node, expected);
}

}  // namespace bandb::cluster
