// What nodes of a cluster say to each other besides Raft: what only the leader can do, asked of it
// by the others; and what a node says that wants to be let in.
//
//   frame 64, writes   := count:varint command*              of entry_payload.h, operations as in a batch
//   frame 65, refused  := code:varint message count:varint (session:varint number:varint)*
//   frame 66, ask      := number:varint kind:u8 node:varint other:varint address
//   frame 67, answer   := number:varint code:varint message
//   frame 68, removed  :=                                    nothing: who is told is no member any more
//   frame 69, cursors  := count:varint command*              as frame 64, of commands that change cursors
//   frame 70, clock    := count:varint command*              as frame 64, of commands that accept clocks
//   join request       := version:u8 (1) node:varint kind:u8 address replaces
//                         kind 0: as a voter, 1: as a learner, 2: it was let in, and says where it is
//   join answer        := version:u8 (1) code:varint message database_id
//
// Texts and bytes are length:varint bytes[length]. What the writes come to is not said: who sent
// them sees them applied, by session and number.
#ifndef BANDB_CLUSTER_NODE_WORDS_H_
#define BANDB_CLUSTER_NODE_WORDS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "cluster/entry_payload.h"
#include "cluster/peer_protocol.h"
#include "raft/event.h"

namespace bandb::cluster {

enum class NodeFrame : uint32_t {
  kWrites = kFirstNodeFrame,
  kRefused = kFirstNodeFrame + 1,
  kAsk = kFirstNodeFrame + 2,
  kAnswer = kFirstNodeFrame + 3,
  kRemoved = kFirstNodeFrame + 4,
  kCursors = kFirstNodeFrame + 5,
  kAcceptClock = kFirstNodeFrame + 6,
};

// A change of membership, or a transfer of leadership to `change.node`.
struct NodeAsk {
  uint64_t number = 0;  // of the asker's questions
  bool transfer = false;
  raft::Change change{};
};
struct NodeAnswer {
  uint64_t number = 0;
  absl::Status status{};
};
struct RefusedWrites {
  absl::Status status{};
  std::vector<std::pair<uint64_t, uint64_t>> writes;  // session and number
};
struct JoinRequest {
  raft::NodeId node = raft::kNoNode;
  bool learner = false;
  // It was let in before, and only says where it is.
  bool known = false;
  std::string address{};
  std::string replaces{};
};
struct JoinAnswer {
  absl::Status status{};
  std::string database_id;
};

std::string EncodeWrites(const std::vector<Command>& commands);
// The views point into the bytes. As all that follow: false if they are malformed.
bool DecodeWrites(std::string_view bytes, std::vector<Command>* commands);
std::string EncodeRefused(const RefusedWrites& refused);
bool DecodeRefused(std::string_view bytes, RefusedWrites* refused);
std::string EncodeAsk(const NodeAsk& ask);
bool DecodeAsk(std::string_view bytes, NodeAsk* ask);
std::string EncodeAnswer(const NodeAnswer& answer);
bool DecodeAnswer(std::string_view bytes, NodeAnswer* answer);
std::string EncodeJoinRequest(const JoinRequest& request);
bool DecodeJoinRequest(std::string_view bytes, JoinRequest* request);
std::string EncodeJoinAnswer(const JoinAnswer& answer);
bool DecodeJoinAnswer(std::string_view bytes, JoinAnswer* answer);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_NODE_WORDS_H_
