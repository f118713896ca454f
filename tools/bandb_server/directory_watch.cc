#include "directory_watch.h"

#include <utility>

#include "base/file_system.h"
#include "base/status.h"

namespace bandb::server_program {

namespace {

absl::Status Compare(const std::string& path, const absl::StatusOr<base::FileIdentity>& expected) {
  const absl::StatusOr<base::FileIdentity> found = base::IdentityOf(path);
  if (absl::IsNotFound(found.status())) return base::Error(absl::StatusCode::kDataLoss, "{} is gone", path);
  if (!found.ok() || !expected.ok() || *found == *expected) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDataLoss, "{} was replaced by another", path);
}

}  // namespace

DirectoryWatch::DirectoryWatch(std::string directory)
    : directory_(std::move(directory)),
      identity_path_(base::JoinPath(directory_, "IDENTITY")),
      directory_identity_(base::IdentityOf(directory_)),
      database_identity_(base::IdentityOf(identity_path_)) {}

absl::Status DirectoryWatch::Look() const {
  BANDB_RETURN_IF_ERROR(Compare(directory_, directory_identity_));
  return Compare(identity_path_, database_identity_);
}

}  // namespace bandb::server_program
