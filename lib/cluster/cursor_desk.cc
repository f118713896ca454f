#include "cluster/cursor_desk.h"

#include "base/assert.h"
#include "base/status.h"

namespace bandb::cluster {

CursorDesk::CursorDesk(std::function<void()> write_soon)
    : write_soon_(std::move(write_soon)),
      state_(base::Error(absl::StatusCode::kUnavailable,
                         "this member has started, and has not yet applied all that was agreed on before: its cursors "
                         "are not known yet")) {}

void CursorDesk::SetKnown() {
  base::MutexLock lock(&mutex_);
  if (!ended_) state_ = absl::OkStatus();
}

bool CursorDesk::is_known() const {
  base::MutexLock lock(&mutex_);
  return state_.ok();
}

void CursorDesk::End(const absl::Status& status) {
  BANDB_ASSERT(!status.ok());
  base::MutexLock lock(&mutex_);
  if (!std::exchange(ended_, true)) state_ = status;
}

void CursorDesk::Replace(const CursorMap& cursors) {
  base::MutexLock lock(&mutex_);
  applied_ = cursors;
  std::vector<std::string> names;
  for (const auto& named : moved_) names.push_back(named.first);
  for (const std::string& name : names) Settle(name);
}

void CursorDesk::Update(const std::vector<CursorUpdate>& updates) {
  if (updates.empty()) return;
  base::MutexLock lock(&mutex_);
  for (const CursorUpdate& update : updates) {
    if (update.cursor.has_value()) {
      applied_[update.name] = *update.cursor;
    } else {
      applied_.erase(update.name);
    }
    Settle(update.name);
  }
}

void CursorDesk::Settle(const std::string& name) {
  const auto moved = moved_.find(name);
  if (moved == moved_.end()) return;
  const auto applied = applied_.find(name);
  const bool goes_on = applied != applied_.end() && applied->second.id == moved->second.id &&
                       applied->second.place.sequence < moved->second.place.sequence;
  if (!goes_on) moved_.erase(moved);
}

absl::StatusOr<changes::StoredCursor> CursorDesk::Find(std::string_view name) const {
  base::MutexLock lock(&mutex_);
  BANDB_RETURN_IF_ERROR(state_);
  const auto at = applied_.find(name);
  if (at == applied_.end()) return changes::NoSuchCursorError(name);
  changes::StoredCursor cursor = at->second;
  if (const auto moved = moved_.find(name); moved != moved_.end()) {
    cursor.place = moved->second.place;
    cursor.acknowledged_ms = moved->second.acknowledged_ms;
  }
  return cursor;
}

absl::StatusOr<CursorMap> CursorDesk::All() const {
  base::MutexLock lock(&mutex_);
  BANDB_RETURN_IF_ERROR(state_);
  CursorMap all = applied_;
  for (const auto& [name, moved] : moved_) {
    changes::StoredCursor& cursor = all[name];
    cursor.place = moved.place;
    cursor.acknowledged_ms = moved.acknowledged_ms;
  }
  return all;
}

CursorMap CursorDesk::Applied() const {
  base::MutexLock lock(&mutex_);
  return applied_;
}

size_t CursorDesk::size() const {
  base::MutexLock lock(&mutex_);
  return applied_.size();
}

absl::Status CursorDesk::Acknowledge(std::string_view name, const changes::ChangePlace& place, uint64_t now_ms) {
  bool due = false;
  {
    base::MutexLock lock(&mutex_);
    BANDB_RETURN_IF_ERROR(state_);
    const auto at = applied_.find(name);
    if (at == applied_.end()) return changes::NoSuchCursorError(name);
    const changes::StoredCursor& cursor = at->second;
    if (cursor.place.branch != place.branch) {
      return base::Error(absl::StatusCode::kFailedPrecondition,
                         "cursor \"{}\" is of another history of this database; reset it", name);
    }
    const auto moved = moved_.find(name);
    const uint64_t before = moved == moved_.end() ? cursor.place.sequence : moved->second.place.sequence;
    if (place.sequence <= before) return absl::OkStatus();
    moved_[std::string(name)] = {.id = cursor.id, .acknowledged_ms = now_ms, .place = place};
    due = IsDue();
  }
  if (due) write_soon_();
  return absl::OkStatus();
}

bool CursorDesk::IsDue() { return !moved_.empty() && !std::exchange(due_, true); }

std::string CursorDesk::MovedLocked() const {
  std::string changes;
  for (const auto& [name, moved] : moved_) {
    AppendCursorChange({.kind = CursorChangeKind::kAcknowledge, .name = name, .id = moved.id, .place = moved.place},
                       &changes);
  }
  return changes;
}

std::string CursorDesk::TakeMoved() {
  base::MutexLock lock(&mutex_);
  std::string changes = MovedLocked();
  // What was acknowledged is settled, or gone.
  if (changes.empty()) due_ = false;
  return changes;
}

std::string CursorDesk::Moved() const {
  base::MutexLock lock(&mutex_);
  return MovedLocked();
}

void CursorDesk::Written() {
  bool due = false;
  {
    base::MutexLock lock(&mutex_);
    due_ = false;
    due = IsDue();
  }
  if (due) write_soon_();
}

}  // namespace bandb::cluster
