// What a command does piece by piece, and an interruption ends between two pieces.
#ifndef BANDB_TOOLS_BANDB_INTERRUPT_GATE_H_
#define BANDB_TOOLS_BANDB_INTERRUPT_GATE_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "base/mutex.h"

namespace bandb::cli {

// Thread safety: any thread; one piece at a time.
class InterruptGate {
 public:
  // Before a piece. False: it was interrupted, and there are to be no more.
  bool Enter() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    is_busy_ = !is_over_;
    return is_busy_;
  }
  // After it.
  void Leave() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    is_busy_ = false;
    idle_.SignalAll();
  }
  // Between two: lets some time pass.
  void Rest(int64_t nanos) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    idle_.WaitFor(&mutex_, nanos);
  }

  // On the thread that is told of an interruption: waits so long for the end of the piece, then
  // calls `end` with whether it came. Until that returns, Enter does not.
  void Close(int64_t nanos, absl::FunctionRef<void(bool is_idle)> end) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    is_over_ = true;
    if (is_busy_) idle_.WaitFor(&mutex_, nanos);
    end(!is_busy_);
  }

 private:
  base::Mutex mutex_;
  base::CondVar idle_;
  bool is_busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_over_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_INTERRUPT_GATE_H_
