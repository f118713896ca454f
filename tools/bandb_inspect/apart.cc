#include "apart.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/file_identity.h"
#include "base/file_system.h"
#include "base/status.h"

namespace bandb::inspect {

namespace {

// The folders of a database, from the outermost in.
constexpr std::string_view kFolders[] = {"", "/groups", "/groups/0", "/groups/0/db"};
// Deeper than any path that can be named.
constexpr int kDepthMax = 4096;

// `path`, or as much of it as there is.
absl::StatusOr<std::string> ExistingPart(std::string path) {
  while (true) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    const absl::Status there = base::IdentityOf(path).status();
    if (!absl::IsNotFound(there)) {
      BANDB_RETURN_IF_ERROR(there);
      return path;
    }
    if (path == ".." || path.ends_with("/..")) {
      return base::Error(absl::StatusCode::kInvalidArgument, "{}: goes up from a folder that is not there", path);
    }
    path = base::ParentPath(path);
    if (path.empty()) path = "/";
  }
}

}  // namespace

absl::Status CheckApart(const std::string& source, const std::string& target) {
  std::vector<base::FileIdentity> folders;
  for (const std::string_view folder : kFolders) {
    const absl::StatusOr<base::FileIdentity> there = base::IdentityOf(source + std::string(folder));
    if (there.ok()) folders.push_back(*there);
  }
  BANDB_ASSIGN_OR_RETURN(std::string path, ExistingPart(target));
  // What is not a folder lies in one.
  if (!base::IdentityOf(path + "/.").ok()) path = base::ParentPath(path);
  if (path.empty()) path = "/";
  BANDB_ASSIGN_OR_RETURN(base::FileIdentity at, base::IdentityOf(path));
  for (int depth = 0; depth < kDepthMax; ++depth) {
    if (std::find(folders.begin(), folders.end(), at) != folders.end()) {
      return base::Error(absl::StatusCode::kInvalidArgument, "{} is inside of {}", target, source);
    }
    path += "/..";
    BANDB_ASSIGN_OR_RETURN(const base::FileIdentity above, base::IdentityOf(path));
    if (above == at) return absl::OkStatus();
    at = above;
  }
  return base::Error(absl::StatusCode::kInvalidArgument, "{}: too deep", target);
}

}  // namespace bandb::inspect
