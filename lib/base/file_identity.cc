#include "base/file_identity.h"

#include <sys/stat.h>

#include <cerrno>

#include "base/status.h"

namespace bandb::base {

absl::StatusOr<FileIdentity> IdentityOf(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return ErrnoStatus(errno == ENOTDIR ? ENOENT : errno, path);
  return FileIdentity{static_cast<uint64_t>(info.st_dev), static_cast<uint64_t>(info.st_ino)};
}

}  // namespace bandb::base
