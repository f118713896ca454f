// Any bytes as a log or a manifest: refused with an error that says so, or read up to where they
// are whole.
//
// The first byte says what is done to the rest: bit 0 makes it a manifest, bit 1 gives it a valid
// header, bit 2 makes the checksums and markers of its records fit, as somebody could who knows the
// file's id. Without that no change of a byte gets past the first checksum.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "kv/batch_format.h"
#include "storage/log/log_reader.h"
#include "storage/version/version_edit.h"
#include "support/crash_file_system.h"

namespace bandb::storage {

namespace {

FileHeader FixedHeader(FileType type) {
  FileHeader header{.type = type, .database_id = {}, .file_id = {}};
  header.file_id.bytes[0] = 7;
  return header;
}

// The length of the record that begins `rest`, by what its head says; 0 if it does not fit.
size_t ClaimedBytes(std::string_view rest) {
  base::ByteReader reader(rest);
  uint32_t payload_bytes = 0;
  uint64_t number = 0;
  if (!reader.Skip(kRecordFixedBytes - 4) || !reader.ReadFixed(&payload_bytes)) return 0;
  for (size_t i = 0; i < kRecordVarints; ++i) {
    if (!reader.ReadVarint(&number)) return 0;
  }
  if (!reader.Skip(payload_bytes) || !reader.Skip(kRecordIdentityBytes)) return 0;
  return rest.size() - reader.remaining();
}

void MakeChecksumsFit(std::string* bytes, uint64_t seed) {
  size_t at = kFileHeaderBytes;
  while (at < bytes->size()) {
    const size_t record_bytes = ClaimedBytes(std::string_view(*bytes).substr(at));
    if (record_bytes == 0) return;
    base::StoreFixed<uint16_t>(bytes->data() + at + 8, static_cast<uint16_t>(kRecordMarker ^ seed));
    const std::string_view covered = std::string_view(*bytes).substr(at + 8, record_bytes - 8);
    base::StoreFixed<uint64_t>(bytes->data() + at, base::BlockChecksum(seed, at, covered));
    at += record_bytes;
  }
}

void WalkRecords(const LogContent& content) {
  LogReader cursor(content);
  ParsedRecord record;
  uint64_t records = 0, end = kFileHeaderBytes;
  while (cursor.Next(&record)) {
    BANDB_ASSERT(cursor.offset() == end);
    end += record.record_bytes;
    ++records;
    kv::OperationReader operations(record.payload);
    kv::Operation operation;
    while (operations.Next(&operation)) {
    }
    DecodeEdit(record.payload).status().IgnoreError();
  }
  BANDB_ASSERT(records == content.records);
  BANDB_ASSERT(!content.has_header || end == content.valid_bytes);
}

void TryAll(std::string_view input) {
  if (input.empty()) return;
  const auto flags = static_cast<uint8_t>(input[0]);
  const FileType type = (flags & 1) != 0 ? FileType::kManifest : FileType::kLog;
  std::string bytes(input.substr(1));
  const FileHeader header = FixedHeader(type);
  if ((flags & 2) != 0) bytes.replace(0, kFileHeaderBytes, EncodeFileHeader(header));
  if ((flags & 4) != 0) MakeChecksumsFit(&bytes, header.checksum_seed());
  test::CrashFileSystem files;
  auto file = files.Create("log", base::AppendMode::kBuffered);
  BANDB_ASSERT(file.ok() && (*file)->Append(bytes).ok() && (*file)->Close().ok());
  const absl::StatusOr<LogContent> content = ReadLog(&files, "log", type);
  if (!content.ok()) {
    const absl::StatusCode code = content.status().code();
    BANDB_ASSERT(code == absl::StatusCode::kDataLoss || code == absl::StatusCode::kFailedPrecondition);
    return;
  }
  BANDB_ASSERT(content->valid_bytes + content->dropped_bytes <= bytes.size());
  WalkRecords(*content);
  if (!content->has_header) return;
  // What counts of it reads the same without the rest.
  files.Truncate("log", content->valid_bytes);
  const absl::StatusOr<LogContent> again = ReadLog(&files, "log", type);
  BANDB_ASSERT(again.ok());
  BANDB_ASSERT(again->records == content->records && again->valid_bytes == content->valid_bytes);
  BANDB_ASSERT(again->dropped_bytes == 0 && again->end != LogEnd::kDamaged);
}

}  // namespace

}  // namespace bandb::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bandb::storage::TryAll(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
