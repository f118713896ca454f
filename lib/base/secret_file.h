// Files that not everybody may read or change: users, keys.
#ifndef BANDB_BASE_SECRET_FILE_H_
#define BANDB_BASE_SECRET_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"

namespace bandb::base {

// The whole file. Errors: kPermissionDenied others than its owner may change it, or others than its
// owner and its group may read it · kInvalidArgument it is larger than `bytes_max`, or no file; and
// of reading it.
absl::StatusOr<std::string> ReadSecretFile(const std::string& path, uint64_t bytes_max);

// Puts a file that its owner alone may read and change in the place of what is there. Durability:
// when it returns OK the file survives power loss; at any moment the old one or the new one is
// there, whole. Errors: of writing it.
absl::Status ReplaceSecretFile(FileSystem* files, const std::string& path, std::string_view bytes);

}  // namespace bandb::base

#endif  // BANDB_BASE_SECRET_FILE_H_
