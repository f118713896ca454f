// What a stored entry means to a reader.
#ifndef BANDB_STORAGE_KEY_ENTRY_H_
#define BANDB_STORAGE_KEY_ENTRY_H_

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "bandb/pinned_value.h"
#include "base/coding.h"
#include "storage/key/internal_key.h"

namespace bandb::storage {

// Errors: kDataLoss an entry that is too short, or of a kind that this release does not write.
absl::Status MalformedEntry(Kind kind);

// The value of an entry for a reader at `now_ms`. False: there is none, since it was deleted or has
// expired; or the entry is malformed, which *error then says.
inline bool ReadEntry(Kind kind, std::string_view stored, uint64_t now_ms, std::string_view* value,
                      absl::Status* error) {
  switch (kind) {
    case Kind::kPut:
      *value = stored;
      return true;
    case Kind::kDelete:
      return false;
    case Kind::kPutWithExpiry:
      if (stored.size() < sizeof(uint64_t)) break;
      *value = stored.substr(sizeof(uint64_t));
      return base::LoadFixed<uint64_t>(stored.data()) > now_ms;
    default:
      break;
  }
  *error = MalformedEntry(kind);
  return false;
}

// When an entry of this kind expires that was read with ReadEntry, in milliseconds since 1970.
inline int64_t ExpiryMillis(std::string_view stored) {
  return static_cast<int64_t>(std::min(base::LoadFixed<uint64_t>(stored.data()), uint64_t{INT64_MAX}));
}

// Says of a value that was read with ReadEntry what there is besides: its version, and when it
// expires.
inline void Describe(Kind kind, Sequence sequence, std::string_view stored, PinnedValue* value) {
  value->SetVersion(sequence);
  if (kind == Kind::kPutWithExpiry) value->SetExpiryMillis(ExpiryMillis(stored));
}

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_KEY_ENTRY_H_
