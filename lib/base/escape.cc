#include "base/escape.h"

#include <fmt/format.h>

#include <iterator>

namespace bandb::base {

namespace {

struct Utf8Form {
  size_t length;
  uint8_t lead_mask;
  uint8_t lead;
  uint32_t smallest;  // a character that a shorter form could hold is invalid in this one
};

constexpr Utf8Form kForms[] = {
    {1, 0x80, 0x00, 0}, {2, 0xe0, 0xc0, 0x80}, {3, 0xf0, 0xe0, 0x800}, {4, 0xf8, 0xf0, 0x10000}};

void AppendEscaped(std::string_view bytes, std::string* to) {
  while (!bytes.empty()) {
    const auto byte = static_cast<uint8_t>(bytes[0]);
    size_t length = 1;
    if (byte == '\\') {
      to->append("\\\\");
    } else if (byte == '\n') {
      to->append("\\n");
    } else if (byte == '\r') {
      to->append("\\r");
    } else if (byte == '\t') {
      to->append("\\t");
    } else if (byte >= 0x20 && byte < 0x7f) {
      to->push_back(bytes[0]);
    } else if (byte >= 0x80 && (length = Utf8CharacterLength(bytes)) > 0) {
      to->append(bytes.substr(0, length));
    } else {
      length = 1;
      fmt::format_to(std::back_inserter(*to), "\\x{:02x}", byte);
    }
    bytes.remove_prefix(length);
  }
}

}  // namespace

size_t Utf8CharacterLength(std::string_view bytes) {
  if (bytes.empty()) return 0;
  const auto first = static_cast<uint8_t>(bytes[0]);
  for (const Utf8Form& form : kForms) {
    if ((first & form.lead_mask) != form.lead) continue;
    if (bytes.size() < form.length) return 0;
    uint32_t character = first & static_cast<uint8_t>(~form.lead_mask);
    for (size_t i = 1; i < form.length; ++i) {
      const auto next = static_cast<uint8_t>(bytes[i]);
      if ((next & 0xc0) != 0x80) return 0;
      character = character << 6 | (next & 0x3f);
    }
    const bool surrogate = character >= 0xd800 && character <= 0xdfff;
    const bool control = character >= 0x80 && character < 0xa0;
    // Line and paragraph separators, and the marks that turn the direction of what follows, would
    // spoil a line.
    const bool turns = (character >= 0x2028 && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069) ||
                       character == 0x200e || character == 0x200f || character == 0x061c;
    if (character < form.smallest || character > 0x10ffff || surrogate || control || turns) return 0;
    return form.length;
  }
  return 0;
}

std::string Escape(std::string_view bytes, size_t bytes_max) {
  std::string text;
  text.reserve(bytes.size() < bytes_max ? bytes.size() : bytes_max);
  AppendEscaped(bytes.substr(0, bytes_max), &text);
  if (bytes.size() > bytes_max) fmt::format_to(std::back_inserter(text), "... ({} bytes)", bytes.size());
  return text;
}

std::string EscapeJson(std::string_view bytes) {
  std::string escaped;
  AppendEscaped(bytes, &escaped);
  std::string json;
  json.reserve(escaped.size());
  for (const char c : escaped) {
    if (c == '"' || c == '\\') json.push_back('\\');
    json.push_back(c);
  }
  return json;
}

}  // namespace bandb::base
