// Guards the parser of the configuration against keys of very many parts: it makes a table within a
// table for each, and the stack does not suffice to take these apart again.
#ifndef BANDB_TOOLS_BANDB_SERVER_KEY_DEPTH_H_
#define BANDB_TOOLS_BANDB_SERVER_KEY_DEPTH_H_

#include <cstddef>
#include <string_view>

namespace bandb::server_program {

// More dots than any key of a configuration has.
inline constexpr size_t kKeyDotsMax = 8;

// The number of the first line, counted from 1, with more than kKeyDotsMax dots in one key; 0 if
// there is none.
size_t LineOfDeepKey(std::string_view text);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_KEY_DEPTH_H_
