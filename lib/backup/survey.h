// What all descriptions of a repository say, taken together.
//
// They are read one by one, and of each only its head is kept: memory goes with the number of
// tables and of backups, and not with the one times the other.
#ifndef BANDB_BACKUP_SURVEY_H_
#define BANDB_BACKUP_SURVEY_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backup/description.h"
#include "backup/layout.h"
#include "base/file_system.h"

namespace bandb::backup {

// Of one description.
struct BackupHead : DescriptionHead {
  uint64_t tables = 0;
  uint64_t bytes = 0;
  uint64_t logs = 0;
};

struct Survey {
  using StoredById = std::map<std::array<char, 16>, StoredBytes>;

  // By number; of one that is damaged its error.
  std::map<uint64_t, absl::StatusOr<BackupHead>> heads{};
  // Of all backups that can be read.
  StoredById tables{};
  // Those that lead to a backup that can be read from one that is there.
  StoredById logs{};

  // Whether it is known what is needed.
  bool AllReadable() const;
  // Whether one of them can be read.
  bool AnyReadable() const;
  // Whether the logs of this backup lead to it from one that is there.
  bool IsReached(const DescriptionHead& head) const { return head.after != 0 && heads.contains(head.after); }
  // Why no logs lead to this backup from the one before it, which is there; empty: they do, or they
  // were not asked for, or it is the first.
  std::string HoleBefore(uint64_t number, const DescriptionHead& head) const;
  // Errors: kDataLoss there are some, and none can be read.
  absl::Status CheckReadable() const;
  // Adds what one more description says.
  void Add(uint64_t number, const Description& description);
};

// Of the descriptions that there are, damaged ones as well; none: not even their folder is there.
absl::StatusOr<std::set<uint64_t>> NumbersIn(base::FileSystem* files, const Layout& layout);
// Errors: those of the file system, of the folder alone.
absl::StatusOr<Survey> ReadSurvey(base::FileSystem* files, const Layout& layout);
// Errors: kNotFound it is not there; as Decode.
absl::StatusOr<Description> ReadDescription(base::FileSystem* files, const Layout& layout, uint64_t number);
// kNotFound. 0: there is none at all.
absl::Status NoSuchBackup(const Layout& layout, uint64_t number);

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_SURVEY_H_
