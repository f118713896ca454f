#include "storage/log/log_tail.h"

#include <algorithm>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

namespace {

// So much is read at a time: small, for there may be many readers.
constexpr uint64_t kTailPieceBytes = 64 << 10;

}  // namespace

absl::Status LogTail::Damage() const {
  return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: damage in what was written", path_, offset_);
}

LogTail::Peeked LogTail::Peek(ParsedRecord* record) {
  const std::string_view rest = std::string_view(buffer_).substr(begin_);
  if (rest.size() < kRecordBytesMin) return Peeked::kMore;
  if (ParseRecordAt(rest, offset_, checksum_seed_, record)) return Peeked::kRecord;
  const size_t enough = RecordBytesEnough(rest, checksum_seed_);
  return enough > rest.size() ? Peeked::kMore : Peeked::kDamaged;
}

void LogTail::Skip(const ParsedRecord& record) {
  BANDB_ASSERT(record.record_bytes <= buffer_.size() - begin_);
  begin_ += record.record_bytes;
  offset_ += record.record_bytes;
}

absl::Status LogTail::Fill(const base::RandomAccessFile& file, uint64_t bytes) {
  if (offset_ == 0) BANDB_RETURN_IF_ERROR(ReadHeader(file, bytes));
  uint64_t wanted = kTailPieceBytes;
  const std::string_view rest = std::string_view(buffer_).substr(begin_);
  if (rest.size() >= kRecordFixedBytes) {
    wanted = std::max<uint64_t>(wanted, RecordBytesEnough(rest, checksum_seed_));
  }
  const uint64_t end = std::min(bytes, offset_ + std::max<uint64_t>(wanted, rest.size()));
  // All that was written is held, and yet no record: it ends in the middle of one.
  if (end <= filled()) return Damage();
  return Read(file, end - filled());
}

absl::Status LogTail::Read(const base::RandomAccessFile& file, uint64_t more) {
  buffer_.erase(0, begin_);
  begin_ = 0;
  const size_t have = buffer_.size();
  // After a large record the memory for it is given back.
  if (have + more <= kTailPieceBytes && buffer_.capacity() > 2 * kTailPieceBytes) {
    std::string smaller;
    smaller.reserve(kTailPieceBytes);
    smaller.append(buffer_);
    buffer_.swap(smaller);
  }
  buffer_.resize(have + more);
  const absl::StatusOr<size_t> got = file.Read(offset_ + have, absl::MakeSpan(&buffer_[have], more));
  if (got.ok() && *got == more) return absl::OkStatus();
  buffer_.resize(have);
  if (!got.ok()) return got.status();
  return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: the file is cut off", path_, offset_ + have + *got);
}

absl::Status LogTail::ReadHeader(const base::RandomAccessFile& file, uint64_t bytes) {
  if (bytes < kFileHeaderBytes) return Damage();
  BANDB_RETURN_IF_ERROR(Read(file, kFileHeaderBytes));
  const absl::StatusOr<FileHeader> header = DecodeFileHeader(buffer_, FileType::kLog, path_);
  Release();
  BANDB_RETURN_IF_ERROR(header.status());
  if (!(header->database_id == database_id_)) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: belongs to another database", path_);
  }
  checksum_seed_ = header->checksum_seed();
  offset_ = std::max<uint64_t>(kFileHeaderBytes, begin_offset_);
  return absl::OkStatus();
}

void LogTail::Release() {
  // An assignment would keep the memory.
  std::string().swap(buffer_);
  begin_ = 0;
}

}  // namespace bandb::storage
