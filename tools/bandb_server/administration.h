// What an operator asks of the server through the protocol (`bandb flush` and its like).
#ifndef BANDB_TOOLS_BANDB_SERVER_ADMINISTRATION_H_
#define BANDB_TOOLS_BANDB_SERVER_ADMINISTRATION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "data_store.h"

namespace bandb::server_program {

// `words`: a command with what it takes. `backups`: the repository, empty if there is none. A text
// for the operator. Thread safety: any thread.
// Errors: kInvalidArgument there is no such command, or it takes other words, and what the database
// or the cluster answers; kFailedPrecondition it is about a cluster, and there is none.
absl::StatusOr<std::string> Administer(DataStore* data, const std::string& backups,
                                       const std::vector<std::string>& words);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_ADMINISTRATION_H_
