// The frames that nodes of a cluster send over their links: docs/peer-protocol.md.
#ifndef BANDB_CLUSTER_PEER_PROTOCOL_H_
#define BANDB_CLUSTER_PEER_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "net/frame_link.h"
#include "net/link_codec.h"
#include "proto/frame.h"

namespace bandb::cluster {

// The message ids of frames; those of the handshake are the link's own.
enum class PeerFrame : uint32_t {
  kMessage = net::kFirstLinkMessage,  // a Raft message, proto/peer_message.h
  kPing = 17,                         // nothing, but that the sender lives
  kJoinRequest = 18,                  // of a node that asks to be let in: bytes of the node
  kJoinAnswer = 19,                   // likewise
  // snapshot_frames.h
  kSnapshotBegin = 32,
  kSnapshotHead = 33,
  kSnapshotWanted = 34,
  kSnapshotChunk = 35,
  kSnapshotTaken = 36,
  kSnapshotDone = 37,
  kSnapshotStopped = 38,
};

constexpr uint32_t FrameId(PeerFrame frame) { return static_cast<uint32_t>(frame); }
// From here on frames mean what the node says.
inline constexpr uint32_t kFirstNodeFrame = 64;

// Of any frame's payload.
inline constexpr size_t kPeerPayloadBytesMax = proto::kFrameBytesHardMax;
// Of what a stranger that asks to be let in may say, and is answered.
inline constexpr size_t kJoinBytesMax = 64 << 10;

// Frames as proto/frame.h has them. Thread safety: any thread.
class PeerProtocol final : public net::LinkProtocol {
 public:
  std::unique_ptr<net::LinkCodec> NewCodec() const override;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_PEER_PROTOCOL_H_
