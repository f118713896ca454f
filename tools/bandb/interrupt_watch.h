// Lets a long command say how far it came when it is interrupted.
#ifndef BANDB_TOOLS_BANDB_INTERRUPT_WATCH_H_
#define BANDB_TOOLS_BANDB_INTERRUPT_WATCH_H_

#include <atomic>
#include <csignal>
#include <functional>
#include <memory>

#include "base/thread.h"

namespace bandb::cli {

// While it lives, SIGINT and SIGTERM run `tell` on a thread of its own, whatever the other threads
// wait for, and then end the process as they would have. One at a time, made before the process has
// other threads.
class InterruptWatch {
 public:
  explicit InterruptWatch(std::function<void()> tell);
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

 private:
  void Wait();

  const std::function<void()> tell_;
  sigset_t signals_{};
  sigset_t mask_before_{};
  std::atomic<bool> over_ = false;
  std::unique_ptr<base::Thread> thread_;
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_INTERRUPT_WATCH_H_
