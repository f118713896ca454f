// `bandb export --changes`: the change feed into files, each change once.
#ifndef BANDB_TOOLS_BANDB_CHANGE_EXPORT_COMMAND_H_
#define BANDB_TOOLS_BANDB_CHANGE_EXPORT_COMMAND_H_

#include "client/target.h"
#include "export_flags.h"

namespace bandb::cli {

// Returns the exit code. Before the first thread: see InterruptWatch.
int RunChangeExport(const client::Target& target, const ExportFlags& flags);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_CHANGE_EXPORT_COMMAND_H_
