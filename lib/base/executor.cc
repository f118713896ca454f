#include "base/executor.h"

namespace bandb::base {

void Event::Set() {
  MutexLock lock(&mutex_);
  set_ = true;
  // Signalled while the mutex is held: the waiter may destroy the event as soon as it sees the flag.
  condition_.SignalAll();
}

bool Event::IsSet() const {
  MutexLock lock(&mutex_);
  return set_;
}

void Event::Reset() {
  MutexLock lock(&mutex_);
  set_ = false;
}

bool Event::BlockUntilSet(int64_t timeout_nanos) {
  MutexLock lock(&mutex_);
  if (timeout_nanos == kForever) {
    while (!set_) condition_.Wait(&mutex_);
    return true;
  }
  while (!set_) {
    if (!condition_.WaitFor(&mutex_, timeout_nanos)) return set_;
  }
  return true;
}

}  // namespace bandb::base
