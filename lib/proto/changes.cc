#include "proto/changes.h"

#include "proto/frame.h"
#include "proto/message_id.h"

namespace bandb::proto {

namespace {

constexpr uint8_t kChangesUndurable = 1;
constexpr uint8_t kChangesCut = 1;

bool HasText(FeedFrom from) { return from == FeedFrom::kToken || from == FeedFrom::kCursor; }

// What does not belong to it is not there.
bool IsWhole(const FeedPlace& place) {
  return (HasText(place.from) || place.place.empty()) && (place.from == FeedFrom::kTime || place.time_ms == 0);
}

bool ReadFrom(base::ByteReader* reader, FeedPlace* place) {
  uint8_t from = 0;
  if (!reader->ReadFixed(&from) || from > static_cast<uint8_t>(FeedFrom::kCursor)) return false;
  place->from = static_cast<FeedFrom>(from);
  return true;
}

}  // namespace

bool DecodeChanges(std::string_view payload, Changes* changes) {
  base::ByteReader reader(payload);
  uint8_t flags = 0;
  uint32_t place_bytes = 0, begin_bytes = 0, limit_bytes = 0;
  const bool ok =
      reader.ReadFixed(&flags) && (flags & ~kChangesUndurable) == 0 && ReadFrom(&reader, &changes->from) &&
      reader.ReadFixed(&changes->part) && reader.ReadFixed(&changes->parts) && reader.ReadFixed(&changes->wait_ms) &&
      reader.ReadFixed(&changes->commits_max) && reader.ReadFixed(&changes->bytes_max) &&
      reader.ReadFixed(&changes->skip) && reader.ReadFixed(&changes->from.time_ms) && reader.ReadFixed(&place_bytes) &&
      reader.ReadFixed(&begin_bytes) && reader.ReadFixed(&limit_bytes) &&
      reader.ReadBytes(place_bytes, &changes->from.place) && reader.ReadBytes(begin_bytes, &changes->begin) &&
      reader.ReadBytes(limit_bytes, &changes->limit) && reader.empty() && IsWhole(changes->from);
  changes->undurable = (flags & kChangesUndurable) != 0;
  return ok;
}

bool DecodeAcknowledge(std::string_view payload, std::string_view* cursor, std::string_view* token) {
  base::ByteReader reader(payload);
  uint32_t cursor_bytes = 0, token_bytes = 0;
  return reader.ReadFixed(&cursor_bytes) && reader.ReadFixed(&token_bytes) && reader.ReadBytes(cursor_bytes, cursor) &&
         reader.ReadBytes(token_bytes, token) && reader.empty();
}

bool DecodeCursors(std::string_view payload, Cursors* cursors) {
  base::ByteReader reader(payload);
  uint8_t action = 0;
  uint32_t name_bytes = 0, place_bytes = 0;
  if (!reader.ReadFixed(&action) || action > static_cast<uint8_t>(CursorAction::kReset)) return false;
  cursors->action = static_cast<CursorAction>(action);
  if (!ReadFrom(&reader, &cursors->from) || !reader.ReadFixed(&cursors->from.time_ms) ||
      !reader.ReadFixed(&name_bytes) || !reader.ReadFixed(&place_bytes) ||
      !reader.ReadBytes(name_bytes, &cursors->name) || !reader.ReadBytes(place_bytes, &cursors->from.place) ||
      !reader.empty() || !IsWhole(cursors->from)) {
    return false;
  }
  if (cursors->action == CursorAction::kList && !cursors->name.empty()) return false;
  const bool places = cursors->action == CursorAction::kCreate || cursors->action == CursorAction::kReset;
  return places || cursors->from.from == FeedFrom::kNow;
}

void AppendChanges(std::string* to, const Changes& changes) {
  std::string payload;
  base::PutFixed8(&payload, changes.undurable ? kChangesUndurable : 0);
  base::PutFixed8(&payload, static_cast<uint8_t>(changes.from.from));
  base::PutFixed32(&payload, changes.part);
  base::PutFixed32(&payload, changes.parts);
  base::PutFixed32(&payload, changes.wait_ms);
  base::PutFixed32(&payload, changes.commits_max);
  base::PutFixed32(&payload, changes.bytes_max);
  base::PutFixed32(&payload, changes.skip);
  base::PutFixed64(&payload, changes.from.time_ms);
  PutLength(&payload, changes.from.place);
  PutLength(&payload, changes.begin);
  PutLength(&payload, changes.limit);
  payload.append(changes.from.place).append(changes.begin).append(changes.limit);
  AppendFrame(to, static_cast<uint32_t>(MessageId::kChanges), payload);
}

void AppendAcknowledge(std::string* to, std::string_view cursor, std::string_view token) {
  std::string payload;
  PutLength(&payload, cursor);
  PutLength(&payload, token);
  payload.append(cursor).append(token);
  AppendFrame(to, static_cast<uint32_t>(MessageId::kAcknowledge), payload);
}

void AppendCursors(std::string* to, const Cursors& cursors) {
  std::string payload;
  base::PutFixed8(&payload, static_cast<uint8_t>(cursors.action));
  base::PutFixed8(&payload, static_cast<uint8_t>(cursors.from.from));
  base::PutFixed64(&payload, cursors.from.time_ms);
  PutLength(&payload, cursors.name);
  PutLength(&payload, cursors.from.place);
  payload.append(cursors.name).append(cursors.from.place);
  AppendFrame(to, static_cast<uint32_t>(MessageId::kCursors), payload);
}

void AppendChangesHead(std::string* to, bool cut, std::string_view token, uint32_t commits) {
  base::PutFixed8(to, cut ? kChangesCut : 0);
  PutLength(to, token);
  to->append(token);
  base::PutFixed32(to, commits);
}

void AppendCommitHead(std::string* to, const CommitHead& head) {
  base::PutFixed64(to, head.first_sequence);
  base::PutFixed64(to, head.last_sequence);
  base::PutFixed64(to, head.time_ms);
  base::PutFixed32(to, head.changes);
}

ChangesBodyReader::ChangesBodyReader(std::string_view body) : reader_(body) {
  uint8_t flags = 0;
  uint32_t token_bytes = 0;
  ok_ = reader_.ReadFixed(&flags) && flags <= kChangesCut && reader_.ReadFixed(&token_bytes) &&
        reader_.ReadBytes(token_bytes, &token_) && reader_.ReadFixed(&commits_left_);
  cut_ = flags == kChangesCut;
}

bool ChangesBodyReader::NextCommit(CommitHead* head) {
  for (BatchOperation passed; NextChange(&passed);) {
  }
  if (!ok_ || commits_left_ == 0) return false;
  ok_ = reader_.ReadFixed(&head->first_sequence) && reader_.ReadFixed(&head->last_sequence) &&
        reader_.ReadFixed(&head->time_ms) && reader_.ReadFixed(&head->changes);
  if (!ok_) return false;
  changes_left_ = head->changes;
  --commits_left_;
  return true;
}

bool ChangesBodyReader::NextChange(BatchOperation* change) {
  if (!ok_ || changes_left_ == 0) return false;
  ok_ = ReadOperation(&reader_, change) && change->kind != BatchKind::kPutWithTtl;
  if (ok_) --changes_left_;
  return ok_;
}

void AppendCursorEntry(std::string* to, const CursorEntry& entry) {
  base::PutFixed8(to, entry.lost ? 1 : 0);
  for (const uint64_t number :
       {entry.created_ms, entry.acknowledged_ms, entry.lag_commits, entry.lag_bytes, entry.lag_ms}) {
    base::PutFixed64(to, number);
  }
  PutLength(to, entry.name);
  PutLength(to, entry.token);
  to->append(entry.name).append(entry.token);
}

bool CursorsBodyReader::Next(CursorEntry* entry) {
  if (!ok_ || left_ == 0) return false;
  uint8_t lost = 0;
  uint32_t name_bytes = 0, token_bytes = 0;
  ok_ = reader_.ReadFixed(&lost) && lost <= 1 && reader_.ReadFixed(&entry->created_ms) &&
        reader_.ReadFixed(&entry->acknowledged_ms) && reader_.ReadFixed(&entry->lag_commits) &&
        reader_.ReadFixed(&entry->lag_bytes) && reader_.ReadFixed(&entry->lag_ms) && reader_.ReadFixed(&name_bytes) &&
        reader_.ReadFixed(&token_bytes) && reader_.ReadBytes(name_bytes, &entry->name) &&
        reader_.ReadBytes(token_bytes, &entry->token);
  entry->lost = lost != 0;
  if (ok_) --left_;
  return ok_;
}

}  // namespace bandb::proto
