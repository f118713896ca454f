// How fast flushes and compactions may write.
//
// Each keeps an account of time: what was written moves it into the future by as long as that may
// take, and nothing of its kind goes on before the time has come. Flushes have an account of their
// own, in which compactions do not appear; in that of compactions all appear. So a flush never
// waits for a compaction, and compactions get what flushes leave: an eighth of all at the least,
// since a flush is charged with a seventh more in its own account.
#ifndef BANDB_STORAGE_COMPACTION_RATE_LIMIT_H_
#define BANDB_STORAGE_COMPACTION_RATE_LIMIT_H_

#include <cstdint>

#include "base/mutex.h"

namespace bandb::storage {

// Thread safety: any thread.
class RateLimit {
 public:
  // 0: there is no limit.
  explicit RateLimit(uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  void Wrote(bool is_flush, uint64_t bytes, int64_t now_nanos) ABSL_LOCKS_EXCLUDED(mutex_);
  // For how long work is to wait before it goes on; 0: it may.
  int64_t WaitNanos(bool is_flush, int64_t now_nanos) const ABSL_LOCKS_EXCLUDED(mutex_);
  // How much is done at a time, so that it is a fraction of a second's worth.
  uint64_t StepBytes(uint64_t bytes_max) const;

 private:
  const uint64_t bytes_per_second_;
  mutable base::Mutex mutex_;
  // When the next flush, and the next compaction, may go on.
  int64_t flush_nanos_ ABSL_GUARDED_BY(mutex_) = INT64_MIN;
  int64_t compaction_nanos_ ABSL_GUARDED_BY(mutex_) = INT64_MIN;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_COMPACTION_RATE_LIMIT_H_
