// What a member says of itself in the configuration: where its peers and clients reach it, and its
// name. Opaque to the core, as raft::Member::address.
//
//   address := version:u8 (1) (length:varint bytes[length]){3}        peer, client, name
#ifndef BANDB_CLUSTER_MEMBER_ADDRESS_H_
#define BANDB_CLUSTER_MEMBER_ADDRESS_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace bandb::cluster {

// Of each part; the three of them and their lengths fit into what a configuration keeps.
inline constexpr size_t kMemberPartBytesMax = 320;

struct MemberAddress {
  std::string peer;    // HOST:PORT; empty: it listens to no peer
  std::string client;  // HOST:PORT, or empty
  std::string name;    // for people

  friend bool operator==(const MemberAddress&, const MemberAddress&) = default;
};

// No part is longer than kMemberPartBytesMax.
std::string EncodeMemberAddress(const MemberAddress& address);
// False if the bytes are none, or of a version that this program does not know.
bool DecodeMemberAddress(std::string_view bytes, MemberAddress* address);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_MEMBER_ADDRESS_H_
