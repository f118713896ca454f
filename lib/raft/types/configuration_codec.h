// The bytes of a Configuration: in log entries, in snapshots and in messages.
//
//   configuration := format:u8 (1)  flags:u8 (bit 0: auto leave)  version:varint  index:varint  count:varint  member*
//   member        := id:varint  flags:u8  [replaces:varint, if promote]  address:varint-length-prefixed
//   flags         := bit 0 voter, bit 1 outgoing, bit 2 learner, bit 3 promote; the others are 0
//
// A decoder accepts exactly what IsValid() accepts, and nothing after the last member.
#ifndef BANDB_RAFT_TYPES_CONFIGURATION_CODEC_H_
#define BANDB_RAFT_TYPES_CONFIGURATION_CODEC_H_

#include <string>
#include <string_view>

#include "base/coding.h"
#include "raft/types/configuration.h"

namespace bandb::raft {

inline constexpr uint8_t kConfigurationFormat = 1;

// Appends the encoding of `configuration` to `to`.
inline void EncodeConfiguration(const Configuration& configuration, std::string* to) {
  base::PutFixed8(to, kConfigurationFormat);
  base::PutFixed8(to, configuration.auto_leave ? 1 : 0);
  base::PutVarint(to, configuration.version);
  base::PutVarint(to, configuration.index);
  base::PutVarint(to, configuration.members.size());
  for (const Member& m : configuration.members) {
    base::PutVarint(to, m.id);
    base::PutFixed8(
        to, static_cast<uint8_t>((m.voter ? 1 : 0) | (m.outgoing ? 2 : 0) | (m.learner ? 4 : 0) | (m.promote ? 8 : 0)));
    if (m.promote) base::PutVarint(to, m.replaces);
    base::PutLengthPrefixed(to, m.address);
  }
}

// Reads one member; false if the bytes are not one.
inline bool DecodeMember(base::ByteReader* reader, Member* member) {
  uint8_t flags = 0;
  std::string_view address;
  if (!reader->ReadVarint(&member->id) || !reader->ReadFixed(&flags) || flags > 15) return false;
  member->voter = (flags & 1) != 0;
  member->outgoing = (flags & 2) != 0;
  member->learner = (flags & 4) != 0;
  member->promote = (flags & 8) != 0;
  if (member->promote && !reader->ReadVarint(&member->replaces)) return false;
  if (!reader->ReadLengthPrefixed(&address) || address.size() > kMemberAddressBytesMax) return false;
  member->address.assign(address);
  return true;
}

// Reads a whole configuration from `bytes`; false, with `*configuration` unspecified, if they are
// not a valid one. The empty configuration, which a node has before it joins, is valid here if
// `allow_empty`.
inline bool DecodeConfiguration(std::string_view bytes, Configuration* configuration, bool allow_empty = false) {
  base::ByteReader reader(bytes);
  uint8_t format = 0;
  uint8_t flags = 0;
  uint64_t count = 0;
  if (!reader.ReadFixed(&format) || format != kConfigurationFormat || !reader.ReadFixed(&flags) || flags > 1)
    return false;
  if (!reader.ReadVarint(&configuration->version) || !reader.ReadVarint(&configuration->index)) return false;
  if (!reader.ReadVarint(&count) || count > kMembersMax) return false;
  configuration->auto_leave = flags != 0;
  configuration->members.clear();
  for (uint64_t i = 0; i < count; ++i) {
    if (!DecodeMember(&reader, &configuration->members.emplace_back())) return false;
  }
  if (!reader.empty()) return false;
  return (allow_empty && count == 0 && !configuration->auto_leave) || IsValid(*configuration);
}

}  // namespace bandb::raft

#endif  // BANDB_RAFT_TYPES_CONFIGURATION_CODEC_H_
