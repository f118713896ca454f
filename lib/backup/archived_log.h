// A log of the repository as a sequence of commits.
#ifndef BANDB_BACKUP_ARCHIVED_LOG_H_
#define BANDB_BACKUP_ARCHIVED_LOG_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "storage/log/log_format.h"

namespace bandb::backup {

// What a log is to hold: so many bytes, all of them whole records, with these operations.
struct LogExtent {
  uint64_t bytes = 0;
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
};

// A record of operations, and the last of them.
struct ArchivedCommit {
  const storage::ParsedRecord& record;
  uint64_t last_sequence = 0;
};

// Walks the commits of a log in order, in the memory of one record, until `take` answers false.
// Errors: kDataLoss it does not hold what it is to hold, without a gap; what the file system and
// `take` say.
absl::Status WalkLog(base::FileSystem* files, const std::string& path, const LogExtent& extent,
                     const std::function<absl::StatusOr<bool>(const ArchivedCommit& commit)>& take);

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_ARCHIVED_LOG_H_
