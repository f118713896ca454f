// Fields of the JSON objects of which manifests consist.
#ifndef BANDB_TOOLS_TRANSFER_JSON_FIELDS_H_
#define BANDB_TOOLS_TRANSFER_JSON_FIELDS_H_

#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>

#include "transfer/json_bytes.h"

namespace bandb::transfer {

// Each is false if there is no such field, or it is of another kind.

inline bool TakeNumber(const nlohmann::json& object, const char* name, uint64_t* number) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return false;
  *number = found->get<uint64_t>();
  return true;
}

inline bool TakeText(const nlohmann::json& object, const char* name, std::string* text) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return false;
  *text = found->get<std::string>();
  return true;
}

inline bool TakeBytes(const nlohmann::json& object, const char* name, std::string* bytes) {
  const auto found = object.find(name);
  return found != object.end() && BytesOfJson(*found, bytes);
}

// 16 hexadecimal digits.
inline bool ParseChecksum(std::string_view text, uint64_t* checksum) {
  const char* const end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, *checksum, 16);
  return error == std::errc() && parsed == end && text.size() == 16;
}

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_JSON_FIELDS_H_
