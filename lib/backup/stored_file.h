// Files of a repository: copied and read with their checksums.
#ifndef BANDB_BACKUP_STORED_FILE_H_
#define BANDB_BACKUP_STORED_FILE_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backup/description.h"
#include "base/file_system.h"

namespace bandb::backup {

// Asked between pieces: whether to go on. Answers OK, or why not.
using GoOn = std::function<absl::Status()>;

// Copies a file into one that must not exist, and syncs it; says what was copied. Durability: the
// entry needs SyncDir.
absl::StatusOr<StoredBytes> CopyFile(base::FileSystem* from_files, const std::string& from, base::FileSystem* to_files,
                                     const std::string& to, const GoOn& go_on);
// Reads a file through.
absl::StatusOr<StoredBytes> ReadThrough(base::FileSystem* files, const std::string& path);
// Errors: kDataLoss it is not what was stored, or not there.
absl::Status CheckStored(const StoredBytes& found, const StoredBytes& stored, const std::string& path);

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_STORED_FILE_H_
