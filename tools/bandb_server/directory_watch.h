// Notices that the directory of the data is gone: removed, moved away, or replaced by another.
#ifndef BANDB_TOOLS_BANDB_SERVER_DIRECTORY_WATCH_H_
#define BANDB_TOOLS_BANDB_SERVER_DIRECTORY_WATCH_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_identity.h"

namespace bandb::server_program {

// A database whose directory is gone writes on into files that no later start will find, so it must
// not go on.
class DirectoryWatch {
 public:
  // Remembers which directory it is. Make it once the database is open.
  explicit DirectoryWatch(std::string directory);
  // Errors: kDataLoss the directory, or the identity of the database in it, is not there any more
  // or is another one. A system that does not tell is no such sign.
  absl::Status Look() const;

 private:
  const std::string directory_;
  const std::string identity_path_;  // of the file that names the database
  const absl::StatusOr<base::FileIdentity> directory_identity_;
  const absl::StatusOr<base::FileIdentity> database_identity_;
};

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_DIRECTORY_WATCH_H_
