#include "server/snapshot_leases.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::server {

SnapshotLeases::Lease* SnapshotLeases::FindLocked(uint64_t id, std::string_view owner, int64_t now_nanos) {
  const auto found = leases_.find(id);
  if (found == leases_.end() || found->second.end_nanos <= now_nanos || found->second.owner != owner) return nullptr;
  return &found->second;
}

absl::StatusOr<uint64_t> SnapshotLeases::Add(std::shared_ptr<const Snapshot> snapshot, int64_t lease_nanos,
                                             std::string_view owner, uint64_t connection) {
  BANDB_ASSERT(snapshot != nullptr);
  BANDB_ASSERT(lease_nanos > 0);
  BANDB_ASSERT(lease_nanos <= kLeaseNanosMax);
  Expire();
  const int64_t now_nanos = clock_->MonotonicNanos();
  base::MutexLock lock(&mutex_);
  if (leases_.size() >= kSnapshotsMax) {
    return base::Error(absl::StatusCode::kResourceExhausted,
                       "there are {} snapshots: drop one, or wait until its lease runs out", kSnapshotsMax);
  }
  const auto is_owners = [owner, connection](const auto& lease) {
    return lease.second.owner == owner && (!owner.empty() || lease.second.connection == connection);
  };
  if (std::count_if(leases_.begin(), leases_.end(), is_owners) >= static_cast<ptrdiff_t>(kSnapshotsOfUserMax)) {
    return base::Error(absl::StatusCode::kResourceExhausted,
                       "{} has {} snapshots: drop one, or wait until its lease runs out",
                       owner.empty() ? "this connection" : fmt::format("the user {}", owner), kSnapshotsOfUserMax);
  }
  uint64_t id = 0;
  while (id == 0 || leases_.contains(id)) id = random_.Next();
  leases_.emplace(id, Lease{std::move(snapshot), lease_nanos, now_nanos + lease_nanos, std::string(owner), connection});
  return id;
}

std::shared_ptr<const Snapshot> SnapshotLeases::Use(uint64_t id, std::string_view owner) {
  const int64_t now_nanos = clock_->MonotonicNanos();
  base::MutexLock lock(&mutex_);
  Lease* const lease = FindLocked(id, owner, now_nanos);
  if (lease == nullptr) return nullptr;
  lease->end_nanos = now_nanos + lease->nanos;
  return lease->snapshot;
}

bool SnapshotLeases::Renew(uint64_t id, int64_t lease_nanos, std::string_view owner) {
  BANDB_ASSERT(lease_nanos > 0);
  BANDB_ASSERT(lease_nanos <= kLeaseNanosMax);
  const int64_t now_nanos = clock_->MonotonicNanos();
  base::MutexLock lock(&mutex_);
  Lease* const lease = FindLocked(id, owner, now_nanos);
  if (lease == nullptr) return false;
  lease->nanos = lease_nanos;
  lease->end_nanos = now_nanos + lease_nanos;
  return true;
}

bool SnapshotLeases::Drop(uint64_t id, std::string_view owner) {
  const int64_t now_nanos = clock_->MonotonicNanos();
  // Let go of without the mutex: the store may have something to do then.
  std::shared_ptr<const Snapshot> dropped;
  base::MutexLock lock(&mutex_);
  Lease* const lease = FindLocked(id, owner, now_nanos);
  if (lease == nullptr) return false;
  dropped = std::move(lease->snapshot);
  leases_.erase(id);
  return true;
}

int64_t SnapshotLeases::Expire() {
  const int64_t now_nanos = clock_->MonotonicNanos();
  std::vector<std::shared_ptr<const Snapshot>> expired;
  int64_t next_nanos = base::kForever;
  base::MutexLock lock(&mutex_);
  for (auto it = leases_.begin(); it != leases_.end();) {
    if (it->second.end_nanos <= now_nanos) {
      expired.push_back(std::move(it->second.snapshot));
      it = leases_.erase(it);
    } else {
      next_nanos = std::min(next_nanos, it->second.end_nanos - now_nanos);
      ++it;
    }
  }
  return next_nanos;
}

void SnapshotLeases::Clear() {
  std::map<uint64_t, Lease> cleared;
  base::MutexLock lock(&mutex_);
  cleared.swap(leases_);
}

size_t SnapshotLeases::size() const {
  base::MutexLock lock(&mutex_);
  return leases_.size();
}

}  // namespace bandb::server
