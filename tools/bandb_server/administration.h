// What an operator asks of the server through the protocol (`bandb flush` and its like).
#ifndef BANDB_TOOLS_BANDB_SERVER_ADMINISTRATION_H_
#define BANDB_TOOLS_BANDB_SERVER_ADMINISTRATION_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "admin/figures.h"
#include "bandb/backup.h"
#include "bandb/server.h"
#include "base/mutex.h"
#include "data_store.h"

namespace bandb::server_program {

// The backups of a server, one at a time. Thread safety: any thread.
class BackupMaker {
 public:
  using OpenRepository = std::function<absl::StatusOr<std::unique_ptr<Backup>>(const std::string& repository)>;

  // `repository`: a directory that is there; empty: there is none.
  BackupMaker(std::string repository, bool logs, OpenRepository open = Backup::Open)
      : repository_(std::move(repository)), options_{.logs = logs}, open_(std::move(open)) {}
  // A text for the operator. Errors: as Backup::Create; kFailedPrecondition there is no repository,
  // or a backup is under way.
  absl::StatusOr<std::string> Make(DataStore* data) ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends the one that is under way, soon; from now on none is made.
  void End() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class Finisher;

  absl::StatusOr<BackupInfo> Create(Backup* backup, DataStore* data) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Begin(Backup* backup) ABSL_LOCKS_EXCLUDED(mutex_);
  void Finish() ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string repository_;
  const BackupOptions options_;
  const OpenRepository open_;
  base::Mutex mutex_;
  Backup* current_ ABSL_GUARDED_BY(mutex_) = nullptr;  // that is under way; null: none
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

// What it is to administer. Lifetime: borrows everything, or calls for as long as it lives.
struct Administered {
  DataStore* data = nullptr;
  BackupMaker* backups = nullptr;
  std::atomic<bool>* is_compacting = nullptr;  // on an operator's behalf
  Server* server = nullptr;
  std::function<admin::Report()> report;
};

// A text for the operator. Thread safety: any thread.
// Errors: kInvalidArgument there is no such command, or it takes other words, and what the database
// or the cluster answers; kFailedPrecondition it is about a cluster, and there is none.
absl::StatusOr<std::string> Administer(const Administered& administered, const AdministrationRequest& request);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_ADMINISTRATION_H_
