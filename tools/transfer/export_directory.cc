#include "transfer/export_directory.h"

#include <utility>
#include <vector>

#include "base/status.h"

namespace bandb::transfer {

absl::Status MakeExportDirectory(base::FileSystem* files, const std::string& directory) {
  // Entries of new directories need a sync of each parent.
  std::vector<std::string> parents;
  for (std::string path = directory;;) {
    BANDB_ASSIGN_OR_RETURN(const bool exists, files->Exists(path));
    std::string parent = base::ParentPath(path);
    if (exists || parent == path) break;
    parents.push_back(parent);
    path = std::move(parent);
  }
  if (parents.empty()) return absl::OkStatus();
  BANDB_RETURN_IF_ERROR(files->CreateDirs(directory));
  for (const std::string& parent : parents) BANDB_RETURN_IF_ERROR(files->SyncDir(parent));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<base::FileLock>> LockExport(base::FileSystem* files, const std::string& directory) {
  absl::StatusOr<std::unique_ptr<base::FileLock>> lock = files->Lock(base::JoinPath(directory, kExportLockName));
  if (absl::IsFailedPrecondition(lock.status())) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: another export is writing here", directory);
  }
  return lock;
}

}  // namespace bandb::transfer
