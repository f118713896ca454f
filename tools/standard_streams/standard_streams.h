// Standard input, output and error of a program that may have been started without them, or with
// streams that cannot be written.
//
// A program that uses this has those of the descriptors 0 to 2 occupied that are closed when it is
// started; writing to them still fails. Otherwise a file of the database or a connection would get
// such a number, and messages would be written into it.
#ifndef BANDB_TOOLS_STANDARD_STREAMS_STANDARD_STREAMS_H_
#define BANDB_TOOLS_STANDARD_STREAMS_STANDARD_STREAMS_H_

#include <fmt/format.h>

#include <cstddef>
#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>

namespace bandb::standard_streams {

// Ignores failure, which Arrived tells. (fmt::print throws.)
void Write(std::FILE* stream, std::string_view text);

// The same, formatted by fmt.
template <typename... Args>
void Print(std::FILE* stream, fmt::format_string<Args...> format, Args&&... args) {
  Write(stream, fmt::format(format, std::forward<Args>(args)...));
}

// In characters.
struct TerminalSize {
  size_t columns = 0;
  size_t rows = 0;
};
// Of the terminal that standard output is; none if it is none. 80 by 24 if the terminal does not
// know.
std::optional<TerminalSize> SizeOfTerminal();

// Flushes standard output; false if anything that was ever written to it was lost.
bool Arrived();

}  // namespace bandb::standard_streams

#endif  // BANDB_TOOLS_STANDARD_STREAMS_STANDARD_STREAMS_H_
