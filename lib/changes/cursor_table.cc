#include "changes/cursor_table.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::changes {

namespace {

std::string ValueOf(const Cursor& cursor) {
  return EncodeCursor(
      {.created_ms = cursor.created_ms, .acknowledged_ms = cursor.acknowledged_ms, .place = cursor.place});
}

// What of it survives power loss when all up to a sequence does.
uint64_t DurablePlace(const Cursor& cursor, uint64_t durable_sequence) {
  return cursor.written_at <= durable_sequence ? std::max(cursor.held, cursor.written) : cursor.held;
}

}  // namespace

absl::Status CursorTable::Load(std::string_view key, std::string_view value) {
  BANDB_ASSERT(key.substr(0, kCursorPrefix.size()) == kCursorPrefix);
  const std::string_view name = key.substr(kCursorPrefix.size());
  BANDB_ASSIGN_OR_RETURN(const StoredCursor stored, DecodeCursor(name, value));
  Cursor cursor;
  cursor.created_ms = stored.created_ms;
  cursor.acknowledged_ms = stored.acknowledged_ms;
  cursor.place = stored.place;
  cursor.held = cursor.written = stored.place.sequence;
  cursor.stored = value;
  cursors_[std::string(name)] = cursor;
  return absl::OkStatus();
}

absl::Status CursorTable::Add(std::string_view name, const ChangePlace& place, uint64_t now_ms) {
  BANDB_RETURN_IF_ERROR(CheckCursorName(name));
  if (Find(name) != nullptr) return CursorExistsError(name);
  if (cursors_.size() >= kCursorsMax) {
    return base::Error(absl::StatusCode::kResourceExhausted, "there are {} cursors already", cursors_.size());
  }
  Cursor cursor;
  cursor.created_ms = cursor.acknowledged_ms = now_ms;
  cursor.place = place;
  cursor.held = cursor.written = place.sequence;
  cursor.stored = ValueOf(cursor);
  cursors_.emplace(name, cursor);
  return absl::OkStatus();
}

void CursorTable::Remove(std::string_view name) {
  const auto at = cursors_.find(name);
  if (at != cursors_.end()) cursors_.erase(at);
}

const Cursor* CursorTable::Find(std::string_view name) const {
  const auto at = cursors_.find(name);
  return at == cursors_.end() ? nullptr : &at->second;
}

Cursor* CursorTable::FindMutable(std::string_view name) {
  const auto at = cursors_.find(name);
  return at == cursors_.end() ? nullptr : &at->second;
}

uint64_t CursorTable::lost() const {
  return static_cast<uint64_t>(
      std::count_if(cursors_.begin(), cursors_.end(), [](const auto& named) { return named.second.lost; }));
}

bool CursorTable::Move(std::string_view name, const ChangePlace& place, uint64_t now_ms, bool nothing_between) {
  Cursor* const cursor = FindMutable(name);
  BANDB_ASSERT(cursor != nullptr && !cursor->lost);
  cursor->acknowledged_ms = now_ms;
  if (place.sequence <= cursor->place.sequence) return false;
  cursor->place = place;
  if (nothing_between) return false;
  cursor->moved = true;
  return true;
}

WriteBatch CursorTable::TakeMoved(std::vector<Underway>* taken, uint64_t durable_sequence) {
  WriteBatch batch;
  for (auto& [name, cursor] : cursors_) {
    // One that is on its way comes first.
    if (!cursor.moved || cursor.written_at == UINT64_MAX) continue;
    cursor.moved = false;
    cursor.held = DurablePlace(cursor, durable_sequence);
    cursor.written = cursor.place.sequence;
    cursor.written_at = UINT64_MAX;
    cursor.underway = ValueOf(cursor);
    batch.Put(CursorKey(name), cursor.underway);
    batch.RequireValue(CursorKey(name), cursor.stored);
    taken->push_back({name, cursor.underway});
  }
  return batch;
}

void CursorTable::Written(const std::vector<Underway>& taken, bool done, uint64_t sequence) {
  for (const Underway& one : taken) {
    Cursor* const cursor = FindMutable(one.name);
    // Dropped meanwhile, and perhaps made again, and that perhaps on its way itself.
    if (cursor == nullptr || cursor->written_at != UINT64_MAX || cursor->underway != one.value) continue;
    if (done) {
      cursor->written_at = sequence;
      cursor->stored = std::exchange(cursor->underway, {});
    } else {
      cursor->moved = true;
      cursor->written = cursor->held;
      cursor->written_at = 0;
    }
  }
}

WriteBatch CursorTable::MakeBatch(std::string_view name) const {
  const Cursor* const cursor = Find(name);
  BANDB_ASSERT(cursor != nullptr);
  WriteBatch batch;
  batch.Put(CursorKey(name), cursor->stored);
  batch.RequireAbsent(CursorKey(name));
  return batch;
}

WriteBatch CursorTable::DropBatch(std::string_view name) {
  WriteBatch batch;
  batch.Delete(CursorKey(name));
  batch.RequirePresent(CursorKey(name));
  return batch;
}

WriteBatch CursorTable::DropBatch(std::string_view name, std::string_view value) {
  WriteBatch batch;
  batch.Delete(CursorKey(name));
  batch.RequireValue(CursorKey(name), value);
  return batch;
}

absl::StatusOr<WriteBatch> CursorTable::BeginReset(std::string_view name, const ChangePlace& place, uint64_t now_ms) {
  Cursor* const cursor = FindMutable(name);
  BANDB_ASSERT(cursor != nullptr);
  if (cursor->resetting) {
    return base::Error(absl::StatusCode::kUnavailable, "cursor \"{}\" is being put at another place", name);
  }
  Cursor there;
  there.created_ms = cursor->created_ms;
  there.acknowledged_ms = now_ms;
  there.place = place;
  cursor->resetting = true;
  cursor->reset_place = place;
  cursor->reset_value = ValueOf(there);
  WriteBatch batch;
  batch.Put(CursorKey(name), cursor->reset_value);
  batch.RequireValue(CursorKey(name), cursor->stored);
  return batch;
}

void CursorTable::EndReset(std::string_view name, bool done) {
  Cursor* const cursor = FindMutable(name);
  // Dropped meanwhile, and perhaps made again.
  if (cursor == nullptr || !cursor->resetting) return;
  if (!done) {
    cursor->resetting = false;
    return;
  }
  Cursor there;
  there.created_ms = cursor->created_ms;
  there.acknowledged_ms = cursor->acknowledged_ms;
  there.place = cursor->reset_place;
  there.held = there.written = there.place.sequence;
  there.stored = std::move(cursor->reset_value);
  *cursor = std::move(there);
}

uint64_t CursorTable::Floor(uint64_t durable_sequence) const {
  uint64_t floor = UINT64_MAX;
  for (const auto& [name, cursor] : cursors_) {
    if (!cursor.lost) floor = std::min(floor, DurablePlace(cursor, durable_sequence));
    if (cursor.resetting) floor = std::min(floor, cursor.reset_place.sequence);
  }
  return floor;
}

std::vector<std::string> CursorTable::Forget(uint64_t oldest_sequence) {
  std::vector<std::string> lost;
  for (auto& [name, cursor] : cursors_) {
    if (cursor.lost) continue;
    if (cursor.place.sequence + 1 >= oldest_sequence) {
      cursor.moved |= cursor.written + 1 < oldest_sequence;
      continue;
    }
    cursor.lost = true;
    cursor.moved = false;
    lost.push_back(name);
  }
  return lost;
}

}  // namespace bandb::changes
