// The format of the write-ahead log and of the manifest: a file header, then records.
//
//   record   := checksum:u64        XXH3-64 of everything after it in the record, bound to the file
//                                   and to the record's offset
//               marker:u16          0xbd1c XOR the low bits of the file's checksum seed; where a search for records
//                                   after damage looks
//               version:u8          1
//               type:u8
//               payload_bytes:u32
//               group:varint        Raft group; 0 in a standalone database
//               term:varint         Raft term; standalone: the epoch, one more at each open
//               index:varint        Raft index; 0 standalone
//               commit_hint:varint  what was known to be committed; 0 standalone
//               first_sequence:varint
//               commit_time_ms:varint   monotone within a database
//               synced_offset:varint    see below
//               payload[payload_bytes]
//               identity            payload_bytes:u32 term:u32 (its low half) first_sequence or, under Raft, index:u64
//
// The identity repeats at the end what the head says, so that a record whose head has rotted still
// tells which one it was.
//
// Torn tail or corruption? `synced_offset` is the offset up to which the file had been synced when
// the record was appended. Files of one log are synced in order, and a record of a later file with
// a synced_offset above 0 says that all earlier files were synced whole. So:
//   - damage before an offset that any record names as synced is corruption: those bytes had been durable;
//   - damage after every such offset may be a torn tail: the bytes were never acknowledged as durable, and are
//     dropped.
// A file ends in a record of type kEnd when the log goes on in the next file, and in kSeal when the
// database was closed cleanly: all before it had been synced, so that nothing of a sealed log may
// be missing. Zero bytes after the last record are room that had been reserved.
#ifndef BANDB_STORAGE_LOG_LOG_FORMAT_H_
#define BANDB_STORAGE_LOG_LOG_FORMAT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/coding.h"

namespace bandb::storage {

enum class RecordType : uint8_t {
  kWrite = 1,  // operations of a batch group (lib/kv/batch_format.h); sequences count up from first_sequence
  kEnd = 2,    // the log goes on in the next file
  kSeal = 3,   // closed cleanly
  kEdit = 4,   // in a manifest: a version edit
  // In a cluster's log only (lib/cluster/segment_format.h).
  kEntryNoop = 5,
  kEntryData = 6,
  kEntryConfiguration = 7,
  kHardState = 8,
  kSegmentHead = 9,
  kSyncedMark = 10,
  // In a database's log: operations in the space of the system, otherwise as kWrite.
  kSystemWrite = 11,
};
inline constexpr uint8_t kRecordTypeMin = 1;
inline constexpr uint8_t kRecordTypeMax = 11;

inline constexpr uint16_t kRecordMarker = 0xbd1c;
inline constexpr uint8_t kRecordVersion = 1;
inline constexpr size_t kRecordFixedBytes = 8 + 2 + 1 + 1 + 4;
inline constexpr size_t kRecordIdentityBytes = 4 + 4 + 8;
inline constexpr size_t kRecordVarints = 7;
inline constexpr size_t kRecordBytesMin = kRecordFixedBytes + kRecordVarints + kRecordIdentityBytes;
// More than the largest group of batches comes to.
inline constexpr size_t kRecordPayloadBytesMax = 160u << 20;
inline constexpr size_t kRecordBytesMax =
    kRecordFixedBytes + kRecordVarints * base::kVarint64BytesMax + kRecordPayloadBytesMax + kRecordIdentityBytes;

struct RecordHead {
  RecordType type = RecordType::kWrite;
  uint64_t group = 0;
  uint64_t term = 0;
  uint64_t index = 0;
  uint64_t commit_hint = 0;
  uint64_t first_sequence = 0;
  uint64_t commit_time_ms = 0;
  uint64_t synced_offset = 0;
};

// Writes a record into `to` without a copy of its payload: BeginRecord appends the head, the caller
// appends the payload, and FinishRecord fills in what was not known before.
size_t BeginRecord(std::string* to, const RecordHead& head);
// `begin` is what BeginRecord returned; `payload_begin` where the payload starts; `offset` the
// record's place in the file.
void FinishRecord(std::string* to, size_t begin, size_t payload_begin, const RecordHead& head, uint64_t checksum_seed,
                  uint64_t offset);

struct ParsedRecord {
  RecordHead head;
  std::string_view payload;
  size_t record_bytes = 0;
};

enum class ParseResult : uint8_t {
  kRecord,
  kZeros,    // nothing but zero bytes from here on
  kEnd,      // nothing from here on
  kDamaged,  // anything else
};

// Reads the record that begins at `offset` of `file`, the content of a log file.
ParseResult ParseRecord(std::string_view file, uint64_t offset, uint64_t checksum_seed, ParsedRecord* record);
// Of kRecordFixedBytes, the first of a record: so many bytes are enough to read it whole. 0 if they
// begin no record.
size_t RecordBytesEnough(std::string_view first, uint64_t checksum_seed);
// Whether `rest`, which begins at `offset` of a file, begins with a whole valid record.
bool ParseRecordAt(std::string_view rest, uint64_t offset, uint64_t checksum_seed, ParsedRecord* record);
// The same record once more, from the same bytes, without verifying its checksum again.
void ParseKnownRecord(std::string_view file, uint64_t offset, uint64_t checksum_seed, ParsedRecord* record);

// The bytes that are kRecordMarkerAt bytes after the beginning of every record of the file.
inline constexpr size_t kRecordMarkerAt = 8;
std::string RecordMarker(uint64_t checksum_seed);

// Whether `rest` begins with what was a record of a file with this checksum seed, its checksum
// aside: the fields at its head and the identity at its end agree. Bytes that were never written
// whole hardly ever look like that.
bool LooksLikeRecord(std::string_view rest, uint64_t checksum_seed, ParsedRecord* record);

// The first offset at or after `offset` at which a whole valid record begins; `file`.size() if
// there is none. `hash_bytes_left` is how much may be hashed, and is lowered by what was: bytes
// that were made to look like heads of long records would otherwise each be hashed many times.
// Where it does not suffice, nothing is found and it is 0.
uint64_t FindNextRecord(std::string_view file, uint64_t offset, uint64_t checksum_seed, uint64_t* hash_bytes_left,
                        ParsedRecord* record);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_LOG_LOG_FORMAT_H_
