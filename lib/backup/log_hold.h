// The cursor by which a database keeps its logs until they are in a backup.
//
// It has the name that BackupOptions says, or one of the repository's own: two repositories of one
// database do not move each other's, and no consumer of the change feed has it by chance.
#ifndef BANDB_BACKUP_LOG_HOLD_H_
#define BANDB_BACKUP_LOG_HOLD_H_

#include <string>

#include "absl/status/status.h"
#include "backup/repository_mark.h"
#include "backup/survey.h"
#include "bandb/backup.h"
#include "bandb/db.h"

namespace bandb::backup {

// Lifetime: borrows the database.
class LogHold {
 public:
  LogHold(Db* db, const BackupOptions& options, const RepositoryMark& mark);

  const std::string& cursor() const { return cursor_; }
  // Has the database keep its logs from the last backup on, as far as it may.
  // `survey`: the backups that are there.
  absl::Status Begin(const Survey& survey);
  // From this place on, once they are in a backup. Where the cursor has just begun, that of an
  // earlier release goes.
  absl::Status Move(const std::string& place);

 private:
  // Whether there is such a cursor: one of the name that all had, at the place of a backup.
  absl::StatusOr<bool> HasEarlier(const Survey& survey) const;

  Db* const db_;
  const bool has_own_name_;
  const std::string cursor_;
  bool replaces_earlier_ = false;
};

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_LOG_HOLD_H_
