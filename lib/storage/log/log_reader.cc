#include "storage/log/log_reader.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

namespace {

// So much of a file is read at a time.
constexpr uint64_t kPieceBytes = 4 << 20;

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

// Records behind the damage may tell that the damaged bytes had been synced. False if there is too
// much to look at: nothing that was ever a log looks like that.
bool ScanBehindDamage(LogContent* content, bool* sealed) {
  uint64_t offset = content->valid_bytes + 1;
  ParsedRecord record;
  // Every byte once, and as much again for what looks like a record and is none.
  uint64_t hash_bytes_left = 2 * content->bytes.size();
  while (offset < content->bytes.size()) {
    offset = FindNextRecord(content->bytes, offset, content->checksum_seed, &hash_bytes_left, &record);
    if (offset >= content->bytes.size()) return hash_bytes_left != 0;
    content->synced_offset = std::max(content->synced_offset, record.head.synced_offset);
    if (record.head.type == RecordType::kSeal) *sealed = true;
    offset += record.record_bytes;
  }
  return true;
}

// The file up to `bytes_max`, with some of the zeros at its end: a record may end in a few.
absl::StatusOr<std::string> ReadContent(base::FileSystem* files, const std::string& path, uint64_t bytes_max) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
  const uint64_t size = std::min(file->Size(), bytes_max);
  if (size > kLogFileBytesMax) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: a file of {} bytes, which no log has", path,
                       kLogFileBytesMax, file->Size());
  }
  std::string content, piece;
  for (uint64_t offset = 0; offset < size;) {
    piece.resize(std::min(size - offset, kPieceBytes));
    BANDB_ASSIGN_OR_RETURN(const size_t got, file->Read(offset, absl::MakeSpan(piece)));
    if (UsedBytes(std::string_view(piece).substr(0, got)) != 0) {
      // Pieces that were left out since the last one come back as zeros.
      content.resize(offset);
      content.append(piece, 0, got);
    }
    offset += got;
    if (got < piece.size() || offset == size) {
      content.resize(std::min(offset, content.size() + kRecordBytesMin));
      break;
    }
  }
  return content;
}

}  // namespace

absl::StatusOr<LogContent> ReadLog(base::FileSystem* files, const std::string& path, FileType type,
                                   uint64_t bytes_max) {
  LogContent content;
  BANDB_ASSIGN_OR_RETURN(content.bytes, ReadContent(files, path, bytes_max));
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
  // A header that does not decode is corruption, unless it can be the torn end of a file that was
  // just created: then nothing stands behind it. What a header seeds cannot be verified without it,
  // so anything there counts.
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
  if (content.end == LogEnd::kDamaged && !ScanBehindDamage(&content, &sealed_behind)) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: damage that is not the tail of a log", path,
                       content.valid_bytes);
  }
  const bool synced = content.valid_bytes < content.synced_offset || sealed_behind;
  if (synced) {
    return base::Error(absl::StatusCode::kDataLoss,
                       "{}: offset {}: damage in bytes that had been synced up to offset {}", path, content.valid_bytes,
                       content.synced_offset);
  }
  return content;
}

namespace {

// The bytes of a file from the record on that is looked at, as many as that needs.
class RecordWindow {
 public:
  RecordWindow(const base::RandomAccessFile& file, uint64_t bytes) : file_(file), bytes_(bytes) {}

  std::string_view rest() const { return std::string_view(buffer_).substr(begin_); }
  uint64_t offset() const { return offset_; }
  void Skip(uint64_t bytes) {
    begin_ += bytes;
    offset_ += bytes;
  }
  // False if there is no more.
  absl::StatusOr<bool> ReadMore() {
    buffer_.erase(0, begin_);
    begin_ = 0;
    const uint64_t have = buffer_.size();
    const uint64_t more = std::min(bytes_ - offset_ - have, std::max(kPieceBytes, have));
    buffer_.resize(have + more);
    BANDB_ASSIGN_OR_RETURN(const size_t got,
                           file_.Read(offset_ + have, absl::MakeSpan(buffer_).subspan(static_cast<size_t>(have))));
    buffer_.resize(have + got);
    return got != 0;
  }

 private:
  const base::RandomAccessFile& file_;
  const uint64_t bytes_;
  std::string buffer_;
  uint64_t begin_ = 0;
  // Of the file, where rest() begins.
  uint64_t offset_ = 0;
};

}  // namespace

absl::Status VerifyLog(base::FileSystem* files, const std::string& path, FileType type, uint64_t bytes) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
  // A log that was found without a header: none of it counts.
  if (bytes == 0) return absl::OkStatus();
  RecordWindow window(*file, bytes);
  BANDB_RETURN_IF_ERROR(window.ReadMore().status());
  BANDB_ASSIGN_OR_RETURN(const FileHeader header, DecodeFileHeader(window.rest(), type, path));
  window.Skip(kFileHeaderBytes);
  ParsedRecord record;
  while (window.offset() < bytes) {
    if (ParseRecordAt(window.rest(), window.offset(), header.checksum_seed(), &record)) {
      window.Skip(record.record_bytes);
      continue;
    }
    // A longer record than was read so far, or none.
    bool more = window.rest().size() <= kRecordBytesMax;
    if (more) {
      BANDB_ASSIGN_OR_RETURN(more, window.ReadMore());
    }
    if (!more) {
      return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: damage, {} bytes were written", path,
                         window.offset(), bytes);
    }
  }
  return absl::OkStatus();
}

bool LogReader::Next(ParsedRecord* record) {
  if (next_offset_ >= content_.valid_bytes) return false;
  record_offset_ = next_offset_;
  ParseKnownRecord(content_.bytes, next_offset_, content_.checksum_seed, record);
  next_offset_ += record->record_bytes;
  return true;
}

}  // namespace bandb::storage
