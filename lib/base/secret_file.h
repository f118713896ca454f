// Files that not everybody may read or change: users, keys.
#ifndef BANDB_BASE_SECRET_FILE_H_
#define BANDB_BASE_SECRET_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
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

// Reads a secret file, asks what is to be in its place, and replaces it; of those that do so at
// once, each sees what the one before it wrote. A link leads to the file that is changed. A file
// that is not there is made if it may be, and reads as empty. Errors: those of `change`, and then
// nothing is changed; of reading and of writing it.
absl::Status ChangeSecretFile(FileSystem* files, const std::string& path, uint64_t bytes_max, bool may_be_absent,
                              absl::FunctionRef<absl::StatusOr<std::string>(std::string_view old)> change);

}  // namespace bandb::base

#endif  // BANDB_BASE_SECRET_FILE_H_
