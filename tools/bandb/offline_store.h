// A store in a directory that no server has open: a database, or a node that is the only member of
// its cluster.
#ifndef BANDB_TOOLS_BANDB_OFFLINE_STORE_H_
#define BANDB_TOOLS_BANDB_OFFLINE_STORE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/stats.h"
#include "bandb/store.h"

namespace bandb::cli {

// Of Options::changes_keep_bytes, for a database that is there: what a server kept of its change
// feed is not for others to let go.
inline constexpr uint64_t kKeepAllChanges = uint64_t{1} << 50;

class OfflineStore {
 public:
  // To read it: all that was acknowledged is there when it returns. In the directory of a database
  // nothing is changed; a node's is opened as the node does. Errors: as Db::OpenReadOnly and
  // Cluster::Start; kFailedPrecondition somebody has it open; or the node has fellow members,
  // without which it cannot know what is acknowledged.
  static absl::StatusOr<std::unique_ptr<OfflineStore>> OpenToRead(const std::string& directory);
  // To write it. A directory that holds nothing gets a database, which keeps no logs for the change
  // feed. Errors: as Db::Open, and the same
  // of a node.
  static absl::StatusOr<std::unique_ptr<OfflineStore>> OpenToWrite(const std::string& directory);

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
