// Bytes as JSON has them: a string, or an object with a string in base64 or hex.
#ifndef BANDB_TOOLS_TRANSFER_JSON_BYTES_H_
#define BANDB_TOOLS_TRANSFER_JSON_BYTES_H_

#include <nlohmann/json.hpp>
#include <string>

#include "transfer/entry.h"

namespace bandb::transfer {

// What AppendJsonBytes wrote; false if `value` is nothing of the kind.
inline bool BytesOfJson(const nlohmann::json& value, std::string* bytes) {
  if (const auto* const text = value.get_ptr<const nlohmann::json::string_t*>()) {
    *bytes = *text;
    return true;
  }
  if (!value.is_object() || value.size() != 1) return false;
  const auto inner = value.begin();
  const auto* const text = inner.value().get_ptr<const nlohmann::json::string_t*>();
  Encoding encoding = Encoding::kUtf8;
  if (text == nullptr || !ParseEncoding(inner.key(), &encoding) || encoding == Encoding::kUtf8) return false;
  return Decode(encoding, *text, bytes);
}

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_JSON_BYTES_H_
