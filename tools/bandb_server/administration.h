// What an operator asks of the server through the protocol (`bandb flush` and its like).
#ifndef BANDB_TOOLS_BANDB_SERVER_ADMINISTRATION_H_
#define BANDB_TOOLS_BANDB_SERVER_ADMINISTRATION_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "bandb/backup.h"
#include "base/mutex.h"
#include "data_store.h"

namespace bandb::server_program {

// The backups of a server. Thread safety: any thread.
class BackupMaker {
 public:
  // `repository`: a directory that is there; empty: there is none.
  explicit BackupMaker(std::string repository) : repository_(std::move(repository)) {}
  // A text for the operator. `db`: null if it is none. Errors: as Backup::Create; kUnimplemented it
  // is none; kFailedPrecondition there is no repository.
  absl::StatusOr<std::string> Make(Db* db) ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends the one that is under way, soon; from now on none is made.
  void End() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::StatusOr<std::shared_ptr<Backup>> Begin() ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string repository_;
  base::Mutex mutex_;
  std::shared_ptr<Backup> current_ ABSL_GUARDED_BY(mutex_);  // the last one
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

// `words`: a command with what it takes. A text for the operator. Thread safety: any thread.
// Errors: kInvalidArgument there is no such command, or it takes other words, and what the database
// or the cluster answers; kFailedPrecondition it is about a cluster, and there is none.
absl::StatusOr<std::string> Administer(DataStore* data, BackupMaker* backups, const std::vector<std::string>& words);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_ADMINISTRATION_H_
