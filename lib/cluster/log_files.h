// The files of a cluster's log (segment_format.h), found again after a crash.
//
// Segments are numbered upwards, and each names the one that it goes on from. What a log is, is
// what they say in this order: an entry voids whatever was at its index and above.
#ifndef BANDB_CLUSTER_LOG_FILES_H_
#define BANDB_CLUSTER_LOG_FILES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "cluster/log_index.h"
#include "raft/types/durable_state.h"
#include "storage/file/file_header.h"

namespace bandb::cluster {

struct LogDirectory {
  base::FileSystem* files = nullptr;  // borrowed, unless it is `pinned`
  std::string path;
  storage::Uuid database_id;
  // In which `path` means the same directory whatever becomes of its name. Shared with work that
  // outlives the log.
  std::shared_ptr<base::FileSystem> pinned{};

  std::string PathOf(uint64_t segment) const;
};

// How a segment's file counts.
struct SegmentExtent {
  uint64_t number = 0;
  uint64_t end = 0;     // of the stream
  uint64_t synced = 0;  // what is known to have been synced of it
};

struct RecoveredLog {
  LogIndex index;
  raft::HardState hard_state;
  // The segments that make up the log, in order, and the same as files.
  std::vector<SegmentSpan> spans;
  std::vector<SegmentExtent> extents;
  // Files that do not belong to it, ascending.
  std::vector<uint64_t> unused;
  uint64_t number_max = 0;     // of any file
  uint64_t dropped_bytes = 0;  // of a torn tail
};

// Reads, and changes nothing. Errors: kNotFound  there is no log
//                                     kDataLoss  rot, damage before what was synced, or files that contradict each
//                                                other; with file and offset
//                                     kFailedPrecondition  a newer format, or another database's
//                                     and what the file system says
absl::StatusOr<RecoveredLog> RecoverLog(const LogDirectory& directory);

// Durability: all that `log` found, which may have been in the memory of the system alone.
absl::Status MakeDurable(const LogDirectory& directory, const RecoveredLog& log);

// Removes the files, in order; those that are gone already are no error.
absl::Status RemoveSegments(const LogDirectory& directory, const std::vector<uint64_t>& numbers);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_LOG_FILES_H_
