// The history of a restored state: which tokens of the change feed are places of it, and by which
// time its values expire.
//
// A backup knows the epochs of the database up to itself. A state after it, put together from logs,
// has others besides: those that the next backup knows. Its time is that of its last commit. That
// of the backup may be later, and so may be those of commits in between: a clock that was ahead was
// set back then, and accepted (Db::AcceptClock).
#ifndef BANDB_BACKUP_RESTORED_EPOCHS_H_
#define BANDB_BACKUP_RESTORED_EPOCHS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/file_system.h"
#include "base/random.h"
#include "storage/file/file_header.h"

namespace bandb::backup {

struct RestoredHistory {
  // A copy of the later state, of which the manifest is enough, and the restored database, which is
  // closed.
  std::string later_dir;
  std::string dir;
  storage::Uuid database_id{};
  // The last operation of the restored state, and when it was committed.
  uint64_t last_sequence = 0;
  uint64_t time_ms = 0;
};

// Has no time count but that of the clock, up to last_sequence, which may still be to come: the
// database drops nothing that has expired by another. Durability: as below.
absl::Status ForgetTimes(base::FileSystem* files, const RestoredHistory& history, base::Random* random);
// Has the database know the epochs in which its operations were written, with those of what made it
// forgotten, and the time. Durability: that survives power loss when it returns OK.
absl::Status RestoreHistory(base::FileSystem* files, const RestoredHistory& history, base::Random* random);

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_RESTORED_EPOCHS_H_
