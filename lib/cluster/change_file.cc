#include "cluster/change_file.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "base/status.h"
#include "cluster/segment_format.h"
#include "cluster/segment_reader.h"

namespace bandb::cluster {

namespace {

constexpr std::string_view kChangeSuffix = ".chg";
constexpr size_t kHeadBytes = sizeof(uint32_t) + sizeof(uint64_t);
// Far more than any block that is written comes to.
constexpr uint32_t kPayloadBytesMax = 64 << 20;
constexpr size_t kEntryBytesMin = 7;
constexpr uint8_t kBegins = 1;
constexpr uint8_t kTellsUse = 2;

// No log comes to such an index or sequence, and sums with others do not overflow.
constexpr uint64_t kNumberMax = uint64_t{1} << 62;

bool IsPossible(const ChangeBound& bound) {
  return bound.index <= kNumberMax && bound.sequence <= kNumberMax && bound.user_sequence <= bound.sequence;
}
// Where a segment may have something: what is read there takes memory.
bool IsPossible(const EntryPlace& place) {
  return place.offset <= kSegmentBytesMax && place.record_bytes <= kSegmentBytesMax;
}

bool DecodeChangeEntry(base::ByteReader* reader, const ChangeBound& before, ChangeEntry* entry) {
  uint64_t sequences_and_use = 0;
  uint64_t time_more_ms = 0;
  std::string_view undone;
  const bool whole = reader->ReadVarint(&entry->place.segment) && reader->ReadVarint(&entry->place.offset) &&
                     reader->ReadVarint32(&entry->place.record_bytes) && reader->ReadVarint(&entry->place.term) &&
                     reader->ReadVarint(&sequences_and_use) && reader->ReadVarint(&time_more_ms) &&
                     reader->ReadLengthPrefixed(&undone);
  const uint64_t sequence = before.sequence + sequences_and_use / 2;
  entry->end = {.index = before.index + 1,
                .sequence = sequence,
                .user_sequence = sequences_and_use % 2 != 0 ? sequence : before.user_sequence,
                .time_ms = before.time_ms + time_more_ms};
  entry->undone = undone;
  return whole && time_more_ms <= UINT64_MAX - before.time_ms && IsPossible(entry->place) && IsPossible(entry->end);
}

bool DecodePayload(std::string_view payload, ChangeStretch* block) {
  base::ByteReader reader(payload);
  uint8_t flags = 0;
  uint64_t count = 0;
  block->entries.clear();
  if (!reader.ReadFixed(&flags) || !reader.ReadVarint(&block->before.index) ||
      !reader.ReadVarint(&block->before.sequence) || !reader.ReadVarint(&block->before.user_sequence) ||
      !reader.ReadVarint(&block->before.time_ms) || !reader.ReadVarint(&count) || count == 0 ||
      count > reader.remaining() / kEntryBytesMin || (flags & kTellsUse) == 0 || !IsPossible(block->before)) {
    return false;
  }
  block->begins = (flags & kBegins) != 0;
  ChangeBound before = block->before;
  for (uint64_t i = 0; i < count; ++i) {
    ChangeEntry& entry = block->entries.emplace_back();
    if (!DecodeChangeEntry(&reader, before, &entry)) return false;
    before = entry.end;
  }
  return reader.empty();
}

}  // namespace

std::string ChangeFileName(uint64_t number) { return NumberedName(number, kChangeSuffix); }

std::optional<uint64_t> ParseChangeFileName(std::string_view name) { return ParseNumberedName(name, kChangeSuffix); }

void AppendChangeBlock(uint64_t checksum_seed, uint64_t offset, bool begins, const ChangeBound& before,
                       absl::Span<const ChangeEntry> entries, std::string* to) {
  BANDB_ASSERT(!entries.empty());
  std::string payload;
  base::PutFixed8(&payload, static_cast<uint8_t>(kTellsUse | (begins ? kBegins : 0)));
  base::PutVarint(&payload, before.index);
  base::PutVarint(&payload, before.sequence);
  base::PutVarint(&payload, before.user_sequence);
  base::PutVarint(&payload, before.time_ms);
  base::PutVarint(&payload, entries.size());
  ChangeBound last = before;
  for (const ChangeEntry& entry : entries) {
    BANDB_ASSERT(entry.end.index == last.index + 1);
    BANDB_ASSERT(entry.end.sequence >= last.sequence);
    BANDB_ASSERT(entry.end.time_ms >= last.time_ms);
    base::PutVarint(&payload, entry.place.segment);
    base::PutVarint(&payload, entry.place.offset);
    base::PutVarint(&payload, entry.place.record_bytes);
    base::PutVarint(&payload, entry.place.term);
    const bool for_users = entry.end.user_sequence != last.user_sequence;
    BANDB_ASSERT(!for_users || entry.end.user_sequence == entry.end.sequence);
    base::PutVarint(&payload, (entry.end.sequence - last.sequence) * 2 + (for_users ? 1 : 0));
    base::PutVarint(&payload, entry.end.time_ms - last.time_ms);
    base::PutLengthPrefixed(&payload, entry.undone);
    last = entry.end;
  }
  BANDB_ASSERT(payload.size() <= kPayloadBytesMax);
  base::PutFixed32(to, static_cast<uint32_t>(payload.size()));
  base::PutFixed64(to, base::BlockChecksum(checksum_seed, offset, payload));
  to->append(payload);
}

absl::StatusOr<ChangeFile> ChangeFile::Open(base::FileSystem* files, const std::string& path,
                                            const storage::Uuid& database_id) {
  ChangeFile opened;
  opened.path_ = path;
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
  std::string bytes(storage::kFileHeaderBytes, '\0');
  BANDB_ASSIGN_OR_RETURN(const size_t got, file->Read(0, absl::MakeSpan(bytes)));
  bytes.resize(got);
  BANDB_ASSIGN_OR_RETURN(const storage::FileHeader header,
                         storage::DecodeFileHeader(bytes, storage::FileType::kChangeIndex, path));
  if (!(header.database_id == database_id)) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: a file of another database", path);
  }
  opened.file_ = std::move(file);
  opened.checksum_seed_ = header.checksum_seed();
  return opened;
}

absl::Status ChangeFile::ReadBlock(uint64_t* offset, ChangeStretch* block) const {
  const auto damaged = [&] {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: the change index is damaged", path_, *offset);
  };
  std::string head(kHeadBytes, '\0');
  BANDB_ASSIGN_OR_RETURN(const size_t head_got, file_->Read(*offset, absl::MakeSpan(head)));
  if (head_got != kHeadBytes) return damaged();
  const auto bytes = base::LoadFixed<uint32_t>(head.data());
  // Before as much is asked for as the bytes say.
  if (bytes > kPayloadBytesMax || *offset + kHeadBytes + bytes > file_->Size()) return damaged();
  std::string payload(bytes, '\0');
  BANDB_ASSIGN_OR_RETURN(const size_t got, file_->Read(*offset + kHeadBytes, absl::MakeSpan(payload)));
  if (got != bytes || base::BlockChecksum(checksum_seed_, *offset, payload) !=
                          base::LoadFixed<uint64_t>(head.data() + sizeof(uint32_t))) {
    return damaged();
  }
  if (!DecodePayload(payload, block)) return damaged();
  *offset += kHeadBytes + bytes;
  return absl::OkStatus();
}

}  // namespace bandb::cluster
