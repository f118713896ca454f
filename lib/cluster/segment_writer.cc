#include "cluster/segment_writer.h"

#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "cluster/segment_format.h"

namespace bandb::cluster {

namespace {

// Scratch memory beyond this is given back after a large record.
constexpr size_t kScratchBytesKept = 1 << 20;
constexpr uint64_t kRecordOverheadMax =
    storage::kRecordFixedBytes + storage::kRecordVarints * base::kVarint64BytesMax + storage::kRecordIdentityBytes;

}  // namespace

SegmentWriter::SegmentWriter(std::unique_ptr<base::AppendableFile> file, uint64_t number, uint64_t checksum_seed,
                             uint64_t room_end)
    : file_(std::move(file)), number_(number), checksum_seed_(checksum_seed), room_end_(room_end) {}

absl::StatusOr<std::unique_ptr<SegmentWriter>> SegmentWriter::Create(base::FileSystem* files, const std::string& path,
                                                                     uint64_t number, const storage::FileHeader& header,
                                                                     uint64_t segment_bytes) {
  BANDB_ASSERT(header.type == storage::FileType::kSegment);
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::AppendableFile> file,
                         files->Create(path, base::AppendMode::kWriteThrough));
  BANDB_RETURN_IF_ERROR(file->Reserve(kSectorBytes + segment_bytes));
  std::string sector = storage::EncodeFileHeader(header);
  sector.resize(kSectorBytes, '\0');
  BANDB_RETURN_IF_ERROR(file->Append(sector));
  BANDB_RETURN_IF_ERROR(file->Sync());
  return std::unique_ptr<SegmentWriter>(
      new SegmentWriter(std::move(file), number, header.checksum_seed(), kSectorBytes + segment_bytes));
}

bool SegmentWriter::HasRoom(size_t payload_bytes) const {
  return FileOffset(size_ + kRecordOverheadMax + payload_bytes) <= room_end_;
}

absl::Status SegmentWriter::MakeRoom(size_t payload_bytes) {
  if (HasRoom(payload_bytes)) return absl::OkStatus();
  const uint64_t end = FileOffset(size_ + kRecordOverheadMax + payload_bytes);
  BANDB_RETURN_IF_ERROR(file_->Reserve(end - FileOffset(size_)));
  room_end_ = end;
  return absl::OkStatus();
}

absl::Status SegmentWriter::Append(storage::RecordHead head, std::string_view payload) {
  BANDB_ASSERT(payload.size() <= storage::kRecordPayloadBytesMax);
  BANDB_RETURN_IF_ERROR(MakeRoom(payload.size()));
  head.synced_offset = synced_;
  if (!IsEntry(head.type)) head.first_sequence = number_;
  record_.clear();
  const size_t begin = storage::BeginRecord(&record_, head);
  const size_t payload_begin = record_.size();
  record_.append(payload);
  storage::FinishRecord(&record_, begin, payload_begin, head, checksum_seed_, size_);
  sectors_.clear();
  AppendSectors(checksum_seed_, size_, record_, &sectors_);
  BANDB_ASSERT(file_->Size() == FileOffset(size_));
  BANDB_RETURN_IF_ERROR(file_->Append(sectors_));
  size_ += record_.size();
  if (record_.capacity() > kScratchBytesKept) record_ = std::string();
  if (sectors_.capacity() > kScratchBytesKept) sectors_ = std::string();
  return absl::OkStatus();
}

}  // namespace bandb::cluster
