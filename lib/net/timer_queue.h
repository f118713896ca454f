// Timers by due time.
#ifndef BANDB_NET_TIMER_QUEUE_H_
#define BANDB_NET_TIMER_QUEUE_H_

#include <cstdint>
#include <map>
#include <utility>

#include "base/event_loop.h"

namespace bandb::net {

// Loops have few timers (connections are swept, not timed one by one), so an ordered map serves.
// Thread safety: one thread.
class TimerQueue {
 public:
  base::TimerId Add(int64_t due_nanos, base::Task task);
  void Cancel(base::TimerId timer);
  // When the next one is due, or INT64_MAX.
  int64_t NextDueNanos() const;
  // Runs those that were due at `now_nanos` when this was called, the earliest first; of those due
  // together, the first added.
  void RunDue(int64_t now_nanos);
  bool empty() const { return by_due_.empty(); }

 private:
  using Key = std::pair<int64_t, base::TimerId>;
  std::map<Key, base::Task> by_due_;
  std::map<base::TimerId, int64_t> due_;
  base::TimerId last_id_ = base::kNoTimer;
};

}  // namespace bandb::net

#endif  // BANDB_NET_TIMER_QUEUE_H_
