#include "proto/peer_hello.h"

#include "base/coding.h"

namespace bandb::proto {

namespace {

constexpr std::string_view kMagic = "BanPeer\n";

}  // namespace

std::string EncodePeerHello(const PeerHello& hello) {
  std::string bytes(kMagic);
  base::PutFixed8(&bytes, static_cast<uint8_t>(hello.kind));
  base::PutFixed8(&bytes, static_cast<uint8_t>(hello.link_class));
  base::PutFixed8(&bytes, hello.versions.min);
  base::PutFixed8(&bytes, hello.versions.max);
  for (const uint64_t number : {hello.cluster, hello.node, hello.expected, hello.incarnation}) {
    base::PutFixed64(&bytes, number);
  }
  if (hello.entry_version != 0) base::PutFixed8(&bytes, hello.entry_version);
  return bytes;
}

bool DecodePeerHello(std::string_view bytes, PeerHello* hello) {
  base::ByteReader reader(bytes);
  std::string_view magic;
  uint8_t kind = 0, link_class = 0;
  if (!reader.ReadBytes(kMagic.size(), &magic) || magic != kMagic || !reader.ReadFixed(&kind) ||
      !reader.ReadFixed(&link_class) || !reader.ReadFixed(&hello->versions.min) ||
      !reader.ReadFixed(&hello->versions.max)) {
    return false;
  }
  for (uint64_t* const number : {&hello->cluster, &hello->node, &hello->expected, &hello->incarnation}) {
    if (!reader.ReadFixed(number)) return false;
  }
  if (!reader.ReadFixed(&hello->entry_version)) hello->entry_version = 0;
  if (kind != static_cast<uint8_t>(HelloKind::kMember) && kind != static_cast<uint8_t>(HelloKind::kJoin)) return false;
  if (link_class >= kLinkClasses || hello->versions.min > hello->versions.max) return false;
  hello->kind = static_cast<HelloKind>(kind);
  hello->link_class = static_cast<LinkClass>(link_class);
  return true;
}

}  // namespace bandb::proto
