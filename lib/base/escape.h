// Bytes as people can read them, on one line.
#ifndef BANDB_BASE_ESCAPE_H_
#define BANDB_BASE_ESCAPE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bandb::base {

// The bytes with everything escaped that does not print: control characters and bytes that are no
// valid UTF-8 become \n, \r, \t or \xNN, and a backslash is doubled, so that different bytes never
// look the same. With more than `bytes_max` bytes the rest is left out and counted: "abc... (1000
// bytes)".
std::string Escape(std::string_view bytes, size_t bytes_max = SIZE_MAX);

// The inside of a JSON string: as Escape, then quoted as JSON wants it. Always valid UTF-8.
std::string EscapeJson(std::string_view bytes);

// The length of the valid UTF-8 character at the front of `bytes`: 0 if there is none, or it is a
// control character beyond ASCII.
size_t Utf8CharacterLength(std::string_view bytes);

}  // namespace bandb::base

#endif  // BANDB_BASE_ESCAPE_H_
