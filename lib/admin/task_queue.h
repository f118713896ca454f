// The threads that answer HTTP requests, and a bound on what waits for them.
#ifndef BANDB_ADMIN_TASK_QUEUE_H_
#define BANDB_ADMIN_TASK_QUEUE_H_

#include <httplib.h>

#include <cstddef>
#include <deque>
#include <functional>
#include <vector>

#include "base/mutex.h"
#include "base/thread.h"

namespace bandb::admin {

// Unlike cpp-httplib's own, which takes connections without bound, it lets the acceptor wait while
// `waiting_max` are waiting: the rest stay in the kernel's backlog and cost no descriptors.
// Thread safety: any thread.
class TaskQueue : public httplib::TaskQueue {
 public:
  TaskQueue(size_t threads, size_t waiting_max);
  ~TaskQueue() override { shutdown(); }

  void enqueue(std::function<void()> task) override;
  // Lets what waits be done, and joins the threads.
  void shutdown() override;
  // Whether a task waits for a thread.
  bool HasWaiting();

 private:
  void Run();

  const size_t waiting_max_;
  base::Mutex mutex_;
  base::CondVar not_empty_;
  base::CondVar not_full_;
  std::deque<std::function<void()>> waiting_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<base::Thread> threads_;
};

}  // namespace bandb::admin

#endif  // BANDB_ADMIN_TASK_QUEUE_H_
