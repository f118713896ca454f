#include "storage/log/log_reader.h"

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace bandb::storage {

namespace {

// The bytes of a tail that are not zero, up to the last of them.
uint64_t UsedBytes(std::string_view tail) {
  const size_t last = tail.find_last_not_of('\0');
  return last == std::string_view::npos ? 0 : last + 1;
}

// Reads one file.
class FileScan {
 public:
  FileScan(const base::RandomAccessFile& file, std::string_view path, uint64_t bytes, bool keep_bytes)
      : path_(path), stream_(file, path, bytes), bytes_(bytes), keep_bytes_(keep_bytes) {}

  absl::StatusOr<LogContent> Run(FileType type) {
    BANDB_RETURN_IF_ERROR(stream_.Hold(kFileHeaderBytes));
    const std::string_view head = stream_.rest().substr(0, kFileHeaderBytes);
    if (head.size() < kFileHeaderBytes || UsedBytes(head) == 0) return WithoutHeader();
    const absl::StatusOr<FileHeader> header = DecodeFileHeader(head, type, std::string(path_));
    if (!header.ok()) return WithoutHeader(header.status());
    content_.header = *header;
    content_.has_header = true;
    content_.checksum_seed = header->checksum_seed();
    if (keep_bytes_) content_.bytes = head;
    stream_.Skip(kFileHeaderBytes);
    BANDB_RETURN_IF_ERROR(ReadRecords());
    content_.valid_bytes = stream_.offset();
    if (content_.end == LogEnd::kOpen) return ReadOpenEnd();
    // Nothing was written after its end.
    BANDB_RETURN_IF_ERROR(MeasureTail());
    return std::move(content_);
  }

 private:
  absl::Status Damage(uint64_t offset, std::string_view what) const {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: {}", path_, offset, what);
  }

  // A file that is too short for a header, or holds zeros in its place, or one that does not
  // decode. That is corruption, unless it can be the torn end of a file that was just created: then
  // nothing comes after it. What a header seeds cannot be verified without it, so anything there
  // counts; and it is synced before anything is appended to it.
  absl::StatusOr<LogContent> WithoutHeader(const absl::Status& refused = {}) {
    if (!refused.ok() && refused.code() != absl::StatusCode::kDataLoss) return refused;
    BANDB_RETURN_IF_ERROR(MeasureTail());
    if (content_.dropped_bytes > kFileHeaderBytes) return refused.ok() ? Damage(0, "the file header is gone") : refused;
    content_.end = content_.dropped_bytes == 0 ? LogEnd::kOpen : LogEnd::kDamaged;
    return std::move(content_);
  }

  // After valid_bytes: how much there is up to the last byte that is not zero.
  absl::Status MeasureTail() {
    while (true) {
      BANDB_ASSIGN_OR_RETURN(const bool more, stream_.SkipZeros());
      if (!more) return absl::OkStatus();
      Measure();
      stream_.Skip(stream_.rest().size());
    }
  }

  // Has enough held for the record that begins at the present place; false if none does.
  absl::StatusOr<bool> HoldRecord() {
    BANDB_RETURN_IF_ERROR(stream_.Hold(kRecordBytesMin));
    if (stream_.rest().size() < kRecordBytesMin) return false;
    const size_t enough = RecordBytesEnough(stream_.rest(), content_.checksum_seed);
    BANDB_RETURN_IF_ERROR(stream_.Hold(enough));
    return enough != 0;
  }

  // Up to the first place at which none is whole.
  absl::Status ReadRecords() {
    ParsedRecord record;
    while (true) {
      BANDB_ASSIGN_OR_RETURN(const bool begins, HoldRecord());
      if (!begins || !ParseRecordAt(stream_.rest(), stream_.offset(), content_.checksum_seed, &record)) {
        return absl::OkStatus();
      }
      if (content_.records++ == 0) content_.first_sequence = record.head.first_sequence;
      content_.synced_offset = std::max(content_.synced_offset, record.head.synced_offset);
      if (keep_bytes_) content_.bytes.append(stream_.rest().substr(0, record.record_bytes));
      const RecordType type = record.head.type;
      stream_.Skip(record.record_bytes);
      if (type != RecordType::kEnd && type != RecordType::kSeal) continue;
      content_.end = type == RecordType::kEnd ? LogEnd::kEnded : LogEnd::kSealed;
      return absl::OkStatus();
    }
  }

  // After the whole records of a file that is not ended: nothing, zeros, or damage. Records after
  // that may tell that the damaged bytes had been synced.
  absl::StatusOr<LogContent> ReadOpenEnd() {
    bool sealed = false;
    // Every byte once, and as much again for what looks like a record and is none.
    uint64_t hash_bytes_left = 2 * (bytes_ - content_.valid_bytes);
    BANDB_ASSIGN_OR_RETURN(const bool all_seen, ScanBehindDamage(&hash_bytes_left, &sealed));
    if (!all_seen) return Damage(content_.valid_bytes, "damage that is not the tail of a log");
    if (content_.dropped_bytes != 0) content_.end = LogEnd::kDamaged;
    if (content_.valid_bytes >= content_.synced_offset && !sealed) return std::move(content_);
    return Damage(content_.valid_bytes,
                  fmt::format("damage in bytes that had been synced up to offset {}", content_.synced_offset));
  }

  // False if there is too much to look at: nothing that was ever a log looks like that.
  absl::StatusOr<bool> ScanBehindDamage(uint64_t* hash_bytes_left, bool* sealed) {
    const std::string marker = RecordMarker(content_.checksum_seed);
    ParsedRecord record;
    while (true) {
      BANDB_ASSIGN_OR_RETURN(const bool more, stream_.SkipZeros());
      if (!more) return true;
      Measure();
      const size_t at = stream_.rest().find(marker, kRecordMarkerAt);
      if (at == std::string_view::npos) {
        // What may be the beginning of one stays.
        const uint64_t held = stream_.rest().size();
        const bool last = stream_.offset() + held == bytes_;
        stream_.Skip(last ? held : held - std::min<uint64_t>(held, kRecordMarkerAt + marker.size() - 1));
        if (!last) BANDB_RETURN_IF_ERROR(stream_.Hold(stream_.rest().size() + 1));
        continue;
      }
      stream_.Skip(at - kRecordMarkerAt);
      BANDB_ASSIGN_OR_RETURN(bool found, HoldRecord());
      Measure();
      // What costs nothing first: hardly any bytes that look like a head have its identity where it
      // must be.
      if (found && LooksLikeRecord(stream_.rest(), content_.checksum_seed, &record)) {
        if (record.record_bytes > *hash_bytes_left) return false;
        *hash_bytes_left -= record.record_bytes;
        found = ParseRecordAt(stream_.rest(), stream_.offset(), content_.checksum_seed, &record);
      } else {
        found = false;
      }
      if (found) {
        content_.synced_offset = std::max(content_.synced_offset, record.head.synced_offset);
        *sealed |= record.head.type == RecordType::kSeal;
      }
      stream_.Skip(found ? record.record_bytes : 1);
    }
  }

  // What is held, into dropped_bytes.
  void Measure() {
    const uint64_t end = stream_.offset() + stream_.rest().size();
    if (end == measured_end_) return;
    measured_end_ = end;
    const uint64_t used = UsedBytes(stream_.rest());
    if (used != 0) content_.dropped_bytes = stream_.offset() + used - content_.valid_bytes;
  }

  const std::string_view path_;
  LogStream stream_;
  const uint64_t bytes_;
  const bool keep_bytes_;
  // Up to where dropped_bytes counts.
  uint64_t measured_end_ = 0;
  LogContent content_;
};

absl::StatusOr<LogContent> ScanFile(base::FileSystem* files, const std::string& path, FileType type, uint64_t bytes_max,
                                    bool keep_bytes) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
  const uint64_t size = std::min(file->Size(), bytes_max);
  const uint64_t bytes = std::min(size, kLogFileBytesMax);
  if (bytes < size && file->SkipHole(bytes) < size) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: a file of {} bytes, which no log has", path,
                       kLogFileBytesMax, file->Size());
  }
  return FileScan(*file, path, bytes, keep_bytes).Run(type);
}

}  // namespace

absl::StatusOr<LogContent> ReadLog(base::FileSystem* files, const std::string& path, FileType type,
                                   uint64_t bytes_max) {
  return ScanFile(files, path, type, bytes_max, true);
}

absl::StatusOr<LogContent> CheckLog(base::FileSystem* files, const std::string& path, FileType type,
                                    uint64_t bytes_max) {
  return ScanFile(files, path, type, bytes_max, false);
}

absl::Status VerifyLog(base::FileSystem* files, const std::string& path, FileType type, uint64_t bytes) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<LogWalk> walk, LogWalk::Begin(files, path, type, bytes));
  ParsedRecord record;
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const bool more, walk->Next(&record));
    if (!more) return absl::OkStatus();
  }
}

LogWalk::LogWalk(std::unique_ptr<base::RandomAccessFile> file, std::string path, uint64_t bytes)
    : file_(std::move(file)),
      path_(std::move(path)),
      bytes_(bytes),
      stream_(*file_, path_, std::min(bytes, file_->Size())) {}

absl::StatusOr<std::unique_ptr<LogWalk>> LogWalk::Begin(base::FileSystem* files, const std::string& path, FileType type,
                                                        uint64_t bytes) {
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
  std::unique_ptr<LogWalk> walk(new LogWalk(std::move(file), path, bytes));
  // A log that was found without a header: none of it counts.
  if (bytes == 0) return walk;
  BANDB_RETURN_IF_ERROR(walk->stream_.Hold(kFileHeaderBytes));
  BANDB_ASSIGN_OR_RETURN(const FileHeader header, DecodeFileHeader(walk->stream_.rest(), type, path));
  walk->header_.assign(walk->stream_.rest().substr(0, kFileHeaderBytes));
  walk->checksum_seed_ = header.checksum_seed();
  walk->stream_.Skip(kFileHeaderBytes);
  return walk;
}

absl::StatusOr<bool> LogWalk::Next(ParsedRecord* record) {
  stream_.Skip(std::exchange(record_bytes_, 0));
  if (stream_.offset() >= bytes_) return false;
  BANDB_RETURN_IF_ERROR(stream_.Hold(kRecordBytesMin));
  const size_t enough = stream_.rest().size() < kRecordBytesMin ? 0 : RecordBytesEnough(stream_.rest(), checksum_seed_);
  BANDB_RETURN_IF_ERROR(stream_.Hold(enough));
  if (enough == 0 || !ParseRecordAt(stream_.rest(), stream_.offset(), checksum_seed_, record)) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: damage, {} bytes were written", path_,
                       stream_.offset(), bytes_);
  }
  record_offset_ = stream_.offset();
  record_bytes_ = record->record_bytes;
  return true;
}

bool LogReader::Next(ParsedRecord* record) {
  if (next_offset_ >= content_.valid_bytes) return false;
  record_offset_ = next_offset_;
  ParseKnownRecord(content_.bytes, next_offset_, content_.checksum_seed, record);
  next_offset_ += record->record_bytes;
  return true;
}

}  // namespace bandb::storage
