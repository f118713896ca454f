#include "admin/task_queue.h"

#include <utility>

#include "base/assert.h"

namespace bandb::admin {

TaskQueue::TaskQueue(size_t threads, size_t waiting_max) : waiting_max_(waiting_max) {
  BANDB_ASSERT(threads > 0);
  BANDB_ASSERT(waiting_max > 0);
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

void TaskQueue::enqueue(std::function<void()> task) {
  const base::MutexLock lock(&mutex_);
  while (waiting_.size() >= waiting_max_ && !ended_) not_full_.Wait(&mutex_);
  // The task owns a connection, so it is done in any case.
  waiting_.push_back(std::move(task));
  not_empty_.Signal();
}

void TaskQueue::shutdown() {
  {
    const base::MutexLock lock(&mutex_);
    ended_ = true;
  }
  not_empty_.SignalAll();
  not_full_.SignalAll();
  for (base::Thread& thread : threads_) thread.Join();
}

bool TaskQueue::HasWaiting() {
  const base::MutexLock lock(&mutex_);
  return !waiting_.empty();
}

void TaskQueue::Run() {
  while (true) {
    std::function<void()> task;
    {
      const base::MutexLock lock(&mutex_);
      while (waiting_.empty() && !ended_) not_empty_.Wait(&mutex_);
      if (waiting_.empty()) return;
      task = std::move(waiting_.front());
      waiting_.pop_front();
      not_full_.Signal();
    }
    task();
  }
}

}  // namespace bandb::admin
