// What the numbers and keys of the formats are called where people read them.
#ifndef BANDB_INSPECT_NAMES_H_
#define BANDB_INSPECT_NAMES_H_

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "storage/key/internal_key.h"
#include "storage/log/log_format.h"
#include "storage/log/log_reader.h"

namespace bandb::inspect {

inline std::string_view KindName(kv::Kind kind) {
  switch (kind) {
    case kv::Kind::kDelete:
      return "delete";
    case kv::Kind::kPut:
      return "put";
    case kv::Kind::kPutWithExpiry:
      return "put with expiry";
    case kv::Kind::kRangeDelete:
      return "range delete";
    case kv::Kind::kBlobReference:
    case kv::Kind::kBlobReferenceWithExpiry:
      return "reserved";
  }
  return "unknown";
}

inline std::string RecordName(storage::RecordType type) {
  switch (type) {
    case storage::RecordType::kWrite:
      return "write";
    case storage::RecordType::kEnd:
      return "end";
    case storage::RecordType::kSeal:
      return "seal";
    case storage::RecordType::kEdit:
      return "edit";
    case storage::RecordType::kSystemWrite:
      return "system write";
    default:
      return fmt::format("type {}", static_cast<int>(type));
  }
}

inline std::string_view EndName(storage::LogEnd end) {
  switch (end) {
    case storage::LogEnd::kSealed:
      return "sealed";
    case storage::LogEnd::kEnded:
      return "ended, the next log goes on";
    case storage::LogEnd::kOpen:
      return "open";
    case storage::LogEnd::kDamaged:
      return "torn";
  }
  return "unknown";
}

// A user's key as it is; others with their space before them.
inline std::string SpacedKeyText(std::string_view spaced_key) {
  if (spaced_key.empty()) return {};
  const auto space = static_cast<storage::Space>(spaced_key.front());
  const std::string_view user_key = storage::UserKey(spaced_key);
  if (space == storage::Space::kUser) return std::string(user_key);
  return fmt::format("space {}: {}", static_cast<int>(space), user_key);
}

// Of an internal key.
inline std::string KeyText(std::string_view internal_key) { return SpacedKeyText(storage::SpacedKey(internal_key)); }

}  // namespace bandb::inspect

#endif  // BANDB_INSPECT_NAMES_H_
