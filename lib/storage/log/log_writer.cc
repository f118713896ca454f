#include "storage/log/log_writer.h"

#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/status.h"

namespace bandb::storage {

namespace {

// Scratch memory beyond this is given back after a large record.
constexpr size_t kScratchBytesKept = 1 << 20;

}  // namespace

LogWriter::LogWriter(std::unique_ptr<base::AppendableFile> file, std::string path, uint64_t checksum_seed)
    : file_(std::move(file)), path_(std::move(path)), checksum_seed_(checksum_seed) {}

absl::StatusOr<std::unique_ptr<LogWriter>> LogWriter::Create(base::FileSystem* files, const std::string& path,
                                                             const FileHeader& header) {
  BANDB_ASSERT(header.type == FileType::kLog || header.type == FileType::kManifest);
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::AppendableFile> file,
                         files->Create(path, base::AppendMode::kWriteThrough));
  BANDB_RETURN_IF_ERROR(file->Append(EncodeFileHeader(header)));
  std::unique_ptr<LogWriter> writer(new LogWriter(std::move(file), path, header.checksum_seed()));
  writer->size_.store(kFileHeaderBytes, std::memory_order_release);
  return writer;
}

absl::Status LogWriter::Reserve(size_t payload_bytes) {
  return file_->Reserve(kRecordFixedBytes + kRecordVarints * base::kVarint64BytesMax + payload_bytes +
                        kRecordIdentityBytes);
}

void LogWriter::StartRecord(const RecordHead& head) {
  scratch_.clear();
  head_ = head;
  head_.synced_offset = SyncedOffset();
  BeginRecord(&scratch_, head_);
  payload_begin_ = scratch_.size();
}

absl::Status LogWriter::Finish() {
  const uint64_t offset = size_.load(std::memory_order_relaxed);
  FinishRecord(&scratch_, 0, payload_begin_, head_, checksum_seed_, offset);
  BANDB_RETURN_IF_ERROR(file_->Append(scratch_));
  size_.store(offset + scratch_.size(), std::memory_order_release);
  if (scratch_.capacity() > kScratchBytesKept) scratch_ = std::string();
  return absl::OkStatus();
}

absl::Status LogWriter::Append(const RecordHead& head, std::string_view payload_bytes) {
  StartRecord(head);
  scratch_.append(payload_bytes);
  return Finish();
}

absl::Status LogWriter::SyncHeader() {
  BANDB_ASSERT(Size() == kFileHeaderBytes);
  return file_->Sync();
}

absl::Status LogWriter::Sync() {
  const uint64_t target = Size();
  BANDB_ASSERT(target >= kFileHeaderBytes);
  BANDB_RETURN_IF_ERROR(file_->Sync());
  BANDB_ASSERT(target >= SyncedOffset());
  synced_offset_.store(target, std::memory_order_release);
  return absl::OkStatus();
}

}  // namespace bandb::storage
