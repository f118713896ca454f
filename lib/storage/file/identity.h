// Which database, cluster and node a directory belongs to: the file IDENTITY.
//
//   identity := magic:8 bytes format_version:u32 reserved:u32 database_id:16 cluster_id:16 node_id:u64 checksum:u64
#ifndef BANDB_STORAGE_FILE_IDENTITY_H_
#define BANDB_STORAGE_FILE_IDENTITY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/file/file_header.h"

namespace bandb::storage {

// No more of the file is read.
constexpr size_t kIdentityBytesMax = 4096;

// A standalone database belongs to no cluster.
struct Identity {
  Uuid database_id;
  Uuid cluster_id{};
  uint64_t node_id = 0;

  bool IsOfCluster() const { return !(cluster_id == Uuid()) || node_id != 0; }
  friend bool operator==(const Identity&, const Identity&) = default;
};

// The bytes of the file. Errors: kDataLoss damaged; kFailedPrecondition newer format.
std::string EncodeIdentity(const Identity& identity);
absl::StatusOr<Identity> DecodeIdentity(std::string_view bytes, std::string_view path);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_FILE_IDENTITY_H_
