#include "quoting.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace bandb::cli {

namespace {

// The length of the UTF-8 sequence in front of `text` and its code point; 0 if it is none.
size_t DecodeUtf8(std::string_view text, uint32_t* code_point) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  const size_t length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first < 0xe0 ? 0 : first < 0xf0 ? 3 : 4;
  if (length == 0 || first > 0xf4 || length > text.size()) return 0;
  uint32_t value = length == 1 ? first : first & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    value = value << 6 | (byte(i) & 0x3f);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  const bool surrogate = value >= 0xd800 && value < 0xe000;
  if (overlong || surrogate || value > 0x10ffff) return 0;
  *code_point = value;
  return length;
}

bool Printable(uint32_t c) {
  if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0xfeff) return false;
  if ((c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f)) return false;
  // Private use, and planes that hold no writing.
  return (c < 0xe000 || c > 0xf8ff) && (c < 0xfff0 || c > 0xffff) && c < 0xe0000;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Reads what stands behind a backslash; returns how long it was, 0 if it is no escape.
size_t ReadEscape(std::string_view text, char* byte) {
  if (text.empty()) return 0;
  switch (text[0]) {
    case '"':
    case '\\':
      *byte = text[0];
      return 1;
    case 'n':
      *byte = '\n';
      return 1;
    case 'r':
      *byte = '\r';
      return 1;
    case 't':
      *byte = '\t';
      return 1;
    case 'x':
      if (text.size() < 3 || HexDigit(text[1]) < 0 || HexDigit(text[2]) < 0) return 0;
      *byte = static_cast<char>(HexDigit(text[1]) * 16 + HexDigit(text[2]));
      return 3;
    default:
      return 0;
  }
}

}  // namespace

std::string Quote(std::string_view bytes) {
  std::string quoted = "\"";
  while (!bytes.empty()) {
    uint32_t c = 0;
    size_t length = DecodeUtf8(bytes, &c);
    if (length == 1 && (c == '"' || c == '\\')) {
      quoted += '\\';
      quoted += bytes[0];
    } else if (length > 0 && Printable(c)) {
      quoted += bytes.substr(0, length);
    } else if (length == 1 && (c == '\n' || c == '\r' || c == '\t')) {
      quoted += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else {
      length = length == 0 ? 1 : length;
      for (size_t i = 0; i < length; ++i) {
        fmt::format_to(std::back_inserter(quoted), "\\x{:02x}", static_cast<uint8_t>(bytes[i]));
      }
    }
    bytes.remove_prefix(length);
  }
  return quoted + '"';
}

bool Unquote(std::string_view* text, std::string* bytes) {
  if (text->empty() || text->front() != '"') return false;
  std::string found;
  for (size_t i = 1; i < text->size(); ++i) {
    const char c = (*text)[i];
    if (c == '"') {
      text->remove_prefix(i + 1);
      *bytes = std::move(found);
      return true;
    }
    if (c != '\\') {
      found += c;
      continue;
    }
    char byte = 0;
    const size_t length = ReadEscape(text->substr(i + 1), &byte);
    if (length == 0) return false;
    found += byte;
    i += length;
  }
  return false;
}

}  // namespace bandb::cli
