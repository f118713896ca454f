// A change to what the database consists of: the content of one manifest record.
//
//   edit  := field*
//   field := tag:varint length:varint payload[length]
//
//   tag  payload                                                   meaning
//   1    number:varint                                             logs below this number are no longer needed
//   2    number:varint                                             the next file number to give out
//   3    sequence:varint                                           the last sequence in the tables
//   4    ms:varint                                                 a time at or after all commit times in the tables:
//                                                                  the latest that a time to live was held against
//   5    epoch:varint                                              of the open database that writes this manifest
//   6    level:varint number:varint                                a table that is gone
//   7    level:varint number:varint file_bytes:varint entries:varint deletes:varint range_tombstones:varint
//        smallest_sequence:varint largest_sequence:varint earliest_expiry_ms:varint
//        smallest:length-prefixed largest:length-prefixed          a table that is new
//   8    number:varint bytes:varint                                of this log exactly so many bytes count, and
//                                                                  they are durable: it was closed, or recovered up
//                                                                  to there
//   9    index:varint term:varint                                  cluster: applied so far, in the tables
//   10   bytes                                                     cluster: committed membership, with addresses
//   11   number:varint                                             the log that was begun with this manifest: it
//                                                                  must exist
//
//   128  number:varint hidden:varint expired_at_ms:varint          of the table that was named last: what a merge of it
//                                                                  gives back (SpaceFigures). Written where there is
//                                                                  something
//   129  sequence:varint ms:varint                                 the clock was accepted as it is: commit times up to
//                                                                  this sequence, of edits before this one as well,
//                                                                  count no more, and ms does
//   130  epoch:varint branch:u64 begin:varint                      an opening of the database, and after which sequence
//                                                                  it began: the end of the one before. The branch is
//                                                                  drawn at random
//   131  number:varint bytes:varint first_sequence:varint last_sequence:varint begin_ms:varint end_ms:varint
//        commits:varint                                            a log that is not needed, and kept for the change
//                                                                  feed while there is room (KeptLog)
//   132  number:varint                                             logs below this number are not kept any more
//   133  sequence:varint                                           no operation of a user in the tables comes after
//                                                                  this one. Not there: the last one may be one
//   134  edits:varint                                              in the first edit of a manifest: so many edits, this
//                                                                  one among them, are its beginning. Written where
//                                                                  there are several
//
// Tags below 128 must be understood by a reader; those from 128 on it may skip.
#ifndef BANDB_STORAGE_VERSION_VERSION_EDIT_H_
#define BANDB_STORAGE_VERSION_VERSION_EDIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/key/internal_key.h"
#include "storage/log/kept_log.h"
#include "storage/table/table_format.h"

namespace bandb::storage {

inline constexpr int kLevels = 7;

// What the manifest knows of a table.
struct TableInfo : TableFigures {
  uint64_t number = 0;
  uint64_t file_bytes = 0;
  // Internal keys; a largest that comes from a range tombstone's limit is exclusive
  // (table_format.h).
  std::string smallest;
  std::string largest;
  SpaceFigures space;
};

// How far a cluster node had applied its log.
struct AppliedPosition {
  uint64_t index = 0;
  uint64_t term = 0;
};

// From when on expiry went by a clock that was set back.
struct AcceptedClock {
  Sequence sequence = 0;
  uint64_t ms = 0;
};

// One opening of a standalone database; its end is where the next one begins.
struct Epoch {
  uint64_t number = 0;
  uint64_t branch = 0;
  Sequence begin = 0;

  friend bool operator==(const Epoch&, const Epoch&) = default;
};

struct VersionEdit {
  struct AddedTable {
    int level = 0;
    TableInfo info;
  };
  struct DeletedTable {
    int level = 0;
    uint64_t number = 0;
  };
  struct LogEnd {
    uint64_t number = 0;
    uint64_t bytes = 0;
  };
  using Applied = AppliedPosition;

  std::optional<uint64_t> log_number;
  std::optional<uint64_t> next_file_number;
  std::optional<Sequence> last_sequence;
  std::optional<uint64_t> commit_time_ms;
  std::optional<uint64_t> epoch;
  std::vector<DeletedTable> deleted;
  std::vector<AddedTable> added;
  std::vector<LogEnd> log_ends;
  std::optional<Applied> applied;
  std::optional<std::string> membership;
  std::optional<uint64_t> begun_log;
  // Applied before commit_time_ms, which is at or after it.
  std::optional<AcceptedClock> clock_accepted;
  std::vector<Epoch> epochs;
  std::vector<KeptLog> kept_logs;
  std::optional<uint64_t> kept_from;
  std::optional<uint64_t> beginning_edits;
  std::optional<Sequence> user_sequence;
};

std::string EncodeEdit(const VersionEdit& edit);

// Errors: kDataLoss           malformed
//         kFailedPrecondition a field that must be understood and is not: written by a newer release
absl::StatusOr<VersionEdit> DecodeEdit(std::string_view bytes);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_VERSION_VERSION_EDIT_H_
