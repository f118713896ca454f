// A thread that is joined: the one way, besides the executors, in which BanDB starts one.
#ifndef BANDB_BASE_THREAD_H_
#define BANDB_BASE_THREAD_H_

#include <thread>
#include <utility>

#include "absl/functional/any_invocable.h"

namespace bandb::base {

// Runs a function on a thread of its own. For façades whose components run on an event loop.
// Thread safety: made, joined and destroyed by one thread.
class Thread {
 public:
  explicit Thread(absl::AnyInvocable<void() &&> body)
      : thread_([run = std::move(body)]() mutable { std::move(run)(); }) {}
  ~Thread() { Join(); }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  // Returns when the function has; at once if it was joined before.
  void Join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

}  // namespace bandb::base

#endif  // BANDB_BASE_THREAD_H_
