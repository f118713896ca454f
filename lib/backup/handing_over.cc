// Files of a repository, handed to a program that has them elsewhere.
//
// A mark says of a backup that all of it was handed over; it is made once that is so. What an
// earlier one had is not handed over again.
//
// The logs that lead from a backup are gone with it, when it is pruned. Elsewhere it may be there
// still: so that nobody takes them to lead from it, the description that is handed over says that
// there is a hole.
#include <fmt/format.h>

#include "backup/repository.h"
#include "backup/stored_file.h"
#include "base/status.h"

namespace bandb::backup {

namespace {

// What is handed over already.
bool Has(const Survey::StoredById& handed, const storage::Uuid& id) { return handed.contains(id.bytes); }

// As it is where its logs are not.
Description WithoutLogs(Description description) {
  description.hole = {.first = description.logs.front().first_sequence, .last = description.last_sequence};
  description.after = 0;
  description.logs.clear();
  return description;
}

}  // namespace

std::string_view Repository::NameIn(std::string_view path) const { return path.substr(layout_.root().size() + 1); }

absl::StatusOr<Description> Repository::Described(uint64_t number) const {
  absl::StatusOr<Description> description = ReadDescription(files_, layout_, number);
  if (!description.ok()) return GoneIsDamage(description.status());
  return description;
}

absl::Status Repository::HandOverOne(uint64_t number, const Description& description, const Survey& handed,
                                     const Backup::HandOver& hand_over) {
  // Those before it were handed over by now.
  const bool is_reached = description.after != 0 && handed.heads.contains(description.after);
  const auto give_as = [&](const std::string& path, std::string_view name) -> absl::Status {
    const absl::Status given = hand_over(path, name);
    if (given.ok()) return absl::OkStatus();
    return base::Annotate(given,
                          fmt::format("{}: was not handed over, and backup {} counts as missing there", path, number));
  };
  const auto give = [&](const std::string& path) { return give_as(path, NameIn(path)); };
  for (const TableEntry& table : description.tables) {
    if (!Has(handed.tables, table.id)) BANDB_RETURN_IF_ERROR(give(layout_.TablePath(table.id)));
  }
  for (const LogEntry& log : description.logs) {
    if (is_reached && !Has(handed.logs, log.id)) BANDB_RETURN_IF_ERROR(give(layout_.LogPath(log.id)));
  }
  for (const FileEntry& file : description.files) {
    BANDB_RETURN_IF_ERROR(give(base::JoinPath(layout_.FolderOf(number), file.path)));
  }
  // It comes last, here and there.
  const std::string path = layout_.DescriptionPath(number);
  if (is_reached || description.logs.empty()) {
    BANDB_RETURN_IF_ERROR(give(path));
  } else {
    const std::string changed = layout_.HandedDescriptionPath(number);
    BANDB_RETURN_IF_ERROR(base::InstallFile(files_, changed, Encode(WithoutLogs(description))));
    const absl::Status given = give_as(changed, NameIn(path));
    const absl::Status removed = files_->Remove(changed);
    BANDB_RETURN_IF_ERROR(given);
    BANDB_RETURN_IF_ERROR(removed);
  }
  return base::InstallFile(files_, layout_.HandedPath(number), "");
}

absl::StatusOr<uint64_t> Repository::HandOver(const Backup::HandOver& hand_over) {
  BANDB_ASSIGN_OR_RETURN(const Lock reading, LockToRead());
  absl::StatusOr<uint64_t> handed = HandOverAll(hand_over);
  if (!absl::IsNotFound(handed.status())) return handed;
  // That is said of a repository that is not there.
  return base::Error(absl::StatusCode::kUnknown, "{}", base::Message(handed.status()));
}

absl::StatusOr<uint64_t> Repository::HandOverAll(const Backup::HandOver& hand_over) {
  BANDB_RETURN_IF_ERROR(files_->CreateDirs(layout_.HandedDir()));
  BANDB_RETURN_IF_ERROR(files_->SyncDir(layout_.root()));
  absl::StatusOr<Lock> lock = files_->Lock(base::JoinPath(layout_.HandedDir(), kLock));
  if (absl::IsFailedPrecondition(lock.status())) return Busy("another call hands its files over");
  BANDB_RETURN_IF_ERROR(lock.status());
  BANDB_ASSIGN_OR_RETURN(const Survey survey, ReadSurvey(files_, layout_));
  for (const auto& [number, head] : survey.heads) BANDB_RETURN_IF_ERROR(head.status());
  // What was handed over may be known again once all of it is back.
  if (survey.heads.empty()) return 0;
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> marks, files_->List(layout_.HandedDir()));
  Survey handed;
  for (const std::string& mark : marks) {
    // What a call that did not end has left.
    if (mark.ends_with(kDescriptionEnd) || IsTemporary(mark)) {
      BANDB_RETURN_IF_ERROR(files_->Remove(base::JoinPath(layout_.HandedDir(), mark)));
      continue;
    }
    const uint64_t number = NumberOf(mark);
    if (number == 0) continue;
    if (survey.heads.contains(number)) {
      BANDB_ASSIGN_OR_RETURN(const Description description, Described(number));
      handed.Add(number, description);
    } else {
      // Of one that was pruned.
      BANDB_RETURN_IF_ERROR(files_->Remove(layout_.HandedPath(number)));
    }
  }
  uint64_t count = 0;
  for (const auto& [number, head] : survey.heads) {
    if (handed.heads.contains(number)) continue;
    BANDB_ASSIGN_OR_RETURN(const Description description, Described(number));
    BANDB_RETURN_IF_ERROR(HandOverOne(number, description, handed, hand_over));
    handed.Add(number, description);
    ++count;
  }
  return count;
}

}  // namespace bandb::backup
