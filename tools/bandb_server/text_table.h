// Rows of text in columns, as operators are shown them.
#ifndef BANDB_TOOLS_BANDB_SERVER_TEXT_TABLE_H_
#define BANDB_TOOLS_BANDB_SERVER_TEXT_TABLE_H_

#include <string>
#include <string_view>
#include <vector>

namespace bandb::server_program {

// A line for each row: columns as wide as what is in them, the last one ragged. Lines are parted by
// line ends.
std::string Align(const std::vector<std::vector<std::string>>& rows);

// `text` as a cell of such rows: escaped, or "-" for nothing.
std::string Shown(std::string_view text);

// `text` as a string of JSON, with its quotes.
std::string Json(std::string_view text);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_TEXT_TABLE_H_
