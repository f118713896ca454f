// What a store with a change feed has to serve Store's calls; see bandb/store.h for their
// contracts.
#ifndef BANDB_KV_CHANGE_FEED_H_
#define BANDB_KV_CHANGE_FEED_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/changes.h"

namespace bandb::internal {

// Is told that there is more to read.
class ChangeListener {
 public:
  // Called on the thread that has written or synced, under a mutex of those that tell: to be quick,
  // and to call no reader.
  virtual void HasNews() = 0;

 protected:
  ~ChangeListener() = default;
};

// What readers of our own feeds are: for those that wait for changes without a thread.
class AwaitableReader : public ChangeReader {
 public:
  // As Next without a wait, for a caller that means to Await more: nothing is done for readers that
  // look and go away.
  virtual absl::Status Look(Commit* commit) = 0;
  // After Look gave nothing: tells `listener` once, as soon as there may be more. Returns after how
  // many nanoseconds to look again though nothing was told; 0: now, and nothing will be told.
  // Lifetime: until it was told, or Forget, or the end of the reader.
  virtual int64_t Await(ChangeListener* listener) = 0;
  // It is not told any more once this has returned.
  virtual void Forget() = 0;
  // Of the commits that were read so far, whatever was wanted of them.
  virtual uint64_t looked_bytes() const = 0;
};

// Thread safety: any thread.
class ChangeFeed {
 public:
  virtual ~ChangeFeed() = default;
  virtual absl::StatusOr<std::unique_ptr<ChangeReader>> ReadChanges(const ChangesOptions& options) = 0;
  virtual absl::Status CreateCursor(std::string_view name, const ChangesFrom& from) = 0;
  // kUnimplemented, by default.
  virtual absl::Status ResetCursor(std::string_view name, const ChangesFrom& from);
  virtual absl::Status Acknowledge(std::string_view name, std::string_view token) = 0;
  virtual absl::Status DropCursor(std::string_view name) = 0;
  virtual absl::StatusOr<std::vector<CursorInfo>> ListCursors() = 0;
};

}  // namespace bandb::internal

#endif  // BANDB_KV_CHANGE_FEED_H_
