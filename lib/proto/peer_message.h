// What the nodes of a cluster say to each other, as bytes: one Raft message.
//
//   message  := layout:u8 (1) kind:u8 version:u8 flags:u8
//               group:varint cluster:u64 from:u64 to:u64 term:varint
//               index:varint log_term:varint commit:varint hint:varint hint_term:varint session:varint round:varint
//               body
//   flags    := bit 0 reject, bit 1 force, bit 2 log full; the others are 0
//   body     := count:varint entry*             of an append
//             | index:varint term:varint id:varint configuration[...]           of a snapshot
//             |                                 of all others
//   entry    := kind:u8 version:u8 term:varint index:varint length:varint payload[length]
//
// The entries are of the message's group. A configuration is as raft/types/configuration_codec.h
// has it. `version` is that of the message; a node and its peers agree on one in their handshake
// (AgreeOnVersion), and each sends what the other understands.
#ifndef BANDB_PROTO_PEER_MESSAGE_H_
#define BANDB_PROTO_PEER_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "raft/types/message.h"

namespace bandb::proto {

inline constexpr uint8_t kPeerLayout = 1;
// Entries of one message: more than any core packs into one, so that a count alone says little.
inline constexpr size_t kPeerEntriesMax = 1 << 20;

struct VersionRange {
  uint8_t min = raft::kProtocolVersion;
  uint8_t max = raft::kProtocolVersion;
  friend bool operator==(const VersionRange&, const VersionRange&) = default;
};
// The highest version that both speak; nothing if there is none.
std::optional<uint8_t> AgreeOnVersion(const VersionRange& a, const VersionRange& b);

// Appends the bytes of `message`.
void EncodePeerMessage(const raft::Message& message, std::string* to);

// False, with `*message` unspecified, if the bytes are no message: then they come from no correct
// node. `versions`: those that are accepted. The payloads of entries share one copy of `bytes`.
// Whether the fields make sense together is for the core to see.
bool DecodePeerMessage(std::string_view bytes, const VersionRange& versions, raft::Message* message);

}  // namespace bandb::proto

#endif  // BANDB_PROTO_PEER_MESSAGE_H_
