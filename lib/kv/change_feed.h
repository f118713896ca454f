// What a store with a change feed has behind Store's calls; see bandb/store.h for their contracts.
#ifndef BANDB_KV_CHANGE_FEED_H_
#define BANDB_KV_CHANGE_FEED_H_

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/changes.h"

namespace bandb::internal {

// Thread safety: any thread.
class ChangeFeed {
 public:
  virtual ~ChangeFeed() = default;
  virtual absl::StatusOr<std::unique_ptr<ChangeReader>> ReadChanges(const ChangesOptions& options) = 0;
  virtual absl::Status CreateCursor(std::string_view name, const ChangesFrom& from) = 0;
  virtual absl::Status Acknowledge(std::string_view name, std::string_view token) = 0;
  virtual absl::Status DropCursor(std::string_view name) = 0;
  virtual absl::StatusOr<std::vector<CursorInfo>> ListCursors() = 0;
};

}  // namespace bandb::internal

#endif  // BANDB_KV_CHANGE_FEED_H_
