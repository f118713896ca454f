// Looks at all of a database: every file, every checksum, and whether they fit together.
#ifndef BANDB_INSPECT_CHECK_H_
#define BANDB_INSPECT_CHECK_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/env.h"
#include "inspect/report.h"

namespace bandb::inspect {

// True if all is sound, and opening the database would not be refused. Sections of the report:
// "database"; "problems", a table of file and what is wrong; "notes", of what is no damage and yet
// worth knowing: a torn tail, a last log that another one is to follow or that may have been cut,
// files that nothing needs.
// Errors: as FindDatabase and CheckNotOpen: while somebody has it open, its logs change.
absl::StatusOr<bool> CheckDatabase(const base::Env& env, const std::string& dir, Report* report);

}  // namespace bandb::inspect

#endif  // BANDB_INSPECT_CHECK_H_
