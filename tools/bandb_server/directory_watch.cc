#include "directory_watch.h"

#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/file_system.h"
#include "base/status.h"

namespace bandb::server_program {

DirectoryWatch::DirectoryWatch(std::string directory)
    : directory_(std::move(directory)), identity_path_(base::JoinPath(directory_, "IDENTITY")) {
  Find(directory_, &directory_place_);
  Find(identity_path_, &identity_place_);
}

absl::Status DirectoryWatch::Look() const {
  for (const auto& [path, expected] : {std::pair(directory_, directory_place_), {identity_path_, identity_place_}}) {
    Place found;
    const int error = Find(path, &found);
    if (error == ENOENT || error == ENOTDIR) return base::Error(absl::StatusCode::kDataLoss, "{} is gone", path);
    if (error == 0 && found != expected) {
      return base::Error(absl::StatusCode::kDataLoss, "{} was replaced by another", path);
    }
  }
  return absl::OkStatus();
}

int DirectoryWatch::Find(const std::string& path, Place* place) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return errno;
  *place = {info.st_dev, info.st_ino};
  return 0;
}

}  // namespace bandb::server_program
