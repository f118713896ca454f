#include "cluster/cursors.h"

#include "base/assert.h"
#include "base/coding.h"
#include "base/status.h"
#include "kv/batch_format.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;
using changes::StoredCursor;

// An id is made of the index of the entry and of how many it has given before: an entry is smaller
// than so many changes, and its index below 2^44.
constexpr int kIdPlaceBits = 20;
// Kind, two lengths, and the key and value of a cursor.
constexpr uint64_t kCursorOperationBytesMax = 1 + 2 * base::kVarint64BytesMax + changes::kCursorPrefix.size() +
                                              changes::kCursorNameBytesMax + 2 + 4 * base::kVarint64BytesMax +
                                              changes::kTokenBytesMax;

bool ReadChange(base::ByteReader* reader, CursorChange* change) {
  uint8_t kind = 0;
  std::string_view token;
  if (!reader->ReadFixed(&kind) || kind < static_cast<uint8_t>(CursorChangeKind::kMake) ||
      kind > static_cast<uint8_t>(CursorChangeKind::kDrop) || !reader->ReadLengthPrefixed(&change->name) ||
      !reader->ReadVarint(&change->id) || !reader->ReadLengthPrefixed(&token)) {
    return false;
  }
  change->kind = static_cast<CursorChangeKind>(kind);
  if (!changes::CheckCursorName(change->name).ok()) return false;
  if (change->kind == CursorChangeKind::kDrop) return token.empty() && change->id == 0;
  const absl::StatusOr<changes::ChangePlace> place = changes::DecodeToken(token);
  if (!place.ok()) return false;
  change->place = *place;
  return change->kind == CursorChangeKind::kAcknowledge || change->id == 0;
}

}  // namespace

void AppendCursorChange(const CursorChange& change, std::string* to) {
  base::PutFixed8(to, static_cast<uint8_t>(change.kind));
  base::PutLengthPrefixed(to, change.name);
  base::PutVarint(to, change.id);
  const bool drops = change.kind == CursorChangeKind::kDrop;
  base::PutLengthPrefixed(to, drops ? std::string() : changes::EncodeToken(change.place));
}

bool IsCursorChanges(std::string_view bytes) {
  base::ByteReader reader(bytes);
  CursorChange change;
  if (reader.empty()) return false;
  // Nobody has a use for more of them in one command.
  for (size_t count = 0; !reader.empty(); ++count) {
    if (count == changes::kCursorsMax || !ReadChange(&reader, &change)) return false;
  }
  return true;
}

absl::StatusOr<Cursors> Cursors::Load(Iterator* system) {
  Cursors cursors;
  constexpr std::string_view kPrefix = changes::kCursorPrefix;
  for (system->Seek(kPrefix); system->Valid() && system->key().substr(0, kPrefix.size()) == kPrefix; system->Next()) {
    const std::string name(system->key().substr(kPrefix.size()));
    BANDB_ASSIGN_OR_RETURN(const StoredCursor cursor, changes::DecodeCursor(name, system->value()));
    cursors.cursors_.emplace(name, cursor);
  }
  BANDB_RETURN_IF_ERROR(system->status());
  return cursors;
}

// ---- One entry. ----

void Cursors::Begin(uint64_t index, uint64_t now_ms, uint64_t last_sequence) {
  BANDB_ASSERT(index != 0);
  BANDB_ASSERT(index >= index_);
  BANDB_ASSERT(now_ms >= now_ms_);
  BANDB_ASSERT(last_sequence >= last_sequence_);
  index_ = index;
  ids_ = 0;
  now_ms_ = now_ms;
  last_sequence_ = last_sequence;
  before_.clear();
}

absl::Status Cursors::Apply(std::string_view changes) {
  base::ByteReader reader(changes);
  CursorChange change;
  absl::Status status;
  while (!reader.empty()) {
    const bool whole = ReadChange(&reader, &change);
    BANDB_ASSERT(whole);
    status.Update(ApplyOne(change));
  }
  return status;
}

absl::Status Cursors::ApplyOne(const CursorChange& change) {
  const auto at = cursors_.find(change.name);
  const bool is_there = at != cursors_.end();
  switch (change.kind) {
    case CursorChangeKind::kMake:
      if (is_there) return changes::CursorExistsError(change.name);
      if (cursors_.size() >= changes::kCursorsMax) {
        return base::Error(StatusCode::kResourceExhausted, "there are {} cursors already", cursors_.size());
      }
      return SetAt(change, now_ms_);
    case CursorChangeKind::kAcknowledge:
      Acknowledge(change);
      return absl::OkStatus();
    case CursorChangeKind::kReset:
      if (!is_there) return changes::NoSuchCursorError(change.name);
      return SetAt(change, at->second.created_ms);
    case CursorChangeKind::kDrop:
      if (!is_there) return changes::NoSuchCursorError(change.name);
      Set(change.name, std::nullopt);
      return absl::OkStatus();
  }
  BANDB_UNREACHABLE();
}

absl::Status Cursors::SetAt(const CursorChange& change, uint64_t created_ms) {
  BANDB_RETURN_IF_ERROR(CheckPlace(change.place));
  BANDB_ASSIGN_OR_RETURN(const uint64_t id, NextId());
  Set(change.name, StoredCursor{.created_ms = created_ms, .acknowledged_ms = now_ms_, .place = change.place, .id = id});
  return absl::OkStatus();
}

absl::Status Cursors::CheckPlace(const changes::ChangePlace& place) const {
  if (place.sequence <= last_sequence_) return absl::OkStatus();
  return base::Error(StatusCode::kFailedPrecondition, "the token is ahead of the store");
}

void Cursors::Acknowledge(const CursorChange& change) {
  const auto at = cursors_.find(change.name);
  if (at == cursors_.end() || at->second.id != change.id || !CheckPlace(change.place).ok()) return;
  StoredCursor cursor = at->second;
  if (change.place.branch != cursor.place.branch || change.place.sequence <= cursor.place.sequence) return;
  cursor.place = change.place;
  cursor.acknowledged_ms = now_ms_;
  Set(change.name, cursor);
}

absl::StatusOr<uint64_t> Cursors::NextId() {
  // No node proposes such an entry, but a log may hold what no node has written.
  if (index_ >> (64 - kIdPlaceBits) != 0 || ids_ >> kIdPlaceBits != 0) {
    return base::Error(StatusCode::kResourceExhausted, "entry {} has no more ids of cursors", index_);
  }
  return index_ << kIdPlaceBits | ids_++;
}

void Cursors::Put(const std::string& name, const std::optional<StoredCursor>& cursor) {
  if (cursor.has_value()) {
    cursors_[name] = *cursor;
  } else {
    cursors_.erase(name);
  }
}

void Cursors::Set(std::string_view name, const std::optional<StoredCursor>& cursor) {
  const std::string key(name);
  const auto at = cursors_.find(key);
  // Only the first time in an entry.
  before_.try_emplace(key, at == cursors_.end() ? std::nullopt : std::make_optional(at->second));
  Put(key, cursor);
}

uint64_t Cursors::BytesMax() const { return before_.size() * kCursorOperationBytesMax; }

std::string Cursors::Finish(std::vector<CursorUpdate>* updates) {
  updates->clear();
  std::string operations;
  for (const auto& [name, before] : before_) {
    const auto at = cursors_.find(name);
    const bool is_there = at != cursors_.end();
    if (is_there ? before == at->second : !before.has_value()) continue;
    const std::string key = changes::CursorKey(name);
    if (is_there) {
      const std::string value = changes::EncodeCursor(at->second);
      kv::AppendOperation(&operations, {.kind = kv::Kind::kPut, .key = key, .value = value});
    } else {
      kv::AppendOperation(&operations, {.kind = kv::Kind::kDelete, .key = key, .value = {}});
    }
    updates->push_back({name, is_there ? std::make_optional(at->second) : std::nullopt});
  }
  return operations;
}

void Cursors::Undo() {
  for (const auto& [name, before] : before_) Put(name, before);
  before_.clear();
}

}  // namespace bandb::cluster
