#include "storage/log/log_format.h"

#include <algorithm>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"

namespace bandb::storage {

namespace {

constexpr size_t kChecksumBytes = sizeof(uint64_t);
constexpr size_t kPayloadBytesAt = kChecksumBytes + 4;

// Differs from file to file, so that nobody who chooses keys and values can strew them with heads
// of records that a search after damage would have to verify one by one.
uint16_t MarkerOf(uint64_t checksum_seed) { return static_cast<uint16_t>(kRecordMarker ^ checksum_seed); }

uint64_t IdentityNumber(const RecordHead& head) {
  // Several segments may begin after one index.
  if (head.type == RecordType::kSegmentHead) return head.first_sequence;
  return head.index != 0 ? head.index : head.first_sequence;
}

}  // namespace

size_t BeginRecord(std::string* to, const RecordHead& head) {
  const size_t begin = to->size();
  char bytes[kRecordFixedBytes + kRecordVarints * base::kVarint64BytesMax];
  base::StoreFixed<uint64_t>(bytes, 0);
  base::StoreFixed<uint16_t>(bytes + kChecksumBytes, 0);
  bytes[kChecksumBytes + 2] = static_cast<char>(kRecordVersion);
  bytes[kChecksumBytes + 3] = static_cast<char>(head.type);
  base::StoreFixed<uint32_t>(bytes + kPayloadBytesAt, 0);
  char* at = bytes + kRecordFixedBytes;
  for (const uint64_t field : {head.group, head.term, head.index, head.commit_hint, head.first_sequence,
                               head.commit_time_ms, head.synced_offset}) {
    at = base::StoreVarint(at, field);
  }
  to->append(bytes, static_cast<size_t>(at - bytes));
  return begin;
}

void FinishRecord(std::string* to, size_t begin, size_t payload_begin, const RecordHead& head, uint64_t checksum_seed,
                  uint64_t offset) {
  BANDB_ASSERT(payload_begin > begin);
  const size_t payload_bytes = to->size() - payload_begin;
  BANDB_ASSERT(payload_bytes <= kRecordPayloadBytesMax);
  base::StoreFixed<uint16_t>(to->data() + begin + kChecksumBytes, MarkerOf(checksum_seed));
  base::StoreFixed<uint32_t>(to->data() + begin + kPayloadBytesAt, static_cast<uint32_t>(payload_bytes));
  base::PutFixed32(to, static_cast<uint32_t>(payload_bytes));
  base::PutFixed32(to, static_cast<uint32_t>(head.term));
  base::PutFixed64(to, IdentityNumber(head));
  const std::string_view covered = std::string_view(*to).substr(begin + kChecksumBytes);
  base::StoreFixed<uint64_t>(to->data() + begin, base::BlockChecksum(checksum_seed, offset, covered));
}

namespace {

// Everything but the checksum, which is the expensive part.
bool ParseShape(std::string_view rest, uint16_t wanted_marker, ParsedRecord* record) {
  if (rest.size() < kRecordBytesMin) return false;
  base::ByteReader reader(rest.substr(kChecksumBytes));
  uint16_t marker = 0;
  uint8_t version = 0, type = 0;
  uint32_t payload_bytes = 0;
  RecordHead& head = record->head;
  const bool shaped = reader.ReadFixed(&marker) && marker == wanted_marker && reader.ReadFixed(&version) &&
                      version == kRecordVersion && reader.ReadFixed(&type) && type >= kRecordTypeMin &&
                      type <= kRecordTypeMax && reader.ReadFixed(&payload_bytes) &&
                      payload_bytes <= kRecordPayloadBytesMax && reader.ReadVarint(&head.group) &&
                      reader.ReadVarint(&head.term) && reader.ReadVarint(&head.index) &&
                      reader.ReadVarint(&head.commit_hint) && reader.ReadVarint(&head.first_sequence) &&
                      reader.ReadVarint(&head.commit_time_ms) && reader.ReadVarint(&head.synced_offset) &&
                      reader.ReadBytes(payload_bytes, &record->payload) && reader.Skip(kRecordIdentityBytes);
  if (!shaped) return false;
  head.type = static_cast<RecordType>(type);
  record->record_bytes = rest.size() - reader.remaining();
  return true;
}

// Whether the end of a record says what its head does.
bool IdentityFits(std::string_view rest, const ParsedRecord& record) {
  const char* const identity = rest.data() + record.record_bytes - kRecordIdentityBytes;
  return base::LoadFixed<uint32_t>(identity) == record.payload.size() &&
         base::LoadFixed<uint32_t>(identity + 4) == static_cast<uint32_t>(record.head.term) &&
         base::LoadFixed<uint64_t>(identity + 8) == IdentityNumber(record.head);
}

}  // namespace

bool LooksLikeRecord(std::string_view rest, uint64_t checksum_seed, ParsedRecord* record) {
  return ParseShape(rest, MarkerOf(checksum_seed), record) && IdentityFits(rest, *record);
}

bool ParseRecordAt(std::string_view rest, uint64_t offset, uint64_t checksum_seed, ParsedRecord* record) {
  if (!ParseShape(rest, MarkerOf(checksum_seed), record)) return false;
  const std::string_view covered = rest.substr(kChecksumBytes, record->record_bytes - kChecksumBytes);
  return base::LoadFixed<uint64_t>(rest.data()) == base::BlockChecksum(checksum_seed, offset, covered);
}

ParseResult ParseRecord(std::string_view file, uint64_t offset, uint64_t checksum_seed, ParsedRecord* record) {
  BANDB_ASSERT(offset <= file.size());
  if (offset == file.size()) return ParseResult::kEnd;
  if (ParseRecordAt(file.substr(offset), offset, checksum_seed, record)) return ParseResult::kRecord;
  const std::string_view rest = file.substr(offset);
  if (std::all_of(rest.begin(), rest.end(), [](char byte) { return byte == 0; })) return ParseResult::kZeros;
  return ParseResult::kDamaged;
}

size_t RecordBytesEnough(std::string_view first, uint64_t checksum_seed) {
  BANDB_ASSERT(first.size() >= kRecordFixedBytes);
  const auto type = static_cast<uint8_t>(first[kChecksumBytes + 3]);
  const size_t payload_bytes = base::LoadFixed<uint32_t>(first.data() + kPayloadBytesAt);
  if (base::LoadFixed<uint16_t>(first.data() + kChecksumBytes) != MarkerOf(checksum_seed) ||
      static_cast<uint8_t>(first[kChecksumBytes + 2]) != kRecordVersion || type < kRecordTypeMin ||
      type > kRecordTypeMax || payload_bytes > kRecordPayloadBytesMax) {
    return 0;
  }
  return kRecordBytesMax - kRecordPayloadBytesMax + payload_bytes;
}

void ParseKnownRecord(std::string_view file, uint64_t offset, uint64_t checksum_seed, ParsedRecord* record) {
  const bool shaped = ParseShape(file.substr(offset), MarkerOf(checksum_seed), record);
  BANDB_ASSERT(shaped);
}

static_assert(kRecordMarkerAt == kChecksumBytes, "the marker comes after the checksum");

std::string RecordMarker(uint64_t checksum_seed) {
  std::string marker;
  base::PutFixed16(&marker, MarkerOf(checksum_seed));
  return marker;
}

uint64_t FindNextRecord(std::string_view file, uint64_t offset, uint64_t checksum_seed, uint64_t* hash_bytes_left,
                        ParsedRecord* record) {
  const std::string wanted = RecordMarker(checksum_seed);
  for (size_t at = file.find(wanted, offset + kChecksumBytes); at != std::string_view::npos;
       at = file.find(wanted, at + 1)) {
    const uint64_t found = at - kChecksumBytes;
    // What costs nothing first: hardly any bytes that look like a head have its identity where it
    // must be.
    if (!LooksLikeRecord(file.substr(found), checksum_seed, record)) continue;
    if (record->record_bytes > *hash_bytes_left) {
      *hash_bytes_left = 0;
      return file.size();
    }
    *hash_bytes_left -= record->record_bytes;
    if (ParseRecordAt(file.substr(found), found, checksum_seed, record)) return found;
  }
  return file.size();
}

}  // namespace bandb::storage
