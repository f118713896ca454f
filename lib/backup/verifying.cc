// Reading every byte of a repository.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "backup/repository.h"
#include "backup/stored_file.h"
#include "base/status.h"

namespace bandb::backup {

namespace {

constexpr size_t kComplaintsMax = 10;

// Collects what is wrong.
class Verifying {
 public:
  Verifying(base::FileSystem* files, const Layout& layout, const Survey& survey)
      : files_(files), layout_(layout), survey_(survey) {}

  void CheckMark(const absl::Status& read) {
    if (!read.ok()) Complain(read);
  }

  void CheckBackup(uint64_t number) {
    const absl::StatusOr<Description> description = ReadDescription(files_, layout_, number);
    if (!description.ok()) return Complain(GoneIsDamage(description.status()));
    for (const FileEntry& file : description->files) {
      CheckFile(base::JoinPath(layout_.FolderOf(number), file.path), file.stored);
    }
    for (const TableEntry& table : description->tables) CheckOnce(layout_.TablePath(table.id), table.stored);
    if (!survey_.IsReached(*description)) return;
    for (const LogEntry& log : description->logs) CheckOnce(layout_.LogPath(log.id), log.stored);
  }

  absl::Status Result() const {
    if (complaints_ == 0) return absl::OkStatus();
    std::string message = message_;
    if (complaints_ > kComplaintsMax) message += fmt::format("; and {} more", complaints_ - kComplaintsMax);
    return base::Error(code_, "{}", message);
  }

 private:
  void Complain(const absl::Status& status) {
    // Of bytes that are wrong, if there are any; else of a device that cannot read.
    if (complaints_ == 0 || absl::IsDataLoss(status)) code_ = status.code();
    if (complaints_++ >= kComplaintsMax) return;
    message_ += message_.empty() ? "" : "; ";
    message_ += base::Message(status);
  }
  void CheckFile(const std::string& path, const StoredBytes& stored) {
    const absl::StatusOr<StoredBytes> found = ReadThrough(files_, path);
    const absl::Status status = found.ok() ? CheckStored(*found, stored, path) : GoneIsDamage(found.status());
    if (!status.ok()) Complain(status);
  }
  void CheckOnce(const std::string& path, const StoredBytes& stored) {
    if (checked_.insert(path).second) CheckFile(path, stored);
  }

  base::FileSystem* const files_;
  const Layout& layout_;
  const Survey& survey_;
  std::set<std::string> checked_;
  absl::StatusCode code_ = absl::StatusCode::kDataLoss;
  size_t complaints_ = 0;
  std::string message_;
};

}  // namespace

absl::Status Repository::Verify(uint64_t number) {
  BANDB_ASSIGN_OR_RETURN(const Lock lock, LockToRead());
  BANDB_ASSIGN_OR_RETURN(const Survey survey, ReadSurvey(files_, layout_));
  if (survey.heads.empty() || (number != 0 && !survey.heads.contains(number))) return NoSuchBackup(layout_, number);
  Verifying verifying(files_, layout_, survey);
  verifying.CheckMark(ReadMark().status());
  for (const auto& [which, head] : survey.heads) {
    if (number == 0 || which == number) verifying.CheckBackup(which);
  }
  return AsRead(verifying.Result(), lock);
}

}  // namespace bandb::backup
