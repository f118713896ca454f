// How long the calls of one hook take, on one loop.
//
// A look at the clock costs more than a quick hook does. So of a hook that was quick one call in
// eight is timed, which counts for those before it; one that was not is timed at every call.
#ifndef BANDB_SERVER_HOOK_TIMER_H_
#define BANDB_SERVER_HOOK_TIMER_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "server/latency_recorder.h"

namespace bandb::server {

// Thread safety: one thread, but for name and recorder.
class HookTimer {
 public:
  // `name`: as HookLatency::hook.
  explicit HookTimer(std::string name) : name_(std::move(name)) {}

  // Before each call: whether it is to be timed.
  bool IsDue() { return ++calls_ >= period_; }
  // After one that was.
  void Add(int64_t nanos) {
    recorder_.Add(static_cast<uint64_t>(std::max<int64_t>(0, nanos)), calls_);
    calls_ = 0;
    period_ = nanos <= kQuickNanos ? kQuickPeriod : 1;
  }

  const std::string& name() const { return name_; }
  const LatencyRecorder& recorder() const { return recorder_; }

 private:
  static constexpr int64_t kQuickNanos = 10'000;
  static constexpr uint64_t kQuickPeriod = 8;

  const std::string name_;
  uint64_t calls_ = 0;  // since one was timed
  uint64_t period_ = 1;
  LatencyRecorder recorder_;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_HOOK_TIMER_H_
