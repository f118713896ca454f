#include "quoting.h"

#include <cstddef>
#include <utility>

#include "base/escape.h"

namespace bandb::cli {

namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Reads what follows a backslash; returns how long it was, 0 if it is not an escape.
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
  // Escaping doubled every backslash, so that one before a quote means the quote.
  std::string quoted = "\"";
  for (const char c : base::Escape(bytes)) {
    if (c == '"') quoted += '\\';
    quoted += c;
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

bool Unescape(std::string_view text, std::string* bytes) {
  std::string found;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      found += text[i];
      continue;
    }
    char byte = 0;
    const size_t length = ReadEscape(text.substr(i + 1), &byte);
    if (length == 0) return false;
    found += byte;
    i += length;
  }
  *bytes = std::move(found);
  return true;
}

}  // namespace bandb::cli
