// Who takes the tables of a checkpoint, in place of its directory.
#ifndef BANDB_KV_CHECKPOINT_SINK_H_
#define BANDB_KV_CHECKPOINT_SINK_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "bandb/db.h"
#include "base/file_system.h"

namespace bandb::internal {

class CheckpointSink {
 public:
  virtual ~CheckpointSink() = default;
  // Before any table: of which database the checkpoint is, and of which state. An error ends it.
  virtual absl::Status Begin(const std::array<char, 16>& database_id, uint64_t last_sequence) = 0;
  // A table, which `files` has under this path until the call returns. `go_on` is to be asked
  // between pieces; it answers OK, or why not.
  virtual absl::Status TakeTable(base::FileSystem* files, const std::string& path, uint64_t number,
                                 const std::function<absl::Status()>& go_on) = 0;
};

// What a database does for its backups.
struct DbAccess {
  // As Db::CreateCheckpoint, but that the tables go to the sink: what is made in `dir` lacks them.
  static absl::Status Checkpoint(Db* db, const std::string& dir, CheckpointSink* sink) {
    return db->DoCheckpoint(dir, sink);
  }
};

}  // namespace bandb::internal

#endif  // BANDB_KV_CHECKPOINT_SINK_H_
