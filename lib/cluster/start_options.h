// What ClusterOptions come to for a node, and which of them make no sense.
#ifndef BANDB_CLUSTER_START_OPTIONS_H_
#define BANDB_CLUSTER_START_OPTIONS_H_

#include "absl/status/status.h"
#include "bandb/cluster_options.h"
#include "cluster/node.h"
#include "kv/option_check.h"

namespace bandb::cluster {

// Complains of what is out of range or contradicts another option, but of directory and storage.
void CheckOptions(const ClusterOptions& options, kv::OptionCheck* check);

// Errors: kInvalidArgument names every setting that is out of range or contradicts another.
absl::Status CheckStart(const ClusterOptions& options);

// Of options that CheckStart has passed. `listen`: the address, its port known.
NodeOptions NodeOptionsOf(const ClusterOptions& options, const std::string& listen);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_START_OPTIONS_H_
