// The directory that an export writes into: made durably, and one export's at a time.
#ifndef BANDB_TOOLS_TRANSFER_EXPORT_DIRECTORY_H_
#define BANDB_TOOLS_TRANSFER_EXPORT_DIRECTORY_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"

namespace bandb::transfer {

// Goes away with the end of the export; one that was killed leaves it.
inline constexpr std::string_view kExportLockName = "export.lock";

// Makes the directory and what is missing above it, unless it is there. Durability: its name
// survives power loss when it returns OK.
absl::Status MakeExportDirectory(base::FileSystem* files, const std::string& directory);
// The directory is nobody else's while the lock lives. Errors: kFailedPrecondition another export
// has it.
absl::StatusOr<std::unique_ptr<base::FileLock>> LockExport(base::FileSystem* files, const std::string& directory);

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_EXPORT_DIRECTORY_H_
