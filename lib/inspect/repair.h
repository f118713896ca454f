// Makes a new database of what is sound of a damaged one.
#ifndef BANDB_INSPECT_REPAIR_H_
#define BANDB_INSPECT_REPAIR_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/env.h"
#include "inspect/report.h"

namespace bandb::inspect {

// Reads all tables and logs of `source` that can be read and writes the newest version of each key
// into a new database `target`, which has its name only once it is whole. `source` is not changed.
// True if nothing was lost, as far as the files tell: nothing that they promise is missing.
// Sections of the report: "repair"; "lost", which file, what of it, and the keys between which it
// lay; "notes", what follows from that, and what cannot be told.
//
// What counts is what the manifest names. Where its last edits may be missing, tables that none
// names are read, too; where it is damaged or gone, all that lie there, those that compactions had
// replaced included, so that deletes may be undone.
//
// Not taken over: sequences, and with them the change feed and its cursors; older versions of keys.
//
// Errors: kNotFound there is no database; kAlreadyExists `target` is there; kInvalidArgument one of
// the two is inside the other by its path (links are not looked at); kFailedPrecondition `source`
// is open, or was meanwhile, or belongs to a node of a cluster, which takes its state from its
// peers; what the file system says where it is not known whether `source` is open; what writing a
// database says. A file that cannot be read is a loss, and no error.
// Memory: the logs of `source`. Durability: `target` survives power loss when this returns OK.
absl::StatusOr<bool> RepairDatabase(const base::Env& env, const std::string& source, const std::string& target,
                                    Report* report);

}  // namespace bandb::inspect

#endif  // BANDB_INSPECT_REPAIR_H_
