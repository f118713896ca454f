// The state of a replica as it travels to another one: what the manifest says of the tables, and
// the position that they go up to.
//
// A state is a version of the database that is held while it is read; nothing is copied, and the
// replica goes on meanwhile. Tables travel as they are. What names a table is the random id in its
// header: file numbers are each node's own.
#ifndef BANDB_STORAGE_ENGINE_REPLICA_STATE_H_
#define BANDB_STORAGE_ENGINE_REPLICA_STATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "storage/engine/replica_position.h"
#include "storage/file/database_files.h"
#include "storage/file/file_header.h"
#include "storage/version/manifest.h"

namespace bandb::storage {

struct StateTable {
  int level = 0;
  Uuid file_id;
  // base::Hash64 of all bytes of the file.
  uint64_t checksum = 0;
  // The number says nothing to another node.
  TableInfo info;
};

struct ReplicaState {
  Uuid database_id;
  ReplicaPosition position;
  // In no order.
  std::vector<StateTable> tables;
};

// What a table's file says of itself. Errors: kDataLoss; as RefusedRead.
absl::StatusOr<FileHeader> ReadTableHeader(base::FileSystem* files, const std::string& engine_dir, uint64_t number);
// base::Hash64 of all bytes of a table's file, if it is as long as `file_bytes`. Errors: the same.
absl::StatusOr<uint64_t> TableChecksum(base::FileSystem* files, const std::string& engine_dir, uint64_t number,
                                       uint64_t file_bytes);

// Lifetime: independent of the replica, whose files it keeps from being removed as long as the
// replica is open.
// Thread safety: any thread.
class PinnedState {
 public:
  PinnedState(std::shared_ptr<DatabaseFiles> files, std::string engine_dir, Uuid database_id, ManifestState state);

  const Uuid& database_id() const { return database_id_; }
  const ReplicaPosition& position() const { return position_; }
  size_t table_count() const { return tables_.size(); }
  // Reads all of the file, and verifies it. Errors: kDataLoss damaged, with file and offset;
  // kFailedPrecondition the replica is closed; as RefusedRead.
  absl::StatusOr<StateTable> DescribeTable(size_t i) const;
  // All of them, which reads every byte of the state.
  absl::StatusOr<ReplicaState> Describe() const;
  // The file of table i, to be sent.
  absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> OpenTable(size_t i) const;

 private:
  struct Pinned {
    int level = 0;
    TablePtr table;
  };

  std::shared_ptr<DatabaseFiles> files_;
  std::string engine_dir_;
  Uuid database_id_;
  ReplicaPosition position_;
  std::vector<Pinned> tables_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_REPLICA_STATE_H_
