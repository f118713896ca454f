// Virtual time. One queue of things to happen, one thread; equal times happen in the order they
// were planned.
#ifndef BANDB_TEST_SIM_SCHEDULER_H_
#define BANDB_TEST_SIM_SCHEDULER_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace bandb::sim {

// Nanoseconds of virtual time since the run began.
using Nanos = uint64_t;

inline constexpr Nanos kMicro = 1000;
inline constexpr Nanos kMilli = 1000 * kMicro;
inline constexpr Nanos kSecond = 1000 * kMilli;

class Scheduler {
 public:
  const Nanos& now() const { return now_; }
  uint64_t events_run() const { return events_run_; }

  // Plans `what` for `when`, or for now if that is past. What was planned cannot be taken back:
  // owners of things that may become void carry a generation number and compare it.
  void At(Nanos when, std::function<void()> what) {
    events_.push_back(Event{std::max(when, now_), next_sequence_++, std::move(what)});
    std::push_heap(events_.begin(), events_.end(), Later);
  }
  void After(Nanos delay, std::function<void()> what) { At(now_ + delay, std::move(what)); }

  // Runs the next event. False if there is none.
  bool RunOne() {
    if (events_.empty()) return false;
    std::pop_heap(events_.begin(), events_.end(), Later);
    Event event = std::move(events_.back());
    events_.pop_back();
    BANDB_ASSERT(event.when >= now_);
    now_ = event.when;
    ++events_run_;
    event.what();
    return true;
  }

 private:
  struct Event {
    Nanos when;
    uint64_t sequence;
    std::function<void()> what;
  };
  static bool Later(const Event& a, const Event& b) {
    return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
  }

  std::vector<Event> events_;
  Nanos now_ = 0;
  uint64_t next_sequence_ = 0;
  uint64_t events_run_ = 0;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_SCHEDULER_H_
