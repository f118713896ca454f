// Figures as lines of text, for the programs of this project: the answer to `figures` of ADMIN.
//
//   server.replies 17
//   store.level.0.tables 4
//   request.bandb.get 81234 40960 12:3 15:9
//
// A name, a space and a value; of a histogram its sum and maximum in nanoseconds and then each
// bucket of LatencyHistogram that holds something, with how many.
#ifndef BANDB_ADMIN_FIGURE_LINES_H_
#define BANDB_ADMIN_FIGURE_LINES_H_

#include <string>

#include "admin/figures.h"

namespace bandb::admin {

// All figures, with the names of figures.h after server., store. and store.level.N.; histograms as
// request.PROTOCOL.OPERATION and hook.NAME, whose spaces are underscores.
std::string ToLines(const Report& report);

}  // namespace bandb::admin

#endif  // BANDB_ADMIN_FIGURE_LINES_H_
