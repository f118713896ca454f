#include "storage/log/log_reader.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

namespace {

bool AllZero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == 0; });
}

// The bytes of a tail that are not zero, up to the last of them.
uint64_t UsedBytes(std::string_view tail) {
  const size_t last = tail.find_last_not_of('\0');
  return last == std::string_view::npos ? 0 : last + 1;
}

// Walks the records; stops at the first that is not whole.
void ScanRecords(LogContent* content) {
  uint64_t offset = kFileHeaderBytes;
  ParsedRecord record;
  while (true) {
    switch (ParseRecord(content->bytes, offset, content->checksum_seed, &record)) {
      case ParseResult::kRecord:
        content->records++;
        content->synced_offset = std::max(content->synced_offset, record.head.synced_offset);
        offset += record.record_bytes;
        content->valid_bytes = offset;
        if (record.head.type != RecordType::kEnd && record.head.type != RecordType::kSeal) continue;
        // Nothing was written behind it.
        content->end = record.head.type == RecordType::kEnd ? LogEnd::kEnded : LogEnd::kSealed;
        content->dropped_bytes = UsedBytes(std::string_view(content->bytes).substr(offset));
        return;
      case ParseResult::kZeros:
      case ParseResult::kEnd:
        content->valid_bytes = offset;
        return;
      case ParseResult::kDamaged:
        content->valid_bytes = offset;
        content->end = LogEnd::kDamaged;
        content->dropped_bytes = UsedBytes(std::string_view(content->bytes).substr(offset));
        return;
    }
  }
}

// Records behind the damage may tell that the damaged bytes had been synced.
void ScanBehindDamage(LogContent* content, bool* sealed) {
  uint64_t offset = content->valid_bytes + 1;
  ParsedRecord record;
  while (offset < content->bytes.size()) {
    offset = FindNextRecord(content->bytes, offset, content->checksum_seed, &record);
    if (offset >= content->bytes.size()) return;
    content->synced_offset = std::max(content->synced_offset, record.head.synced_offset);
    if (record.head.type == RecordType::kSeal) *sealed = true;
    offset += record.record_bytes;
  }
}

}  // namespace

absl::StatusOr<LogContent> ReadLog(base::FileSystem* files, const std::string& path, FileType type,
                                   uint64_t bytes_max) {
  LogContent content;
  BANDB_ASSIGN_OR_RETURN(content.bytes, base::ReadFile(files, path, UINT64_MAX));
  if (content.bytes.size() > bytes_max) content.bytes.resize(bytes_max);
  if (content.bytes.size() < kFileHeaderBytes || AllZero(std::string_view(content.bytes).substr(0, kFileHeaderBytes))) {
    content.dropped_bytes = UsedBytes(content.bytes);
    content.end = content.dropped_bytes == 0 ? LogEnd::kOpen : LogEnd::kDamaged;
    // The header is synced before anything is appended to it.
    if (content.dropped_bytes > kFileHeaderBytes) {
      return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: the file header is gone", path);
    }
    return content;
  }
  const absl::StatusOr<FileHeader> header = DecodeFileHeader(content.bytes, type, path);
  // A header that does not decode is corruption, unless it can be the torn end of a file that was just created: then
  // nothing stands behind it. What a header seeds cannot be verified without it, so anything there counts.
  if (!header.ok()) {
    const bool alone = UsedBytes(content.bytes) <= kFileHeaderBytes;
    if (header.status().code() != absl::StatusCode::kDataLoss || !alone) return header.status();
    content.dropped_bytes = UsedBytes(content.bytes);
    content.end = LogEnd::kDamaged;
    return content;
  }
  content.header = *header;
  content.has_header = true;
  content.checksum_seed = header->checksum_seed();
  ScanRecords(&content);
  bool sealed_behind = false;
  if (content.end == LogEnd::kDamaged) ScanBehindDamage(&content, &sealed_behind);
  const bool synced = content.valid_bytes < content.synced_offset || sealed_behind;
  if (synced) {
    return base::Error(absl::StatusCode::kDataLoss,
                       "{}: offset {}: damage in bytes that had been synced up to offset {}", path, content.valid_bytes,
                       content.synced_offset);
  }
  return content;
}

bool LogReader::Next(ParsedRecord* record) {
  if (next_offset_ >= content_.valid_bytes) return false;
  record_offset_ = next_offset_;
  ParseKnownRecord(content_.bytes, next_offset_, content_.checksum_seed, record);
  next_offset_ += record->record_bytes;
  return true;
}

}  // namespace bandb::storage
