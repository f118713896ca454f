// What two nodes of a cluster tell each other before anything else, as bytes.
//
//   hello := magic:8 bytes "BanPeer\n"
//            kind:u8            1 a member, 2 a node that asks to be let in
//            class:u8           what the link is for: 0 prompt, 1 bulk
//            version_min:u8 version_max:u8     of messages, see peer_message.h
//            cluster:u64        0: of none, yet
//            node:u64           the node that says this
//            expected:u64       which node it takes the other side for; 0: any
//            incarnation:u64    drawn at each start of the node
//            entry_version:u8   the highest of entries' payloads that it understands
//            bytes              of later versions, ignored
//
// Every version must be able to read the first 44 bytes of every other, or it could not say why it
// refuses it. What comes after that may be missing, of a node of an earlier release.
#ifndef BANDB_PROTO_PEER_HELLO_H_
#define BANDB_PROTO_PEER_HELLO_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/peer_message.h"

namespace bandb::proto {

enum class HelloKind : uint8_t { kMember = 1, kJoin = 2 };

// Two links lead to each peer, so that nothing large holds up what is urgent.
enum class LinkClass : uint8_t {
  kPrompt = 0,  // heartbeats, votes, answers
  kBulk = 1,    // entries and snapshots
};
inline constexpr int kLinkClasses = 2;

struct PeerHello {
  HelloKind kind = HelloKind::kMember;
  LinkClass link_class = LinkClass::kPrompt;
  VersionRange versions;
  uint64_t cluster = 0;
  uint64_t node = 0;
  uint64_t expected = 0;
  uint64_t incarnation = 0;
  uint8_t entry_version = 0;  // 0: it does not say
  friend bool operator==(const PeerHello&, const PeerHello&) = default;
};

std::string EncodePeerHello(const PeerHello& hello);
// False, with `*hello` unspecified, if the bytes are none.
bool DecodePeerHello(std::string_view bytes, PeerHello* hello);

}  // namespace bandb::proto

#endif  // BANDB_PROTO_PEER_HELLO_H_
