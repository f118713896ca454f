// Reads one segment and tells a torn tail from rot (segment_format.h).
#ifndef BANDB_CLUSTER_SEGMENT_READER_H_
#define BANDB_CLUSTER_SEGMENT_READER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "cluster/segment_format.h"
#include "storage/file/file_header.h"

namespace bandb::cluster {

// More than any segment with its room comes to. A file beyond it is refused, unread.
inline constexpr uint64_t kSegmentBytesMax = uint64_t{1} << 30;

struct SegmentContent {
  uint64_t number = 0;
  uint64_t checksum_seed = 0;
  // Nothing if the segment was not begun, or its begin is torn: no record of it counts.
  std::optional<SegmentHead> head;
  std::string stream;
  uint64_t valid_bytes = 0;    // the records up to here are whole
  uint64_t dropped_bytes = 0;  // of damage after that, up to the last byte that is not zero
  // The largest synced offset that a record of the segment names, those after damage included.
  uint64_t synced_offset = 0;
};

// `end`: what comes after it does not count, and is not looked at.
// Errors: kDataLoss            rot, damage in what had been synced, or records that no log has
//         kFailedPrecondition  a newer format, or a segment of another database
//         and what the file system says
// with file and offset. Damage after all that is known to have been synced is no error here: the
// caller sees that valid_bytes is less than it expects. Memory: that of the file.
absl::StatusOr<SegmentContent> ReadSegment(base::FileSystem* files, const std::string& path, uint64_t number,
                                           const storage::Uuid& database_id, uint64_t end = UINT64_MAX);

// Walks the whole records of a content.
class SegmentReader {
 public:
  explicit SegmentReader(const SegmentContent& content) : content_(content) {}
  // False once all whole records were given.
  bool Next(storage::ParsedRecord* record);
  // Where the record that Next gave last begins.
  uint64_t offset() const { return offset_; }

 private:
  const SegmentContent& content_;
  uint64_t offset_ = 0;
  uint64_t next_ = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_SEGMENT_READER_H_
