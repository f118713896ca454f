// Snapshots that clients hold by number, so that many requests over any connections read one state.
//
// A snapshot keeps old versions of what is written meanwhile, so nobody has one for good: it lives
// as long as it is used, and for its lease after that. A client that goes away thus needs nobody to
// notice.
#ifndef BANDB_SERVER_SNAPSHOT_LEASES_H_
#define BANDB_SERVER_SNAPSHOT_LEASES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "bandb/snapshot.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/random.h"

namespace bandb::server {

// Of all loops of a server. Thread safety: any thread.
class SnapshotLeases {
 public:
  static constexpr size_t kSnapshotsMax = 64;
  // Of one user, or of one connection where there are no users, so that there are some for others.
  static constexpr size_t kSnapshotsOfUserMax = 16;
  static constexpr int64_t kLeaseNanosDefault = int64_t{60} * 1'000'000'000;
  static constexpr int64_t kLeaseNanosMax = int64_t{3600} * 1'000'000'000;

  // Lifetime: borrows the clock. `seed`: numbers are drawn, so that one of an earlier run of the
  // server, or of another one, is none of this.
  SnapshotLeases(base::Clock* clock, uint64_t seed) : clock_(clock), random_(seed) {}

  // Keeps it for `owner`, the name of a user, and returns its number, never 0. A client without a
  // name shares them with all that have none; then it counts for the share of `connection`. Errors:
  // kResourceExhausted there are kSnapshotsMax, or kSnapshotsOfUserMax of this user or connection.
  absl::StatusOr<uint64_t> Add(std::shared_ptr<const Snapshot> snapshot, int64_t lease_nanos,
                               std::string_view owner = {}, uint64_t connection = 0) ABSL_LOCKS_EXCLUDED(mutex_);
  // Its lease begins once more. Null if the owner has none of this number, or none any more.
  std::shared_ptr<const Snapshot> Use(uint64_t id, std::string_view owner = {}) ABSL_LOCKS_EXCLUDED(mutex_);
  // As Use, with another lease from now on. False: there is none.
  bool Renew(uint64_t id, int64_t lease_nanos, std::string_view owner = {}) ABSL_LOCKS_EXCLUDED(mutex_);
  // False: there is none.
  bool Drop(uint64_t id, std::string_view owner = {}) ABSL_LOCKS_EXCLUDED(mutex_);
  // Lets go of all whose lease has run out. How long until the next one's does; base::kForever:
  // there is none.
  int64_t Expire() ABSL_LOCKS_EXCLUDED(mutex_);
  void Clear() ABSL_LOCKS_EXCLUDED(mutex_);
  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Lease {
    std::shared_ptr<const Snapshot> snapshot;
    int64_t nanos = 0;
    int64_t end_nanos = 0;
    std::string owner;
    uint64_t connection = 0;  // that took it
  };
  // Null if there is none of the owner's, or its end has come.
  Lease* FindLocked(uint64_t id, std::string_view owner, int64_t now_nanos) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  base::Clock* const clock_;
  mutable base::Mutex mutex_;
  base::Random random_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Lease> leases_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_SNAPSHOT_LEASES_H_
