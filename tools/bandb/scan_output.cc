#include "scan_output.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "base/escape.h"
#include "base/status.h"
#include "quoting.h"

namespace bandb::cli {

namespace {

// The inside of a JSON string for these bytes; false if they are not UTF-8, or would turn the
// direction of text.
bool AppendJson(std::string_view bytes, std::string* json) {
  while (!bytes.empty()) {
    const char c = bytes.front();
    if (c == '"' || c == '\\') {
      *json += '\\';
      *json += c;
      bytes.remove_prefix(1);
    } else if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') {
      *json += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      bytes.remove_prefix(1);
    } else if (static_cast<unsigned char>(c) < 0x80) {
      *json += c;
      bytes.remove_prefix(1);
    } else {
      const size_t length = base::Utf8CharacterLength(bytes);
      if (length == 0) return false;
      *json += bytes.substr(0, length);
      bytes.remove_prefix(length);
    }
  }
  return true;
}

std::string JsonField(std::string_view name, std::string_view bytes) {
  std::string json;
  if (AppendJson(bytes, &json)) return fmt::format("\"{}\": \"{}\"", name, json);
  return fmt::format("\"{}_base64\": \"{}\"", name, absl::Base64Escape(base::ToAbsl(bytes)));
}

}  // namespace

std::string FormatEntry(ScanFormat format, std::string_view key, std::string_view value, bool keys_only) {
  switch (format) {
    case ScanFormat::kText:
      return keys_only ? Quote(key) + "\n" : fmt::format("{}\t{}\n", Quote(key), Quote(value));
    case ScanFormat::kJsonLines:
      return keys_only ? fmt::format("{{{}}}\n", JsonField("key", key))
                       : fmt::format("{{{}, {}}}\n", JsonField("key", key), JsonField("value", value));
    case ScanFormat::kRaw:
      return keys_only ? std::string(key) + "\n" : fmt::format("{}\t{}\n", key, value);
  }
  return "";
}

}  // namespace bandb::cli
