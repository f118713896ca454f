// A cpp-httplib server that one client cannot hold up: what that library leaves without a bound.
#ifndef BANDB_ADMIN_BOUNDED_HTTP_H_
#define BANDB_ADMIN_BOUNDED_HTTP_H_

#include <httplib.h>

#include <cstddef>
#include <cstdint>
#include <set>

#include "base/clock.h"
#include "base/mutex.h"

namespace bandb::admin {

class TaskQueue;

// Answers one request of each connection. The library by itself bounds each byte's time but not the
// request's, and each header but not their number: then four clients that drip a byte every few
// seconds would hold all threads forever, and the end of the process with them.
// Thread safety: made, configured and destroyed by one thread; the rest by any.
class BoundedHttp : public httplib::Server {
 public:
  struct Limits {
    // Of request line and headers together, and of a body.
    size_t request_bytes = 16 << 10;
    // From when a thread takes the connection until its answer is written.
    int64_t deadline_ms = 5000;
    // The same for those that have not sent their request while others wait for a thread.
    int64_t deadline_while_others_wait_ms = 250;
  };

  explicit BoundedHttp(const Limits& limits) : limits_(limits) {}

  // The queue that `new_task_queue` made. Until it is told nobody is known to wait.
  void SetQueue(TaskQueue* queue);
  // Instead of stop(): what has not sent its request is not waited for, and what waits for a thread
  // is closed without an answer. Once `new_task_queue` has been asked.
  void End();

 private:
  class Connection;

  bool process_and_close_socket(socket_t socket) override;
  // Whether the connection may be served: not once the end has begun.
  bool Enter(socket_t socket);
  void Leave(socket_t socket);
  bool DoOthersWait();

  const Limits limits_;
  base::SystemClock clock_;
  base::Mutex mutex_;
  TaskQueue* queue_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<socket_t> served_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::admin

#endif  // BANDB_ADMIN_BOUNDED_HTTP_H_
