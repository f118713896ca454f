// The header that every file of a database begins with.
//
//   header := magic:8 bytes             "BanDB" and what the file is: "tbl", "log", "man", "chg"
//             format_version:u32        the version of that file's format
//             header_bytes:u32          80; what follows starts there
//             incompatible_features:u64 a reader that does not know one of these bits refuses the file
//             compatible_features:u64   a reader may ignore what it does not know
//             database_id:16 bytes
//             file_id:16 bytes          random; seeds the checksums of everything else in the file
//             encryption_key_id:u64     0: not encrypted
//             checksum:u64              XXH3-64 of the bytes above
//
// 80 bytes in all. The checksums of a file are bound to its id and their place in it
// (base::BlockChecksum), so that a block of another file, or of another place, never verifies; and
// to nothing else, so that a table can move to another node as it is.
#ifndef BANDB_STORAGE_FILE_FILE_HEADER_H_
#define BANDB_STORAGE_FILE_FILE_HEADER_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/random.h"

namespace bandb::storage {

// 128 random bits.
struct Uuid {
  std::array<char, 16> bytes{};
  friend bool operator==(const Uuid&, const Uuid&) = default;
};

Uuid RandomUuid(base::Random* random);
// 32 hexadecimal digits.
std::string ToString(const Uuid& id);

// A segment is a file of a cluster's log: a log of the next format version. A change index says
// where in such a log the commits of the change feed are.
enum class FileType : uint8_t { kTable, kLog, kManifest, kSegment, kChangeIndex };

inline constexpr size_t kFileHeaderBytes = 80;
inline constexpr uint32_t kTableFormatVersion = 2;
inline constexpr uint32_t kLogFormatVersion = 1;
inline constexpr uint32_t kManifestFormatVersion = 1;
inline constexpr uint32_t kSegmentFormatVersion = 2;
inline constexpr uint32_t kChangeIndexFormatVersion = 1;

// Incompatible feature of a log: it may hold records of type kSystemWrite (log_format.h).
inline constexpr uint64_t kSystemRecordsFeature = 1;

struct FileHeader {
  FileType type = FileType::kTable;
  Uuid database_id;
  Uuid file_id;
  // 0 in a header that is to be encoded: the newest of its type.
  uint32_t format_version = 0;
  uint64_t incompatible_features = 0;
  uint64_t compatible_features = 0;

  // What base::BlockChecksum takes for this file.
  uint64_t checksum_seed() const;
};

// The kFileHeaderBytes bytes of a header.
std::string EncodeFileHeader(const FileHeader& header);

// Errors: kDataLoss          too short, wrong magic, or the checksum does not fit
//         kFailedPrecondition a format version or an incompatible feature that this program does not know, named
// Messages begin with `path`.
absl::StatusOr<FileHeader> DecodeFileHeader(std::string_view bytes, FileType type, std::string_view path);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_FILE_FILE_HEADER_H_
