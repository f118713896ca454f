// The production event loop: epoll, level-triggered, one thread, run to completion.
#ifndef BANDB_NET_EPOLL_LOOP_H_
#define BANDB_NET_EPOLL_LOOP_H_

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/mutex.h"
#include "net/file_descriptor.h"
#include "net/timer_queue.h"

namespace bandb::net {

// Something with a descriptor that the loop watches.
class EpollSource {
 public:
  // Writability comes in a call of its own, after the rest, unless that made the source forgotten.
  virtual void OnEvents(uint32_t events) = 0;

 protected:
  ~EpollSource() = default;
};

// Thread safety: Post and Stop from any thread; Run and the rest on one.
// Lifetime: the clock must outlive the loop.
class EpollLoop final : public base::EventLoop {
 public:
  // Errors: kResourceExhausted, kInternal: the operating system refused.
  static absl::StatusOr<std::unique_ptr<EpollLoop>> Create(base::Clock* clock);
  ~EpollLoop() override;

  // Turns until Stop; a Stop before Run ends it at its first turn.
  void Run();
  void Stop();
  // One turn, which waits at most this long for something to do.
  void RunOnce(int64_t wait_nanos_max);

  absl::StatusOr<std::unique_ptr<base::Listener>> Listen(const base::ListenOptions& options,
                                                         base::AcceptHandler* handler) override;
  absl::StatusOr<std::unique_ptr<base::Stream>> Connect(const std::string& address,
                                                        base::StreamHandler* handler) override;
  base::TimerId After(int64_t delay_nanos, base::Task task) override;
  void Cancel(base::TimerId timer) override;
  void Post(base::Task task) override ABSL_LOCKS_EXCLUDED(mutex_);
  int64_t NowNanos() override { return now_nanos_; }
  void AddTurnHandler(base::TurnHandler* handler) override;
  void RemoveTurnHandler(base::TurnHandler* handler) override;

  // For streams and listeners. `events` as epoll's; Forget comes before the descriptor is closed.
  void Add(int fd, uint32_t events, EpollSource* source);
  void Change(int fd, uint32_t events, EpollSource* source);
  void Forget(int fd, EpollSource* source);

 private:
  static constexpr int kEventsMax = 256;

  EpollLoop(base::Clock* clock, FileDescriptor epoll, FileDescriptor wake_up);
  int WaitMillis(int64_t wait_nanos_max);
  void RunPosted() ABSL_LOCKS_EXCLUDED(mutex_);

  base::Clock* const clock_;
  FileDescriptor epoll_;
  FileDescriptor wake_up_;  // an eventfd, written when the first task is posted to an empty queue
  int64_t now_nanos_ = 0;
  TimerQueue timers_;
  std::vector<base::TurnHandler*> turn_handlers_;
  std::array<epoll_event, kEventsMax> events_{};
  int events_count_ = 0;
  std::vector<base::Task> running_;  // kept for its memory
  std::atomic<bool> stopped_{false};

  base::Mutex mutex_;
  std::vector<base::Task> posted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::net

#endif  // BANDB_NET_EPOLL_LOOP_H_
