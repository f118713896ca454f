#include "net/timer_queue.h"

namespace bandb::net {

base::TimerId TimerQueue::Add(int64_t due_nanos, base::Task task) {
  const base::TimerId id = ++last_id_;
  by_due_.emplace(Key(due_nanos, id), std::move(task));
  due_.emplace(id, due_nanos);
  return id;
}

void TimerQueue::Cancel(base::TimerId timer) {
  const auto found = due_.find(timer);
  if (found == due_.end()) return;
  by_due_.erase(Key(found->second, timer));
  due_.erase(found);
}

int64_t TimerQueue::NextDueNanos() const { return by_due_.empty() ? INT64_MAX : by_due_.begin()->first.first; }

void TimerQueue::RunDue(int64_t now_nanos) {
  // Timers added by the ones that run wait for the next turn, or a timer of no delay would keep the
  // loop here.
  const base::TimerId last = last_id_;
  auto next = by_due_.begin();
  while (next != by_due_.end() && next->first.first <= now_nanos) {
    if (next->first.second > last) {
      ++next;
      continue;
    }
    base::Task task = std::move(next->second);
    due_.erase(next->first.second);
    by_due_.erase(next);
    std::move(task)();
    // The task may have cancelled others, so nothing but a new search is safe.
    next = by_due_.begin();
  }
}

}  // namespace bandb::net
