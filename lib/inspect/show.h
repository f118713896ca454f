// Tells what the files of a database say: the manifest, a log, a table, and the tables by level.
#ifndef BANDB_INSPECT_SHOW_H_
#define BANDB_INSPECT_SHOW_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/env.h"
#include "inspect/report.h"

namespace bandb::inspect {

// Each returns true if what was looked at is sound, and else says in the section "problems" what is
// not: what comes before it was told. Errors: kNotFound there is no such database or file; what the
// file system says.

// What the edits of the manifest make: "manifest", "tables", "logs", "epochs", "kept logs". With
// `edits` each of them besides.
absl::StatusOr<bool> ShowManifest(const base::Env& env, const std::string& dir, bool edits, Report* report);

// A log or a manifest: "log", and "records". With `operations` also what they do.
absl::StatusOr<bool> ShowLog(const base::Env& env, const std::string& path, bool operations, Report* report);

// A table: "table", "range deletes", "partitions". With `blocks` its data blocks, with `entries`
// all that they hold; every block is read and verified in any case.
absl::StatusOr<bool> ShowTable(const base::Env& env, const std::string& path, bool blocks, bool entries,
                               Report* report);

// What is in each level: "database" and "levels".
absl::StatusOr<bool> ShowStats(const base::Env& env, const std::string& dir, Report* report);

}  // namespace bandb::inspect

#endif  // BANDB_INSPECT_SHOW_H_
