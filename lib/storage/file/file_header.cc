#include "storage/file/file_header.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "base/status.h"

namespace bandb::storage {

namespace {

constexpr size_t kMagicBytes = 8;
constexpr size_t kChecksumAt = kFileHeaderBytes - sizeof(uint64_t);
// No feature bits are defined yet.
// Of a file of this type.
uint64_t KnownIncompatibleFeatures(FileType type) { return type == FileType::kLog ? kSystemRecordsFeature : 0; }

std::string_view Magic(FileType type) {
  switch (type) {
    case FileType::kTable:
      return "BanDBtbl";
    case FileType::kLog:
    case FileType::kSegment:
      return "BanDBlog";
    case FileType::kManifest:
      return "BanDBman";
    case FileType::kChangeIndex:
      return "BanDBchg";
  }
  BANDB_UNREACHABLE();
}

uint32_t FormatVersion(FileType type) {
  switch (type) {
    case FileType::kTable:
      return kTableFormatVersion;
    case FileType::kLog:
      return kLogFormatVersion;
    case FileType::kManifest:
      return kManifestFormatVersion;
    case FileType::kSegment:
      return kSegmentFormatVersion;
    case FileType::kChangeIndex:
      return kChangeIndexFormatVersion;
  }
  BANDB_UNREACHABLE();
}

// Tables of the first version stay readable; logs and segments are different things.
uint32_t OldestFormatVersion(FileType type) { return type == FileType::kTable ? 1 : FormatVersion(type); }

std::string_view View(const Uuid& id) { return std::string_view(id.bytes.data(), id.bytes.size()); }

}  // namespace

Uuid RandomUuid(base::Random* random) {
  Uuid id;
  base::StoreFixed<uint64_t>(id.bytes.data(), random->Next());
  base::StoreFixed<uint64_t>(id.bytes.data() + 8, random->Next());
  return id;
}

std::string ToString(const Uuid& id) {
  std::string text;
  for (const char byte : id.bytes) text += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  return text;
}

uint64_t FileHeader::checksum_seed() const { return base::Hash64(View(file_id)); }

std::string EncodeFileHeader(const FileHeader& header) {
  std::string bytes(Magic(header.type));
  BANDB_ASSERT(bytes.size() == kMagicBytes);
  const uint32_t version = header.format_version == 0 ? FormatVersion(header.type) : header.format_version;
  BANDB_ASSERT(version >= OldestFormatVersion(header.type));
  BANDB_ASSERT(version <= FormatVersion(header.type));
  base::PutFixed32(&bytes, version);
  base::PutFixed32(&bytes, kFileHeaderBytes);
  base::PutFixed64(&bytes, header.incompatible_features);
  base::PutFixed64(&bytes, header.compatible_features);
  bytes.append(View(header.database_id));
  bytes.append(View(header.file_id));
  base::PutFixed64(&bytes, 0);
  base::PutFixed64(&bytes, base::Hash64(bytes));
  BANDB_ASSERT(bytes.size() == kFileHeaderBytes);
  return bytes;
}

absl::StatusOr<FileHeader> DecodeFileHeader(std::string_view bytes, FileType type, std::string_view path) {
  if (bytes.size() < kFileHeaderBytes) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: {} bytes, too short for a file header", path,
                       bytes.size());
  }
  if (bytes.substr(0, kMagicBytes) != Magic(type)) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: not a {} file", path, Magic(type));
  }
  if (base::LoadFixed<uint64_t>(bytes.data() + kChecksumAt) != base::Hash64(bytes.substr(0, kChecksumAt))) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: the checksum of the file header does not fit", path);
  }
  base::ByteReader reader(bytes.substr(kMagicBytes));
  FileHeader header{.type = type, .database_id = {}, .file_id = {}};
  uint32_t version = 0, header_bytes = 0;
  uint64_t encryption_key_id = 0;
  std::string_view database_id, file_id;
  const bool whole = reader.ReadFixed(&version) && reader.ReadFixed(&header_bytes) &&
                     reader.ReadFixed(&header.incompatible_features) && reader.ReadFixed(&header.compatible_features) &&
                     reader.ReadBytes(16, &database_id) && reader.ReadBytes(16, &file_id) &&
                     reader.ReadFixed(&encryption_key_id);
  BANDB_ASSERT(whole);
  if (version < OldestFormatVersion(type) || version > FormatVersion(type)) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "{}: format version {} (this program reads up to version {}): written by a newer release", path,
                       version, FormatVersion(type));
  }
  header.format_version = version;
  if (header_bytes != kFileHeaderBytes) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "{}: a file header of {} bytes (this program reads {}): written by a newer release", path,
                       header_bytes, kFileHeaderBytes);
  }
  const uint64_t unknown_features = header.incompatible_features & ~KnownIncompatibleFeatures(type);
  if (unknown_features != 0 || encryption_key_id != 0) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "{}: uses incompatible features {:#x} and encryption key {}, which this program does not know",
                       path, unknown_features, encryption_key_id);
  }
  std::memcpy(header.database_id.bytes.data(), database_id.data(), 16);
  std::memcpy(header.file_id.bytes.data(), file_id.data(), 16);
  return header;
}

}  // namespace bandb::storage
