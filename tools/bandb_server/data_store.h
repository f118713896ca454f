// What a server serves and what its operator may do with it: a database of its own, or a node of a
// cluster.
#ifndef BANDB_TOOLS_BANDB_SERVER_DATA_STORE_H_
#define BANDB_TOOLS_BANDB_SERVER_DATA_STORE_H_

#include <functional>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/cluster.h"
#include "bandb/db.h"
#include "bandb/stats.h"
#include "bandb/store.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "config.h"

namespace bandb::server_program {

// Thread safety: Look and Close one thread, the rest any.
class DataStore {
 public:
  virtual ~DataStore() = default;
  DataStore(const DataStore&) = delete;
  DataStore& operator=(const DataStore&) = delete;

  virtual Store& store() = 0;
  // Null if it is no database of its own.
  virtual Db* db() { return nullptr; }
  // Null if it is no node.
  virtual Cluster* cluster() { return nullptr; }
  virtual Stats GetStats() const = 0;
  virtual absl::Status Flush() = 0;
  virtual absl::Status CompactRange(std::string_view begin, std::string_view limit) = 0;
  // Whether writes are accepted, and if not, why.
  virtual absl::Status Ready() const = 0;

  // To be called about once a second. An error: it cannot go on, and the process has to be started
  // again.
  virtual absl::Status Look() = 0;
  // True if an error has stopped it, so that only opening it again helps.
  virtual bool stopped_for_good() const = 0;
  virtual absl::Status Close() = 0;

 protected:
  DataStore() = default;
};

struct DataStoreParts {
  base::FileSystem* files = nullptr;
  base::Clock* clock = nullptr;
  Logger* logger = nullptr;
  // Asked again and again while a node waits to be let in: true ends that.
  std::function<bool()> told_to_end;
};

// Opens what the configuration says. Lifetime: borrows what the parts have. Errors: as Db::Open and
// Cluster::Start; kCancelled it was stopped before a cluster let it in.
absl::StatusOr<std::unique_ptr<DataStore>> OpenDataStore(const Config& config, const DataStoreParts& parts);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_DATA_STORE_H_
