#include "storage/file/identity.h"

#include <cstring>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "base/status.h"

namespace bandb::storage {

namespace {

constexpr std::string_view kIdentityMagic = "BanDBidn";
constexpr uint32_t kIdentityVersion = 1;
constexpr size_t kIdentityBytes = 8 + 4 + 4 + 16 + 16 + 8 + 8;

}  // namespace

std::string EncodeIdentity(const Identity& identity) {
  std::string bytes(kIdentityMagic);
  base::PutFixed32(&bytes, kIdentityVersion);
  base::PutFixed32(&bytes, 0);
  bytes.append(identity.database_id.bytes.data(), identity.database_id.bytes.size());
  bytes.append(identity.cluster_id.bytes.data(), identity.cluster_id.bytes.size());
  base::PutFixed64(&bytes, identity.node_id);
  base::PutFixed64(&bytes, base::Hash64(bytes));
  BANDB_ASSERT(bytes.size() == kIdentityBytes);
  return bytes;
}

absl::StatusOr<Identity> DecodeIdentity(std::string_view bytes, std::string_view path) {
  const bool shaped = bytes.size() == kIdentityBytes && bytes.substr(0, kIdentityMagic.size()) == kIdentityMagic;
  if (!shaped || base::LoadFixed<uint64_t>(bytes.data() + kIdentityBytes - 8) !=
                     base::Hash64(bytes.substr(0, kIdentityBytes - 8))) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: not an identity file, or damaged", path);
  }
  if (base::LoadFixed<uint32_t>(bytes.data() + kIdentityMagic.size()) != kIdentityVersion) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: written by a newer release", path);
  }
  Identity identity;
  std::memcpy(identity.database_id.bytes.data(), bytes.data() + 16, 16);
  std::memcpy(identity.cluster_id.bytes.data(), bytes.data() + 32, 16);
  identity.node_id = base::LoadFixed<uint64_t>(bytes.data() + 48);
  return identity;
}

}  // namespace bandb::storage
