// What a backup consists of: the file NUMBER.backup of a repository, text of lines.
//
//   description := "BanDB backup 3" database time sequence new [place] complete [after | hole]
//                  file* table* log* checksum
//   database    := "database " id                        32 hexadecimal digits
//   time        := "time " milliseconds                  since 1970, when its making began
//   sequence    := "sequence " number                    of the last operation in it
//   new         := "new " bytes                          of files that no backup before it had
//   place       := "place " token " " milliseconds       a token of the change feed, in hexadecimal
//                                                        digits; no commit in the backup is later,
//                                                        unless a clock was accepted since
//   complete    := "complete " milliseconds              each commit up to this time is in it
//   after       := "after " number                       the backup from which the logs lead to this
//   hole        := "hole " first " " last                none do: of these operations is no log
//   file        := "file " path " " bytes " " checksum   in the folder NUMBER of the backup
//   table       := "table " number " " id " " bytes " " checksum
//   log         := "log " first " " last " " milliseconds " " id " " bytes " " checksum
//                                                        of these operations, the last of them
//                                                        committed at this time
//   checksum    := "checksum " 16 hexadecimal digits     of all bytes before this line
//
// The checksum of a file is XXH3-64 of its bytes, in 16 hexadecimal digits, as `xxhsum -H3` prints
// it. What has no place has no logs: it is the backup of a node. Earlier formats are read: of 2,
// without complete and with a place, and of 1, without the lines from place to hole and without
// logs; their time is that of their end.
#ifndef BANDB_BACKUP_DESCRIPTION_H_
#define BANDB_BACKUP_DESCRIPTION_H_

#include <cstdint>
#include <optional>
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

struct LogEntry {
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  uint64_t end_ms = 0;  // of the last commit
  storage::Uuid id{};   // in the repository
  StoredBytes stored{};
  friend bool operator==(const LogEntry&, const LogEntry&) = default;
};

// Operations of which there is no log.
struct Hole {
  uint64_t first = 0;
  uint64_t last = 0;
  friend bool operator==(const Hole&, const Hole&) = default;
};

// What there is once of each.
struct DescriptionHead {
  storage::Uuid database_id{};
  uint64_t time_ms = 0;
  uint64_t last_sequence = 0;
  uint64_t new_bytes = 0;
  std::string place{};  // a token; empty: none is known
  // Of the last commit, or a little later; only with a place. No commit in it is later, but for
  // those of a clock that was ahead and then accepted.
  uint64_t commit_ms = 0;
  // Each commit up to this time is in it, but for later ones of the same millisecond as the last,
  // and, of times from the begin of its making on, those of after a clock was accepted; none: it is
  // not known.
  std::optional<uint64_t> complete_ms{};
  uint64_t after = 0;  // logs lead here from this backup; 0: from none
  std::optional<Hole> hole{};

  // The time of the last commit, or a little later; none: it is not known.
  std::optional<uint64_t> LastCommitMs() const;
  friend bool operator==(const DescriptionHead&, const DescriptionHead&) = default;
};

struct Description : DescriptionHead {
  std::vector<FileEntry> files{};
  std::vector<TableEntry> tables{};
  // That lead here from the backup `after`, oldest first, without a gap.
  std::vector<LogEntry> logs{};

  // Without the logs.
  uint64_t bytes() const;
  friend bool operator==(const Description&, const Description&) = default;
};

// Every description begins so.
inline constexpr std::string_view kDescriptionBegin = "BanDB backup ";

// The opposite of storage::ToString; false if that never gives this text.
bool ParseId(std::string_view text, storage::Uuid* id);

std::string Encode(const Description& description);
// Errors: kDataLoss it is not what Encode made; kFailedPrecondition a later version. Messages begin
// with `path`.
absl::StatusOr<Description> Decode(std::string_view text, std::string_view path);

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_DESCRIPTION_H_
