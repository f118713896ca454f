#include "cluster/member_address.h"

#include "base/assert.h"
#include "base/coding.h"
#include "raft/types/configuration.h"

namespace bandb::cluster {

namespace {

constexpr uint8_t kVersion = 1;

static_assert(1 + 3 * (2 + kMemberPartBytesMax) <= raft::kMemberAddressBytesMax);

}  // namespace

std::string EncodeMemberAddress(const MemberAddress& address) {
  std::string bytes;
  base::PutFixed8(&bytes, kVersion);
  for (const std::string* part : {&address.peer, &address.client, &address.name}) {
    BANDB_ASSERT(part->size() <= kMemberPartBytesMax);
    base::PutLengthPrefixed(&bytes, *part);
  }
  return bytes;
}

bool DecodeMemberAddress(std::string_view bytes, MemberAddress* address) {
  base::ByteReader reader(bytes);
  uint8_t version = 0;
  if (!reader.ReadFixed(&version) || version != kVersion) return false;
  for (std::string* part : {&address->peer, &address->client, &address->name}) {
    std::string_view read;
    if (!reader.ReadLengthPrefixed(&read) || read.size() > kMemberPartBytesMax) return false;
    part->assign(read);
  }
  return reader.empty();
}

}  // namespace bandb::cluster
