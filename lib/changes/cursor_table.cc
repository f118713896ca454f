#include "changes/cursor_table.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/status.h"

namespace bandb::changes {

namespace {

constexpr uint8_t kCursorVersion = 1;

std::string KeyOf(std::string_view name) { return std::string(kCursorPrefix).append(name); }

std::string ValueOf(const Cursor& cursor) {
  std::string value;
  base::PutFixed8(&value, kCursorVersion);
  base::PutVarint(&value, cursor.created_ms);
  base::PutVarint(&value, cursor.acknowledged_ms);
  base::PutLengthPrefixed(&value, EncodeToken(cursor.place));
  return value;
}

// What of it survives power loss when all up to a sequence does.
uint64_t DurablePlace(const Cursor& cursor, uint64_t durable_sequence) {
  return cursor.written_at <= durable_sequence ? std::max(cursor.held, cursor.written) : cursor.held;
}

}  // namespace

absl::Status CursorTable::Load(std::string_view key, std::string_view value) {
  BANDB_ASSERT(key.substr(0, kCursorPrefix.size()) == kCursorPrefix);
  const std::string_view name = key.substr(kCursorPrefix.size());
  base::ByteReader reader(value);
  uint8_t version = 0;
  Cursor cursor;
  std::string_view token;
  if (reader.ReadFixed(&version) && version > kCursorVersion) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "cursor \"{}\" is of version {}: a newer release's", name,
                       version);
  }
  const bool whole = version == kCursorVersion && reader.ReadVarint(&cursor.created_ms) &&
                     reader.ReadVarint(&cursor.acknowledged_ms) && reader.ReadLengthPrefixed(&token) && reader.empty();
  const absl::StatusOr<ChangePlace> place = DecodeToken(token);
  if (!whole || !place.ok()) {
    return base::Error(absl::StatusCode::kDataLoss, "cursor \"{}\" is malformed", name);
  }
  cursor.place = *place;
  cursor.held = cursor.written = place->sequence;
  cursor.stored = value;
  cursors_[std::string(name)] = cursor;
  return absl::OkStatus();
}

absl::Status CursorTable::Add(std::string_view name, const ChangePlace& place, uint64_t now_ms) {
  if (name.empty() || name.size() > kCursorNameBytesMax) {
    return base::Error(absl::StatusCode::kInvalidArgument, "the name of a cursor is 1 to {} bytes, not {}",
                       kCursorNameBytesMax, name.size());
  }
  if (Find(name) != nullptr) {
    return base::Error(absl::StatusCode::kAlreadyExists, "there is a cursor \"{}\"", name);
  }
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
    batch.Put(KeyOf(name), cursor.underway);
    batch.RequireValue(KeyOf(name), cursor.stored);
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
  batch.Put(KeyOf(name), cursor->stored);
  batch.RequireAbsent(KeyOf(name));
  return batch;
}

WriteBatch CursorTable::DropBatch(std::string_view name) {
  WriteBatch batch;
  batch.Delete(KeyOf(name));
  batch.RequirePresent(KeyOf(name));
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
  batch.Put(KeyOf(name), cursor->reset_value);
  batch.RequireValue(KeyOf(name), cursor->stored);
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
