// From a backup and logs to a database: what a restore takes, and how it makes it.
//
// The state between two backups is that of the earlier one and so much of the logs that lead to the
// later one. The logs are put beside the tables of the earlier one, and the database is opened,
// which replays them as it does after a crash, and flushed: one log at a time, so that the memory
// of one is enough. In the last one nothing follows the commit that was asked for.
#ifndef BANDB_BACKUP_RESTORING_H_
#define BANDB_BACKUP_RESTORING_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backup/description.h"
#include "backup/layout.h"
#include "backup/survey.h"
#include "bandb/backup.h"
#include "base/file_system.h"
#include "base/random.h"

namespace bandb::backup {

// As Db::Open.
using OpenRestored = std::function<absl::StatusOr<std::unique_ptr<Db>>(const std::string& dir, const Options& options)>;

struct RestorePlan {
  uint64_t number = 0;
  Description description{};
  // To be replayed, oldest first; the last as far as last_sequence.
  std::vector<LogEntry> logs{};
  // The backup that they lead to, and its files.
  uint64_t next = 0;
  std::vector<FileEntry> next_files{};
  uint64_t last_sequence = 0;
  // Of the last commit.
  uint64_t time_ms = 0;
};

// `now_ms`: what the clock shows. Errors: kNotFound no such backup; kOutOfRange no backup and logs
// lead to that state; kDataLoss, and what the file system says.
absl::StatusOr<RestorePlan> PlanRestore(base::FileSystem* files, const Layout& layout, const Survey& survey,
                                        const RestoreOptions& options, uint64_t now_ms);

struct RestoreTools {
  base::FileSystem* files = nullptr;
  const OpenRestored& open;
  base::Random* random = nullptr;
};

// Makes the database in `dir`, which must not exist; every file is checked while it is copied.
// Durability: all of `dir` survives power loss when it returns OK, but for its own name. After an
// error there may be a part of it.
absl::Status MakeRestored(const RestoreTools& tools, const Layout& layout, const RestorePlan& plan,
                          const std::string& dir);

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_RESTORING_H_
