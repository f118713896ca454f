#include "backup/log_hold.h"

#include <algorithm>
#include <vector>

#include "bandb/changes.h"
#include "base/status.h"
#include "storage/file/file_header.h"

namespace bandb::backup {

namespace {

constexpr std::string_view kOwnName = "bandb.backup.";
// Of releases before repositories had ids.
constexpr std::string_view kEarlierName = "backup";

// Whether a backup was made with logs, which moved the cursor, and is at this place.
bool WasMovedTo(const Survey& survey, std::string_view place) {
  const auto asked = [](const auto& head) {
    return head.second.ok() && (head.second->after != 0 || head.second->hole.has_value());
  };
  return std::any_of(survey.heads.begin(), survey.heads.end(), asked) &&
         std::any_of(survey.heads.begin(), survey.heads.end(),
                     [place](const auto& head) { return head.second.ok() && head.second->place == place; });
}

}  // namespace

LogHold::LogHold(Db* db, const BackupOptions& options, const RepositoryMark& mark)
    : db_(db),
      has_own_name_(options.cursor.empty()),
      cursor_(has_own_name_ ? std::string(kOwnName).append(storage::ToString(mark.id)) : options.cursor) {}

absl::Status LogHold::Begin(const Survey& survey) {
  const absl::Status made = db_->CreateCursor(cursor_, ChangesFrom::Oldest());
  if (absl::IsAlreadyExists(made)) return absl::OkStatus();
  BANDB_RETURN_IF_ERROR(made);
  if (!has_own_name_) return absl::OkStatus();
  BANDB_ASSIGN_OR_RETURN(replaces_earlier_, HasEarlier(survey));
  return absl::OkStatus();
}

absl::StatusOr<bool> LogHold::HasEarlier(const Survey& survey) const {
  BANDB_ASSIGN_OR_RETURN(const std::vector<CursorInfo> cursors, db_->ListCursors());
  const auto found = std::find_if(cursors.begin(), cursors.end(),
                                  [](const CursorInfo& cursor) { return cursor.name == kEarlierName; });
  // At any other place it is somebody else's.
  return found != cursors.end() && WasMovedTo(survey, found->token);
}

absl::Status LogHold::Move(const std::string& place) {
  const absl::Status moved = db_->Acknowledge(cursor_, place);
  if (absl::IsNotFound(moved)) {
    // Somebody has deleted it meanwhile.
    BANDB_RETURN_IF_ERROR(db_->CreateCursor(cursor_, ChangesFrom::Token(place)));
  } else if (absl::IsOutOfRange(moved) || absl::IsFailedPrecondition(moved)) {
    // One that is lost, or of another branch: it begins again here.
    BANDB_RETURN_IF_ERROR(db_->ResetCursor(cursor_, ChangesFrom::Token(place)));
  } else {
    BANDB_RETURN_IF_ERROR(moved);
  }
  return replaces_earlier_ ? db_->DropCursor(kEarlierName) : absl::OkStatus();
}

}  // namespace bandb::backup
