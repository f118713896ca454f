// Which file or directory a path leads to: names may be taken by others, identities are not while
// the file exists.
#ifndef BANDB_BASE_FILE_IDENTITY_H_
#define BANDB_BASE_FILE_IDENTITY_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace bandb::base {

struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  bool operator==(const FileIdentity&) const = default;
};

// Follows symbolic links. Errors: as FileSystem; kNotFound also if a part of the path is not a
// directory.
absl::StatusOr<FileIdentity> IdentityOf(const std::string& path);

}  // namespace bandb::base

#endif  // BANDB_BASE_FILE_IDENTITY_H_
