// What a store remembers of a named cursor in its system space.
//
//   key   := "cursor" name                                                       name: 1 to 255 bytes
//   value := version:u8 created_ms:varint acknowledged_ms:varint token:length-prefixed        version 1
//            id:varint                                                           besides, in version 2
//
// A standalone database writes version 1, a cluster version 2, and either reads both. The id tells
// a cursor from an earlier one of the same name, or from itself at another place.
#ifndef BANDB_CHANGES_CURSOR_CODEC_H_
#define BANDB_CHANGES_CURSOR_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "changes/change_token.h"

namespace bandb::changes {

inline constexpr std::string_view kCursorPrefix = "cursor";
inline constexpr size_t kCursorNameBytesMax = 255;
inline constexpr size_t kCursorsMax = 1024;

struct StoredCursor {
  uint64_t created_ms = 0;
  uint64_t acknowledged_ms = 0;
  ChangePlace place{};
  uint64_t id = 0;  // 0: it has none, and is of version 1

  friend bool operator==(const StoredCursor&, const StoredCursor&) = default;
};

std::string CursorKey(std::string_view name);
std::string EncodeCursor(const StoredCursor& cursor);
// `name`: for the message. Errors: kDataLoss malformed; kFailedPrecondition written by a newer
// release.
absl::StatusOr<StoredCursor> DecodeCursor(std::string_view name, std::string_view value);

// Errors: kInvalidArgument.
absl::Status CheckCursorName(std::string_view name);
absl::Status NoSuchCursorError(std::string_view name);
absl::Status CursorExistsError(std::string_view name);

}  // namespace bandb::changes

#endif  // BANDB_CHANGES_CURSOR_CODEC_H_
