// Which directories are repositories, and what may be removed from them.
//
// Nothing is removed from a directory that only looks like one: there has to be a mark, or a backup
// that can be read. Nor are tables, logs and folders of backups where there is no backup at all:
// they may be on their way back, the descriptions last. Only what was begun here and never came to
// a backup goes, which the mark says.
#include <fmt/format.h>

#include <set>

#include "backup/repository.h"
#include "base/status.h"

namespace bandb::backup {

namespace {

constexpr uint64_t kMarkBytesMax = 4096;

}  // namespace

absl::StatusOr<std::optional<RepositoryMark>> Repository::ReadMark() const {
  const absl::StatusOr<std::string> text = base::ReadFile(files_, layout_.MarkPath(), kMarkBytesMax);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  BANDB_RETURN_IF_ERROR(text.status());
  BANDB_ASSIGN_OR_RETURN(const RepositoryMark mark, DecodeMark(*text, layout_.MarkPath()));
  return mark;
}

absl::Status Repository::CheckThere() {
  BANDB_ASSIGN_OR_RETURN(const bool has_folder, files_->Exists(layout_.BackupsDir()));
  BANDB_ASSIGN_OR_RETURN(const bool has_mark, files_->Exists(layout_.MarkPath()));
  if (has_folder && has_mark) return absl::OkStatus();
  BANDB_ASSIGN_OR_RETURN(const std::set<uint64_t> numbers, NumbersIn(files_, layout_));
  if (!numbers.empty()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kNotFound, "{}: there is no repository of backups", layout_.root());
}

absl::StatusOr<std::optional<RepositoryMark>> Repository::Recognize(const Survey& survey) const {
  BANDB_ASSIGN_OR_RETURN(std::optional<RepositoryMark> mark, ReadMark());
  BANDB_RETURN_IF_ERROR(survey.CheckReadable());
  if (!survey.heads.empty() || (mark && mark->first)) return mark;
  for (const std::string& folder : {layout_.TablesDir(), layout_.LogsDir(), layout_.BackupsDir()}) {
    BANDB_ASSIGN_OR_RETURN(const bool exists, files_->Exists(folder));
    if (!exists) continue;
    BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(folder));
    if (names.empty()) continue;
    return base::Error(
        absl::StatusCode::kFailedPrecondition, "{}: {}, and nothing is made or removed here: {} has {}", layout_.root(),
        mark ? "its backups are gone, or not all of it is back yet" : "is no repository of backups, or not all of one",
        folder, names.front());
  }
  return mark;
}

absl::Status Repository::CheckOurs() {
  BANDB_ASSIGN_OR_RETURN(const Survey survey, ReadSurvey(files_, layout_));
  return Recognize(survey).status();
}

absl::StatusOr<RepositoryMark> Repository::TakeMark(const Survey& survey) {
  BANDB_ASSIGN_OR_RETURN(const std::optional<RepositoryMark> found, Recognize(survey));
  const bool first = survey.heads.empty();
  if (found && found->first == first) return *found;
  RepositoryMark mark;
  if (found) {
    mark = *found;
  } else {
    base::Random random = DrawRandom();
    mark.id = storage::RandomUuid(&random);
  }
  mark.first = first;
  BANDB_RETURN_IF_ERROR(base::InstallFile(files_, layout_.MarkPath(), EncodeMark(mark)));
  return mark;
}

absl::Status Repository::RemoveTree(const std::string& path) {
  // A file, or a link, which leads to what is not ours.
  if (files_->Remove(path).ok()) return absl::OkStatus();
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(path));
  for (const std::string& name : names) BANDB_RETURN_IF_ERROR(RemoveTree(base::JoinPath(path, name)));
  return files_->RemoveDir(path);
}

absl::Status Repository::RemoveLeftovers(const Survey& survey, bool first) {
  // That one is not there may be known to nobody but this process.
  BANDB_RETURN_IF_ERROR(files_->SyncDir(layout_.BackupsDir()));
  const bool has_backups = first || !survey.heads.empty();
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> backups, files_->List(layout_.BackupsDir()));
  for (const std::string& name : backups) {
    const std::string path = base::JoinPath(layout_.BackupsDir(), name);
    const bool is_unknown = NumberOf(name) != 0 && !survey.heads.contains(NumberOf(name));
    if (IsTemporary(name) || (has_backups && is_unknown)) BANDB_RETURN_IF_ERROR(RemoveTree(path));
  }
  const bool is_known = has_backups && survey.AllReadable();
  BANDB_RETURN_IF_ERROR(RemoveUnneeded(layout_.TablesDir(), kTableEnd, is_known ? &survey.tables : nullptr));
  return RemoveUnneeded(layout_.LogsDir(), kLogEnd, is_known ? &survey.logs : nullptr);
}

absl::Status Repository::RemoveUnneeded(const std::string& folder, std::string_view end,
                                        const Survey::StoredById* needed) {
  // A repository of before there were logs has no folder for them.
  BANDB_ASSIGN_OR_RETURN(const bool exists, files_->Exists(folder));
  if (!exists) return absl::OkStatus();
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(folder));
  std::set<std::string> needed_names;
  if (needed != nullptr) {
    for (const auto& [id, stored] : *needed) needed_names.insert(storage::ToString({id}) + std::string(end));
  }
  for (const std::string& name : names) {
    const std::string path = base::JoinPath(folder, name);
    if (IsTemporary(name)) {
      BANDB_RETURN_IF_ERROR(RemoveTree(path));
    } else if (needed != nullptr && IsNameById(name, end) && !needed_names.contains(name)) {
      BANDB_RETURN_IF_ERROR(files_->Remove(path));
    }
  }
  return absl::OkStatus();
}

}  // namespace bandb::backup
