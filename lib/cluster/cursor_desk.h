// CursorDesk: the cursors of the change feed as this node knows them: as far as it has applied the
// log, and what was acknowledged here since.
//
// An acknowledgement moves a cursor here at once. What it comes to is in the log a second later,
// with all others of that second as one command (cursors.h), so that a consumer may acknowledge as
// often as it likes. It stays noted until the log, applied here, has come as far, whatever becomes
// of a command; so nothing is lost with a leader, and what is sent twice is done once. If the
// process dies before, the cursor is where it was, and its consumer gets some commits again.
//
// A node that starts has cursors as of its last flush. What it knows counts once it has applied all
// that was agreed on by then: before that it is kUnavailable, which it says of each cursor, those
// included that it does not have. A node that has ended says why.
#ifndef BANDB_CLUSTER_CURSOR_DESK_H_
#define BANDB_CLUSTER_CURSOR_DESK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "cluster/cursors.h"

namespace bandb::cluster {

// Thread safety: any thread.
class CursorDesk {
 public:
  // `write_soon`: has what was acknowledged written, some time later; called without a lock.
  explicit CursorDesk(std::function<void()> write_soon);

  // Another state, and what an entry has made.
  void Replace(const CursorMap& cursors) ABSL_LOCKS_EXCLUDED(mutex_);
  void Update(const std::vector<CursorUpdate>& updates) ABSL_LOCKS_EXCLUDED(mutex_);

  // All that was agreed on when the node started is applied.
  void SetKnown() ABSL_LOCKS_EXCLUDED(mutex_);
  bool is_known() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Nothing is acknowledged from now on; `status` says why. Nothing, if it has ended before.
  void End(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);

  // A cursor, where it was acknowledged here. Errors, of all that may fail: kUnavailable cursors
  // are not known yet; what End was given. And kNotFound.
  absl::StatusOr<changes::StoredCursor> Find(std::string_view name) const ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<CursorMap> All() const ABSL_LOCKS_EXCLUDED(mutex_);
  // As the log has them: up to where they can go back.
  CursorMap Applied() const ABSL_LOCKS_EXCLUDED(mutex_);
  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);

  // `place` is of the present history. Errors: kNotFound; kFailedPrecondition the cursor is of
  // another one.
  absl::Status Acknowledge(std::string_view name, const changes::ChangePlace& place, uint64_t now_ms)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // What is to be written now, as the changes of one command; empty: nothing is. None is given out
  // again before Written.
  std::string TakeMoved() ABSL_LOCKS_EXCLUDED(mutex_);
  // The command has come to an end: applied, or not, or nobody knows.
  void Written() ABSL_LOCKS_EXCLUDED(mutex_);
  // All of it, whatever is on its way.
  std::string Moved() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Acknowledged {
    uint64_t id = 0;
    uint64_t acknowledged_ms = 0;
    changes::ChangePlace place{};
  };

  std::string MovedLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets what was acknowledged if the log says as much, or has another cursor.
  void Settle(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // True if the caller is to call write_soon_.
  bool IsDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::function<void()> write_soon_;
  mutable base::Mutex mutex_;
  // OK: cursors are known.
  absl::Status state_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  CursorMap applied_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Acknowledged, std::less<>> moved_ ABSL_GUARDED_BY(mutex_);
  // It was asked for a write that has not ended.
  bool due_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_CURSOR_DESK_H_
