#include "changes/cursor_codec.h"

#include "base/coding.h"
#include "base/status.h"

namespace bandb::changes {

namespace {

constexpr uint8_t kPlainVersion = 1;
constexpr uint8_t kVersionWithId = 2;

}  // namespace

std::string CursorKey(std::string_view name) { return std::string(kCursorPrefix).append(name); }

std::string EncodeCursor(const StoredCursor& cursor) {
  std::string value;
  base::PutFixed8(&value, cursor.id == 0 ? kPlainVersion : kVersionWithId);
  base::PutVarint(&value, cursor.created_ms);
  base::PutVarint(&value, cursor.acknowledged_ms);
  base::PutLengthPrefixed(&value, EncodeToken(cursor.place));
  if (cursor.id != 0) base::PutVarint(&value, cursor.id);
  return value;
}

absl::StatusOr<StoredCursor> DecodeCursor(std::string_view name, std::string_view value) {
  base::ByteReader reader(value);
  uint8_t version = 0;
  StoredCursor cursor;
  std::string_view token;
  if (reader.ReadFixed(&version) && version > kVersionWithId) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "cursor \"{}\" is of version {}: a newer release's", name,
                       version);
  }
  bool whole = version != 0 && reader.ReadVarint(&cursor.created_ms) && reader.ReadVarint(&cursor.acknowledged_ms) &&
               reader.ReadLengthPrefixed(&token);
  if (version == kVersionWithId) whole = whole && reader.ReadVarint(&cursor.id) && cursor.id != 0;
  const absl::StatusOr<ChangePlace> place = DecodeToken(token);
  if (!whole || !reader.empty() || !place.ok()) {
    return base::Error(absl::StatusCode::kDataLoss, "cursor \"{}\" is malformed", name);
  }
  cursor.place = *place;
  return cursor;
}

absl::Status CheckCursorName(std::string_view name) {
  if (!name.empty() && name.size() <= kCursorNameBytesMax) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInvalidArgument, "the name of a cursor is 1 to {} bytes, not {}",
                     kCursorNameBytesMax, name.size());
}

absl::Status NoSuchCursorError(std::string_view name) {
  return base::Error(absl::StatusCode::kNotFound, "there is no cursor \"{}\"", name);
}

absl::Status CursorExistsError(std::string_view name) {
  return base::Error(absl::StatusCode::kAlreadyExists, "there is a cursor \"{}\"", name);
}

}  // namespace bandb::changes
