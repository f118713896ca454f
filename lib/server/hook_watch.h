// Hooks that take longer than they may, found while they do.
//
// A hook runs on the thread of its loop, and C++ has no way to end it from outside; a clock before
// and after each would cost more than a quick hook does. So a loop notes that it is within a hook,
// which is two stores, and another thread looks now and then whether it is still the same call.
#ifndef BANDB_SERVER_HOOK_WATCH_H_
#define BANDB_SERVER_HOOK_WATCH_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "bandb/logger.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/thread.h"

namespace bandb::server {

// Where one loop is. Thread safety: the loop's thread, but for calls and hook.
class HookSpot {
 public:
  // While it lives the loop is within this hook; a `spot` of null: it is on no loop. Lifetime: the
  // name that of the server.
  class Within {
   public:
    Within(HookSpot* spot, const std::string* hook) : spot_(spot) {
      if (spot_ == nullptr) return;
      // A thread that reads this name finds that the call before has ended.
      spot_->hook_.store(hook, std::memory_order_release);
      spot_->Step();
    }
    ~Within() {
      if (spot_ != nullptr) spot_->Step();
    }
    Within(const Within&) = delete;
    Within& operator=(const Within&) = delete;

   private:
    HookSpot* const spot_;
  };

  // An odd number within a hook, another one for each call.
  uint64_t steps() const { return steps_.load(std::memory_order_acquire); }
  // The last one: that of the call that `steps` told of, if they are the same afterwards.
  const std::string* hook() const { return hook_.load(std::memory_order_acquire); }

 private:
  void Step() { steps_.store(steps_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

  std::atomic<uint64_t> steps_{0};
  std::atomic<const std::string*> hook_{nullptr};
};

// Thread safety: one thread, but for overruns. Lifetime: borrows everything.
class HookWatch {
 public:
  // `logger` may be null.
  HookWatch(absl::Duration limit, Logger* logger) : limit_nanos_(absl::ToInt64Nanoseconds(limit)), logger_(logger) {}

  void Add(const HookSpot* spot) { watched_.push_back({.spot = spot}); }
  // Looks at all of them. A call counts from when it was first seen.
  void Look(int64_t now_nanos);
  // Calls that took longer than the limit. From any thread.
  uint64_t overruns() const { return overruns_.load(std::memory_order_relaxed); }

 private:
  struct Watched {
    const HookSpot* spot = nullptr;
    uint64_t steps = 0;
    int64_t since_nanos = 0;
    int64_t tell_nanos = 0;  // how long it has to take before the next line
    const std::string* told = nullptr;
  };

  void Log(LogSeverity severity, const std::string& line);

  const int64_t limit_nanos_;
  Logger* const logger_;
  std::vector<Watched> watched_;
  std::atomic<uint64_t> overruns_{0};
};

// Has a thread look. Lifetime: borrows the watch and the clock; the thread ends with this.
class HookWatchThread {
 public:
  HookWatchThread(HookWatch* watch, base::Clock* clock, absl::Duration limit);
  ~HookWatchThread();

 private:
  base::Event ended_;
  std::unique_ptr<base::Thread> thread_;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_HOOK_WATCH_H_
