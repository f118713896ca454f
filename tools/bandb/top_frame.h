// One frame of `bandb top`: two states of a server's figures, made into lines of text.
#ifndef BANDB_TOOLS_BANDB_TOP_FRAME_H_
#define BANDB_TOOLS_BANDB_TOP_FRAME_H_

#include <cstddef>
#include <string>

#include "figures.h"

namespace bandb::cli {

// What is on a frame. Pure: the same figures make the same text.
struct TopInput {
  std::string address;
  int64_t now_seconds = 0;  // since 1970
  Figures now;
  Figures before;
  double seconds = 0;   // between them; 0: the figures are since the start, and so are rates
  std::string members;  // lines of the members of a cluster; empty: there are none
};

// Lines of at most `columns` characters, at most `rows` of them; what has no room is left out from
// below.
std::string TopFrame(const TopInput& input, size_t columns, size_t rows);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_TOP_FRAME_H_
