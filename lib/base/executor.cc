#include "base/executor.h"

#include <algorithm>
#include <chrono>

namespace bandb::base {

namespace {

// CondVar waits by the wall clock, which may be set back: a waiter is late by no more than this.
constexpr int64_t kWaitMaxNanos = 1'000'000'000;

}  // namespace

void Event::Set() {
  MutexLock lock(&mutex_);
  set_ = true;
  // Signalled while the mutex is held: the waiter may destroy the event as soon as it sees the
  // flag.
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
  // A wake-up may come for no reason, and the time that has passed counts all the same.
  using Steady = std::chrono::steady_clock;
  const Steady::time_point begin = Steady::now();
  int64_t passed_nanos = 0;
  while (!set_ && passed_nanos < timeout_nanos) {
    condition_.WaitFor(&mutex_, std::min(timeout_nanos - passed_nanos, kWaitMaxNanos));
    passed_nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(Steady::now() - begin).count();
  }
  return set_;
}

}  // namespace bandb::base
