// Standard input, output and error of a program that may have been started without them, or with a full disk or nobody
// behind them.
#ifndef BANDB_TOOLS_STANDARD_STREAMS_STANDARD_STREAMS_H_
#define BANDB_TOOLS_STANDARD_STREAMS_STANDARD_STREAMS_H_

#include <fmt/format.h>

#include <cstdio>
#include <string_view>
#include <utility>

namespace bandb::standard_streams {

// Takes the descriptors 0 to 2 where they are closed; writing them goes on failing. Call it first: else a
// file of the database or a connection gets such a number, and what is meant for people is written into it.
void HoldNumbers();

// Writes without a complaint: who may not miss that it failed asks Arrived. (fmt::print throws.)
void Write(std::FILE* stream, std::string_view text);

// The same of what fmt makes of its arguments.
template <typename... Args>
void Print(std::FILE* stream, fmt::format_string<Args...> format, Args&&... args) {
  Write(stream, fmt::format(format, std::forward<Args>(args)...));
}

// Flushes standard output; false if anything that was ever written to it was lost.
bool Arrived();

}  // namespace bandb::standard_streams

#endif  // BANDB_TOOLS_STANDARD_STREAMS_STANDARD_STREAMS_H_
