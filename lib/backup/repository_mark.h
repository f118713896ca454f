// The file that tells a repository from any other directory: REPO/REPOSITORY, text of lines.
//
//   mark     := "BanDB repository 1" id [first] checksum
//   id       := "id " 32 hexadecimal digits         drawn at random
//   first    := "first"                             no backup was complete here yet: all that is here
//                                                   was left by calls that did not end
//   checksum := "checksum " 16 hexadecimal digits   XXH3-64 of all bytes before this line
//
// It comes before all else that is made in a repository. One of an earlier release has none until
// the next backup, and is known by a description.
#ifndef BANDB_BACKUP_REPOSITORY_MARK_H_
#define BANDB_BACKUP_REPOSITORY_MARK_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/file/file_header.h"

namespace bandb::backup {

struct RepositoryMark {
  storage::Uuid id{};
  bool first = false;
  friend bool operator==(const RepositoryMark&, const RepositoryMark&) = default;
};

std::string EncodeMark(const RepositoryMark& mark);
// Errors: kDataLoss it is not what EncodeMark made; kFailedPrecondition a later version. Messages
// begin with `path`.
absl::StatusOr<RepositoryMark> DecodeMark(std::string_view text, std::string_view path);

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_REPOSITORY_MARK_H_
