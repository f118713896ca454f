// A store in a directory that no server has open: a database, or a node that is the only member of
// its cluster.
#ifndef BANDB_TOOLS_BANDB_OFFLINE_STORE_H_
#define BANDB_TOOLS_BANDB_OFFLINE_STORE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/stats.h"
#include "bandb/store.h"

namespace bandb::cli {

class OfflineStore {
 public:
  // All that was acknowledged is there when it returns. A directory that holds nothing gets a
  // database, with `create`. Errors: as Db::Open and Cluster::Start; kFailedPrecondition the node
  // has fellow members, without whom it cannot know what is acknowledged.
  static absl::StatusOr<std::unique_ptr<OfflineStore>> Open(const std::string& directory, bool create);

  virtual ~OfflineStore() = default;
  OfflineStore(const OfflineStore&) = delete;
  OfflineStore& operator=(const OfflineStore&) = delete;
  virtual Store* store() = 0;
  virtual Stats GetStats() const = 0;
  virtual absl::Status Close() = 0;

 protected:
  OfflineStore() = default;
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_OFFLINE_STORE_H_
