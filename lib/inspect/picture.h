// The levels of a database as a picture: which tables lie over which.
#ifndef BANDB_INSPECT_PICTURE_H_
#define BANDB_INSPECT_PICTURE_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/env.h"

namespace bandb::inspect {

// An SVG document: a band for each level that has tables, level 0 with a row for each of its own,
// and from left to right the keys, by their order and not by their number. Errors: as FindDatabase;
// kDataLoss the manifest cannot be read.
absl::StatusOr<std::string> DrawLevels(const base::Env& env, const std::string& dir);

}  // namespace bandb::inspect

#endif  // BANDB_INSPECT_PICTURE_H_
