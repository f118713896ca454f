// What lies where in a repository.
//
//   REPO/REPOSITORY              what tells it from another directory (repository_mark.h)
//   REPO/LOCK                    held by the call that makes or prunes
//   REPO/readers/1/LOCK          one of these, up to 4, is held by each that reads; all by the one that prunes
//   REPO/tables/ID.tbl           a table, by its id in hexadecimal digits
//   REPO/logs/ID.log             a log, likewise
//   REPO/backups/000007.backup   what backup 7 consists of (description.h)
//   REPO/backups/000007/         its files but the tables and logs: those of a checkpoint
//   REPO/handed/000007           backup 7 was handed to a program, all of it; empty
//   REPO/handed/000007.backup    its description as that program gets it, where it is another one there
//   NAME.tmp, NAME.tmp-...       what a call that did not end has left; removed by the next
#ifndef BANDB_BACKUP_LAYOUT_H_
#define BANDB_BACKUP_LAYOUT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/file_system.h"
#include "storage/file/file_header.h"

namespace bandb::backup {

inline constexpr std::string_view kTemporary = ".tmp";
inline constexpr std::string_view kDescriptionEnd = ".backup";
inline constexpr std::string_view kTableEnd = ".tbl";
inline constexpr std::string_view kLogEnd = ".log";
inline constexpr std::string_view kLock = "LOCK";
inline constexpr std::string_view kMark = "REPOSITORY";

// So many read at a time.
inline constexpr int kReadersMax = 4;

// As the files of a backup are called.
std::string NameOf(uint64_t number);
// 0 if it is not a name that NameOf gives.
uint64_t NumberOf(std::string_view name);
// Whether a call that did not end may have left it.
bool IsTemporary(std::string_view name);
// Whether it is an id and this ending, as tables and logs are called.
bool IsNameById(std::string_view name, std::string_view end);

class Layout {
 public:
  explicit Layout(std::string root) : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  std::string TablesDir() const { return base::JoinPath(root_, "tables"); }
  std::string LogsDir() const { return base::JoinPath(root_, "logs"); }
  std::string BackupsDir() const { return base::JoinPath(root_, "backups"); }
  std::string ReaderDir(int place) const { return base::JoinPath(root_, "readers/" + std::to_string(place)); }
  std::string HandedDir() const { return base::JoinPath(root_, "handed"); }
  std::string MarkPath() const { return base::JoinPath(root_, kMark); }
  std::string TablePath(const storage::Uuid& id) const;
  std::string LogPath(const storage::Uuid& id) const;
  std::string DescriptionPath(uint64_t number) const;
  std::string FolderOf(uint64_t number) const { return base::JoinPath(BackupsDir(), NameOf(number)); }
  std::string HandedPath(uint64_t number) const { return base::JoinPath(HandedDir(), NameOf(number)); }
  std::string HandedDescriptionPath(uint64_t number) const { return HandedPath(number) + std::string(kDescriptionEnd); }
  // Whether a path leads into the repository, or to itself.
  bool Holds(const std::string& path) const { return path == root_ || path.starts_with(root_ + "/"); }

 private:
  const std::string root_;
};

}  // namespace bandb::backup

#endif  // BANDB_BACKUP_LAYOUT_H_
