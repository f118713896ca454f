// The files of a cluster's log, format version 2.
//
// A segment is a file header (storage/file/file_header.h) and then sectors, which together carry
// one stream of records (storage/log/log_format.h):
//
//   segment := file_header zeros[432] sector*
//   sector  := tag:u16 data[510]
//   data    := the next 510 bytes of the stream; of the last sector, as many as there are
//
// The tag depends on file and sector. A disk writes a sector whole or not at all, so one with
// another tag was never written in the life of this file, whatever the file held before: a record
// that is damaged, whose head and identity agree and whose sectors all have their tags is rot, and
// any other damage after what was synced may be a torn tail. Offsets are those of the stream.
//
// The first record of a segment is its head:
//
//   head := number:varint previous_number:varint previous_end:varint flags:u8
//           term:varint vote:varint commit:varint configuration[...]
//
//   Term and index of the record are those of the entry before the first one that this segment may
//   hold; what the log held after it is void. Flags bit 0: reset, the log before this segment is
//   void, that entry included, and what it led to is in the state machine. The configuration is the
//   one in force at that entry, as raft/types/configuration_codec.h has it; so is the hard state
//   the one at that moment. A log can therefore begin with any segment in which, and after which,
//   no entry at or below that index was written.
//
// The others:
//
//   entry       := version:u8 bytes[...]      noop, data or configuration
//   hard_state  := vote:varint
//   synced_mark := 1:u8
//
//   Whatever the log held at an entry's index and above is void. The term of a hard state is that of
//   its record, its commit index the commit hint. A synced mark is there to name its synced offset;
//   without a payload its identity would be zeros, as what was never written is.
#ifndef BANDB_CLUSTER_SEGMENT_FORMAT_H_
#define BANDB_CLUSTER_SEGMENT_FORMAT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "raft/types/configuration.h"
#include "raft/types/durable_state.h"
#include "raft/types/entry.h"
#include "storage/log/log_format.h"

namespace bandb::cluster {

inline constexpr uint64_t kSectorBytes = 512;
inline constexpr uint64_t kSectorTagBytes = 2;
inline constexpr uint64_t kSectorDataBytes = kSectorBytes - kSectorTagBytes;

// "000012" and a suffix, and the number of such a name, which is not 0.
std::string NumberedName(uint64_t number, std::string_view suffix);
std::optional<uint64_t> ParseNumberedName(std::string_view name, std::string_view suffix);
// Of ".seg".
std::string SegmentName(uint64_t number);
std::optional<uint64_t> ParseSegmentName(std::string_view name);

// Where the byte at `offset` of the stream is in the file; at the begin of a sector, its tag. The
// end of a stream of that many bytes is there, too.
constexpr uint64_t FileOffset(uint64_t offset) {
  const uint64_t in_sector = offset % kSectorDataBytes;
  return kSectorBytes * (1 + offset / kSectorDataBytes) + (in_sector == 0 ? 0 : kSectorTagBytes + in_sector);
}

// Appends to `*to` the bytes of the file that carry `stream`, which begins at `offset`.
void AppendSectors(uint64_t checksum_seed, uint64_t offset, std::string_view stream, std::string* to);

// The stream of a part of a file, and which of its sectors have their tags.
struct SectorData {
  std::string stream;
  std::vector<bool> tagged;
};
// `bytes` begin with sector `first` of the file, counted from 0 after the header.
SectorData StripSectors(uint64_t checksum_seed, uint64_t first, std::string_view bytes);

struct SegmentHead {
  uint64_t number = 0;
  // The segment that the log goes on from, and how much of it counts; 0 if there is none.
  uint64_t previous_number = 0;
  uint64_t previous_end = 0;
  bool reset = false;
  raft::Term previous_term = 0;
  raft::Index previous_index = 0;
  raft::HardState hard_state;
  raft::Configuration configuration;

  friend bool operator==(const SegmentHead&, const SegmentHead&) = default;
};

// Each appends a payload to `*to` and says what the record's head is.
storage::RecordHead EncodeSegmentHead(const SegmentHead& head, std::string* to);
storage::RecordHead EncodeEntry(const raft::Entry& entry, raft::Index commit, std::string* to);
storage::RecordHead EncodeHardState(const raft::HardState& state, std::string* to);
storage::RecordHead EncodeSyncedMark(std::string* to);

// False if a record of that type does not have such a payload.
bool DecodeSegmentHead(const storage::ParsedRecord& record, SegmentHead* head);
bool DecodeEntry(const storage::ParsedRecord& record, raft::Entry* entry);
bool DecodeHardState(const storage::ParsedRecord& record, raft::HardState* state);
bool IsSyncedMark(const storage::ParsedRecord& record);
bool IsEntry(storage::RecordType type);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_SEGMENT_FORMAT_H_
