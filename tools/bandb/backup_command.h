// `bandb backup`: backups of a database, in a directory of plain files.
#ifndef BANDB_TOOLS_BANDB_BACKUP_COMMAND_H_
#define BANDB_TOOLS_BANDB_BACKUP_COMMAND_H_

#include <string>
#include <vector>

#include "client/target.h"

namespace bandb::cli {

// Returns the exit code.
int RunBackup(const client::Target& target, std::vector<std::string> arguments);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_BACKUP_COMMAND_H_
