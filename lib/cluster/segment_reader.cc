#include "cluster/segment_reader.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;
using storage::ParsedRecord;
using storage::ParseResult;

// Checksum and marker of a record.
constexpr uint64_t kMarkedBytes = sizeof(uint64_t) + sizeof(uint16_t);

uint64_t UsedBytes(std::string_view tail) {
  const size_t last = tail.find_last_not_of('\0');
  return last == std::string_view::npos ? 0 : last + 1;
}

// What is no entry names its segment, for which nothing else in it is particular to this one.
bool NamesSegment(const storage::RecordHead& head, uint64_t number) {
  return IsEntry(head.type) || head.first_sequence == number;
}

// Whether the log has such a record at this offset.
bool BelongsInLog(const ParsedRecord& record, uint64_t offset, uint64_t number) {
  SegmentHead head;
  raft::Entry entry;
  raft::HardState state;
  if (!NamesSegment(record.head, number)) return false;
  if (offset == 0) return DecodeSegmentHead(record, &head) && head.number == number;
  return IsSyncedMark(record) || DecodeHardState(record, &state) || DecodeEntry(record, &entry);
}

// Whether every sector that holds a part of this record, which looks like one, was written with it.
bool AllWritten(const SectorData& data, uint64_t begin, uint64_t bytes) {
  // The first sector has its tag since an earlier record, so that must be seen from what the record
  // has in it: up to the marker all of its bytes are a checksum, which looks like anything.
  if (kSectorDataBytes - begin % kSectorDataBytes < kMarkedBytes) return false;
  for (uint64_t sector = begin / kSectorDataBytes; sector <= (begin + bytes - 1) / kSectorDataBytes; ++sector) {
    if (!data.tagged[sector]) return false;
  }
  return true;
}

// Records after the damage may tell that the damaged bytes had been synced. False if there is too
// much to look at: nothing that was ever a log looks like that.
bool ScanAfterDamage(SegmentContent* content) {
  uint64_t offset = content->valid_bytes + 1;
  uint64_t hash_bytes_left = 2 * content->stream.size();
  ParsedRecord record;
  while (offset < content->stream.size()) {
    offset = storage::FindNextRecord(content->stream, offset, content->checksum_seed, &hash_bytes_left, &record);
    if (offset >= content->stream.size()) return hash_bytes_left != 0;
    content->synced_offset = std::max(content->synced_offset, record.head.synced_offset);
    offset += record.record_bytes;
  }
  return true;
}

absl::Status JudgeDamage(const std::string& path, const SectorData& data, SegmentContent* content) {
  const std::string_view rest = std::string_view(content->stream).substr(content->valid_bytes);
  content->dropped_bytes = UsedBytes(rest);
  ParsedRecord record;
  // All records have a payload: a head that was cut off before its length agrees with zeros.
  if (storage::LooksLikeRecord(rest, content->checksum_seed, &record) && !record.payload.empty() &&
      NamesSegment(record.head, content->number) && AllWritten(data, content->valid_bytes, record.record_bytes)) {
    return base::Error(StatusCode::kDataLoss,
                       "{}: offset {}: the record of term {}, index {} does not match its "
                       "checksum, though all of it was written",
                       path, FileOffset(content->valid_bytes), record.head.term, record.head.index);
  }
  if (!ScanAfterDamage(content)) {
    return base::Error(StatusCode::kDataLoss, "{}: offset {}: damage that is not the tail of a log", path,
                       FileOffset(content->valid_bytes));
  }
  if (content->synced_offset > content->valid_bytes) {
    return base::Error(StatusCode::kDataLoss, "{}: offset {}: damage in what had been synced up to offset {}", path,
                       FileOffset(content->valid_bytes), FileOffset(content->synced_offset));
  }
  return absl::OkStatus();
}

absl::Status ScanRecords(const std::string& path, const SectorData& data, SegmentContent* content) {
  ParsedRecord record;
  while (true) {
    const uint64_t offset = content->valid_bytes;
    const ParseResult result = storage::ParseRecord(content->stream, offset, content->checksum_seed, &record);
    if (result == ParseResult::kZeros || result == ParseResult::kEnd) break;
    if (result == ParseResult::kDamaged) return JudgeDamage(path, data, content);
    if (!BelongsInLog(record, offset, content->number)) {
      return base::Error(StatusCode::kDataLoss, "{}: offset {}: a record that no log has there", path,
                         FileOffset(offset));
    }
    content->synced_offset = std::max(content->synced_offset, record.head.synced_offset);
    content->valid_bytes += record.record_bytes;
  }
  if (content->synced_offset <= content->valid_bytes) return absl::OkStatus();
  return base::Error(StatusCode::kDataLoss, "{}: offset {}: the log ends, but had been synced up to offset {}", path,
                     FileOffset(content->valid_bytes), FileOffset(content->synced_offset));
}

}  // namespace

absl::StatusOr<SegmentContent> ReadSegment(base::FileSystem* files, const std::string& path, uint64_t number,
                                           const storage::Uuid& database_id, uint64_t end) {
  BANDB_ASSIGN_OR_RETURN(std::string bytes, base::ReadFile(files, path, kSegmentBytesMax));
  SegmentContent content;
  content.number = number;
  const absl::StatusOr<storage::FileHeader> header =
      storage::DecodeFileHeader(bytes, storage::FileType::kSegment, path);
  // The header is durable before anything else is written: alone, it may be torn.
  if (header.status().code() == StatusCode::kDataLoss && UsedBytes(bytes) <= kSectorBytes) {
    content.dropped_bytes = UsedBytes(bytes);
    return content;
  }
  BANDB_RETURN_IF_ERROR(header.status());
  if (header->database_id != database_id) {
    return base::Error(StatusCode::kFailedPrecondition, "{}: belongs to database {}, not to {}", path,
                       storage::ToString(header->database_id), storage::ToString(database_id));
  }
  content.checksum_seed = header->checksum_seed();
  if (bytes.size() <= kSectorBytes) return content;
  SectorData data = StripSectors(content.checksum_seed, 0, std::string_view(bytes).substr(kSectorBytes));
  bytes.clear();
  content.stream = std::move(data.stream);
  if (content.stream.size() > end) content.stream.resize(end);
  BANDB_RETURN_IF_ERROR(ScanRecords(path, data, &content));
  if (content.valid_bytes == 0) return content;
  ParsedRecord record;
  storage::ParseKnownRecord(content.stream, 0, content.checksum_seed, &record);
  if (!DecodeSegmentHead(record, &content.head.emplace())) return base::Error(StatusCode::kDataLoss, "{}", path);
  return content;
}

bool SegmentReader::Next(ParsedRecord* record) {
  if (next_ >= content_.valid_bytes) return false;
  offset_ = next_;
  storage::ParseKnownRecord(content_.stream, offset_, content_.checksum_seed, record);
  next_ += record->record_bytes;
  return true;
}

}  // namespace bandb::cluster
