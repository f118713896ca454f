// Files of a repository: copied and read with their checksums.
#ifndef BANDB_BACKUP_STORED_FILE_H_
#define BANDB_BACKUP_STORED_FILE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backup/description.h"
#include "base/file_system.h"
#include "storage/file/file_header.h"

namespace bandb::backup {

// Asked between pieces: whether to go on. Answers OK, or why not.
using GoOn = std::function<absl::Status()>;

// Copies a file, or its first `bytes_max` bytes, into one that must not exist, and syncs it; says
// what was copied. Durability: the entry needs SyncDir.
absl::StatusOr<StoredBytes> CopyFile(base::FileSystem* from_files, const std::string& from, base::FileSystem* to_files,
                                     const std::string& to, const GoOn& go_on, uint64_t bytes_max = UINT64_MAX);
// Reads a file through.
absl::StatusOr<StoredBytes> ReadThrough(base::FileSystem* files, const std::string& path);
// Errors: kDataLoss it is not what was stored, or not there.
absl::Status CheckStored(const StoredBytes& found, const StoredBytes& stored, const std::string& path);
// For a file that a description names: that it is gone is damage, and not that there is no such
// backup.
absl::Status GoneIsDamage(const absl::Status& status);
// Errors: as DecodeFileHeader, and what the file system says.
absl::StatusOr<storage::FileHeader> ReadHeader(base::FileSystem* files, const std::string& path,
                                               storage::FileType type);

// For who never gives up.
inline absl::Status GoOnAlways() { return absl::OkStatus(); }

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_STORED_FILE_H_
