// What a backup consists of: the file NUMBER.backup of a repository, text of lines.
//
//   description := "BanDB backup 1" database time sequence new file* table* checksum
//   database    := "database " id                        32 hexadecimal digits
//   time        := "time " milliseconds                  since 1970
//   sequence    := "sequence " number                    of the last operation in it
//   new         := "new " bytes                          of files that no backup before it had
//   file        := "file " path " " bytes " " checksum   in the folder NUMBER of the backup
//   table       := "table " number " " id " " bytes " " checksum
//   checksum    := "checksum " 16 hexadecimal digits     of all bytes before this line
//
// The checksum of a file is XXH3-64 of its bytes, in 16 hexadecimal digits, as `xxhsum -H3` prints
// it.
#ifndef BANDB_BACKUP_DESCRIPTION_H_
#define BANDB_BACKUP_DESCRIPTION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/file/file_header.h"

namespace bandb::backup {

// How a file is stored.
struct StoredBytes {
  uint64_t bytes = 0;
  uint64_t checksum = 0;
  friend bool operator==(const StoredBytes&, const StoredBytes&) = default;
};

struct FileEntry {
  std::string path{};  // within the directory of the database
  StoredBytes stored{};
  friend bool operator==(const FileEntry&, const FileEntry&) = default;
};

struct TableEntry {
  uint64_t number = 0;  // in the database
  storage::Uuid id{};   // in the repository
  StoredBytes stored{};
  friend bool operator==(const TableEntry&, const TableEntry&) = default;
};

struct Description {
  storage::Uuid database_id{};
  uint64_t time_ms = 0;
  uint64_t last_sequence = 0;
  uint64_t new_bytes = 0;
  std::vector<FileEntry> files{};
  std::vector<TableEntry> tables{};

  uint64_t bytes() const;
  friend bool operator==(const Description&, const Description&) = default;
};

// Every description begins so.
inline constexpr std::string_view kDescriptionBegin = "BanDB backup ";

std::string Encode(const Description& description);
// Errors: kDataLoss it is not what Encode made; kFailedPrecondition a later version. Messages begin
// with `path`.
absl::StatusOr<Description> Decode(std::string_view text, std::string_view path);

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_DESCRIPTION_H_
