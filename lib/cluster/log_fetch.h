// Reads entries back from the segments that hold them.
#ifndef BANDB_CLUSTER_LOG_FETCH_H_
#define BANDB_CLUSTER_LOG_FETCH_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cluster/log_files.h"
#include "cluster/log_index.h"
#include "raft/types/entry.h"

namespace bandb::cluster {

// The entries from `first` on whose records are at these places, in order, up to the first that
// cannot be read. Waits for the disk. Errors, if that is the first of all: kDataLoss it is not
// there any more, with file and offset; as the file system says.
// Thread safety: any thread, beside the thread that appends.
absl::StatusOr<raft::Entries> FetchEntries(const LogDirectory& directory, raft::Index first,
                                           const std::vector<EntryPlace>& places);
// Where a segment is, or, `second`, where it may be as well: it is being moved.
using SegmentPath = std::function<std::string(uint64_t segment, bool second)>;
// All of them, from segments that may be moved meanwhile, each at any time. Errors: of any of them;
// besides, kNotFound: a segment is at neither place, however often it is looked for.
absl::StatusOr<raft::Entries> FetchEntriesFrom(base::FileSystem* files, const SegmentPath& path_of, raft::Index first,
                                               const std::vector<EntryPlace>& places);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_LOG_FETCH_H_
