#include "server/hook_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace bandb::server {

namespace {

double Seconds(int64_t nanos) { return static_cast<double>(nanos) / 1e9; }

}  // namespace

void HookWatch::Log(LogSeverity severity, const std::string& line) {
  if (logger_ != nullptr) logger_->Log(severity, line);
}

void HookWatch::Look(int64_t now_nanos) {
  for (Watched& watched : watched_) {
    const uint64_t steps = watched.spot->steps();
    if (steps != watched.steps) {
      if (const std::string* const told = std::exchange(watched.told, nullptr); told != nullptr) {
        Log(LogSeverity::kWarning,
            fmt::format("{} returned after about {:.1f} s", *told, Seconds(now_nanos - watched.since_nanos)));
      }
      watched.steps = steps;
      watched.since_nanos = now_nanos;
      watched.tell_nanos = limit_nanos_;
      continue;
    }
    const bool is_within = steps % 2 == 1;
    const int64_t took_nanos = now_nanos - watched.since_nanos;
    if (!is_within || took_nanos < watched.tell_nanos) continue;
    const std::string* const hook = watched.spot->hook();
    // By now it may be the name of a later call, which is not late: the next look finds that one.
    if (watched.spot->steps() != steps) continue;
    if (watched.told == nullptr) overruns_.fetch_add(1, std::memory_order_relaxed);
    watched.told = hook;
    // Later and later, so that what never returns does not fill the log.
    watched.tell_nanos = 2 * took_nanos;
    Log(LogSeverity::kError, fmt::format("{} has not returned for {:.1f} s: all that its loop serves waits for it",
                                         *watched.told, Seconds(took_nanos)));
  }
}

HookWatchThread::HookWatchThread(HookWatch* watch, base::Clock* clock, absl::Duration limit) {
  constexpr int64_t kLookNanosMin = 10'000'000, kLookNanosMax = 1'000'000'000;
  const int64_t look_nanos = std::clamp(absl::ToInt64Nanoseconds(limit) / 4, kLookNanosMin, kLookNanosMax);
  thread_ = std::make_unique<base::Thread>([this, watch, clock, look_nanos] {
    while (!ended_.BlockUntilSet(look_nanos)) watch->Look(clock->MonotonicNanos());
  });
}

HookWatchThread::~HookWatchThread() {
  ended_.Set();
  thread_->Join();
}

}  // namespace bandb::server
