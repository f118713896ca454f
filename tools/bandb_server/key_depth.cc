#include "key_depth.h"

namespace bandb::server_program {

namespace {

// Where the string that begins at `at` ends: after its closing quotes, or, if it is not closed, at
// the end of the line or of the text; the parser complains of that.
size_t EndOfString(std::string_view text, size_t at) {
  const char quote = text[at];
  const std::string_view three = quote == '"' ? "\"\"\"" : "'''";
  if (text.substr(at).starts_with(three)) {
    const size_t end = text.find(three, at + three.size());
    return end == std::string_view::npos ? text.size() : end + three.size();
  }
  for (++at; at < text.size() && text[at] != '\n'; ++at) {
    if (text[at] == quote) return at + 1;
    if (quote == '"' && text[at] == '\\') ++at;
  }
  return at < text.size() ? at : text.size();
}

}  // namespace

size_t LineOfDeepKey(std::string_view text) {
  constexpr std::string_view kBetweenKeys = "=,[]{}\n";
  size_t line = 1;
  size_t dots = 0;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"' || c == '\'') {
      const size_t end = EndOfString(text, at);
      for (; at < end; ++at) line += text[at] == '\n' ? 1 : 0;
      continue;
    }
    if (c == '#') {
      while (at < text.size() && text[at] != '\n') ++at;
      continue;
    }
    if (c == '.' && ++dots > kKeyDotsMax) return line;
    if (kBetweenKeys.find(c) != std::string_view::npos) dots = 0;
    line += c == '\n' ? 1 : 0;
    ++at;
  }
  return 0;
}

}  // namespace bandb::server_program
