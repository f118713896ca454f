// Keys and values as people see and type them.
//
//   quoted := '"' (printable UTF-8 | '\"' | '\\' | '\n' | '\r' | '\t' | '\xHH')* '"'
#ifndef BANDB_TOOLS_BANDB_QUOTING_H_
#define BANDB_TOOLS_BANDB_QUOTING_H_

#include <string>
#include <string_view>

namespace bandb::cli {

// `bytes` in double quotes. What is not printable is escaped: control characters, bytes that are
// not UTF-8, and characters that are invisible or turn the direction of text.
std::string Quote(std::string_view bytes);

// Reads the quoted string that `text` begins with, and removes it from `text`. False if there is
// none, or it is not closed, or it holds an escape that does not exist; `text` is then as before.
bool Unquote(std::string_view* text, std::string* bytes);

// Text with the same escapes and without quotes. False if one does not exist; `bytes` is then as
// before.
bool Unescape(std::string_view text, std::string* bytes);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_QUOTING_H_
