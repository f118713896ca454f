// Whether what is to be made lies apart from what it is made of, whatever the paths are called.
#ifndef BANDB_TOOLS_BANDB_INSPECT_APART_H_
#define BANDB_TOOLS_BANDB_INSPECT_APART_H_

#include <string>

#include "absl/status/status.h"

namespace bandb::inspect {

// OK if `target`, which need not exist, is not in the directory of the database `source` nor in one
// of its folders: by links, by mounts and from the working directory, too.
// Errors: kInvalidArgument it is, or its path goes up from a folder that is not there; what the
// operating system says.
absl::Status CheckApart(const std::string& source, const std::string& target);

}  // namespace bandb::inspect

#endif  // BANDB_TOOLS_BANDB_INSPECT_APART_H_
