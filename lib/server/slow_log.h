// The last requests that took long, of all loops.
#ifndef BANDB_SERVER_SLOW_LOG_H_
#define BANDB_SERVER_SLOW_LOG_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "bandb/server.h"
#include "base/mutex.h"
#include "server/users.h"

namespace bandb::server {

// Thread safety: any thread. Bounded: the oldest is forgotten.
class SlowLog {
 public:
  static constexpr size_t kEntriesMax = 128;

  SlowLog(absl::Duration threshold, int key_bytes) { Set(threshold, key_bytes); }

  // What is there is cut to this as well.
  void Set(absl::Duration threshold, int key_bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  // INT64_MAX: nothing is slow.
  int64_t threshold_nanos() const { return threshold_nanos_.load(std::memory_order_relaxed); }

  // Gives it its number, and cuts its key to what may be kept.
  void Add(SlowRequest request) ABSL_LOCKS_EXCLUDED(mutex_);
  // The last one first.
  std::vector<SlowRequest> List(size_t count_max) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Likewise, for this user's eyes: of keys that it may not read nothing is told. Where there are
  // no `users`, which may be null, everybody may read everything.
  std::vector<SlowRequest> List(size_t count_max, const UserRegistry* users, std::string_view user) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Numbers go on.
  void Clear() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  std::atomic<int64_t> threshold_nanos_{INT64_MAX};
  mutable base::Mutex mutex_;
  size_t key_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<SlowRequest> entries_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_SLOW_LOG_H_
