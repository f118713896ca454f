// A call to an engine that may be gone by the time it comes: of timers, and of snapshots that
// outlive their database.
#ifndef BANDB_STORAGE_ENGINE_WAKE_UP_H_
#define BANDB_STORAGE_ENGINE_WAKE_UP_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "base/mutex.h"

namespace bandb::storage {

// Lifetime: shared by the engine and all that may call it. Thread safety: any thread.
class WakeUp {
 public:
  // What the call comes from: a timer by its number, the end of a snapshot, or the time for what
  // has failed to be tried again, for cursors to be written down, or for what has waited to go on.
  using Timer = uint64_t;
  static constexpr Timer kSnapshotGone = 0;
  static constexpr Timer kFlushAgain = UINT64_MAX;
  static constexpr Timer kCompactAgain = UINT64_MAX - 1;
  static constexpr Timer kTakeBack = UINT64_MAX - 2;
  static constexpr Timer kWriteCursors = UINT64_MAX - 3;
  static constexpr Timer kFlushesGoOn = UINT64_MAX - 4;
  static constexpr Timer kCompactionsGoOn = UINT64_MAX - 5;

  // `call` takes no lock that is held by callers of Run or Cancel.
  explicit WakeUp(std::function<void(Timer)> call) : call_(std::move(call)) {}
  void Run(Timer timer) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    if (call_) call_(timer);
  }
  // After that nothing is called any more.
  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    call_ = nullptr;
  }

 private:
  base::Mutex mutex_;
  std::function<void(Timer)> call_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_WAKE_UP_H_
