// What takes the tables of a checkpoint, in place of its directory.
#ifndef BANDB_KV_CHECKPOINT_SINK_H_
#define BANDB_KV_CHECKPOINT_SINK_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bandb/cluster.h"
#include "bandb/db.h"
#include "base/file_system.h"

namespace bandb::internal {

// A log that is kept, has ended, and survives power loss.
struct CheckpointLog {
  std::string path{};
  uint64_t bytes = 0;  // so much of it counts
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  uint64_t end_ms = 0;  // no commit in it is later
};

// Of which state a checkpoint is, and how it came to be.
struct CheckpointState {
  std::array<char, 16> database_id{};
  uint64_t last_sequence = 0;
  uint64_t commit_time_ms = 0;  // no commit in it is later
  uint64_t cut_ms = 0;          // of a Db: no commit that is not in it is earlier, however its clock is set
  // Names the place after this sequence in the history of the database: another history has another
  // name for it. Empty: it has no feed. For sequences that can still be read, and the one before
  // them.
  std::function<std::string(uint64_t sequence)> place_at{};
  // Whether logs are kept when they are not needed any more.
  bool keeps_logs = false;
  // Oldest first, without a gap, the last one up to last_sequence; those that are gone by now have
  // no file any more.
  std::vector<CheckpointLog> logs{};
};

class CheckpointSink {
 public:
  virtual ~CheckpointSink() = default;
  // Before any table. `files` has the logs. `go_on` is to be asked between pieces; it answers OK,
  // or why not. An error ends the checkpoint.
  virtual absl::Status Begin(base::FileSystem* files, const CheckpointState& state,
                             const std::function<absl::Status()>& go_on) = 0;
  // A table, which `files` has under this path until the call returns. `go_on`: as above.
  virtual absl::Status TakeTable(base::FileSystem* files, const std::string& path, uint64_t number,
                                 const std::function<absl::Status()>& go_on) = 0;
};

// What a database does for its backups.
struct DbAccess {
  // As Db::CreateCheckpoint, but that the tables go to the sink: what is made in `dir` lacks them.
  static absl::Status Checkpoint(Db* db, const std::string& dir, CheckpointSink* sink) {
    return db->DoCheckpoint(dir, sink);
  }
  // The same of the database in a node; the copy is a standalone database.
  static absl::Status Checkpoint(Cluster* cluster, const std::string& dir, CheckpointSink* sink) {
    return cluster->DoCheckpoint(dir, sink);
  }
};

}  // namespace bandb::internal

#endif  // BANDB_KV_CHECKPOINT_SINK_H_
