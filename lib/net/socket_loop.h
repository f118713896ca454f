// The event loops that ship: sockets, level-triggered, one thread, run to completion.
//
// There are two kinds, which differ in what they ask the system with, and in nothing that those
// that use them see. What is asked is a set of descriptors, EpollSet or PollSet; what is made of
// the answers is the same code over either (set_loop.h), and what does not even depend on that,
// timers and tasks, is here.
#ifndef BANDB_NET_SOCKET_LOOP_H_
#define BANDB_NET_SOCKET_LOOP_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/event_loop.h"
#include "base/mutex.h"
#include "net/file_descriptor.h"
#include "net/timer_queue.h"
#include "net/wake_up.h"

namespace bandb::net {

enum class LoopKind : uint8_t {
  kEpoll,  // of Linux: a turn costs what there is to do in it
  kPoll,   // of POSIX: a turn costs what there is to watch as well
};

// That of a loop for which nobody chose: kEpoll where this was built with it.
LoopKind DefaultLoopKind();

// A socket, and the address at its other end, or its own if it listens.
struct Socket {
  FileDescriptor fd{};
  std::string address{};
};

// Something with a descriptor that a loop watches.
class SocketSource {
 public:
  // `events` as those of poll. Writability comes in a call of its own, after the rest, unless that
  // made the source forgotten.
  virtual void OnEvents(uint32_t events) = 0;

 protected:
  ~SocketSource() = default;
};

// Thread safety: Post and Stop from any thread; Run and the rest on one.
// Lifetime: the clock must outlive the loop.
class SocketLoop : public base::EventLoop {
 public:
  // Errors: kUnavailable out of descriptors · kResourceExhausted, kInternal: the operating system
  // refused · kUnimplemented this was built without epoll.
  static absl::StatusOr<std::unique_ptr<SocketLoop>> Create(base::Clock* clock, LoopKind kind = DefaultLoopKind());
  ~SocketLoop() override;

  // Turns until Stop; a Stop before Run ends it at its first turn.
  virtual void Run() = 0;
  void Stop();
  // One turn, which waits at most this long for something to do.
  virtual void RunOnce(int64_t wait_nanos_max) = 0;

  base::TimerId After(int64_t delay_nanos, base::Task task) override;
  void Cancel(base::TimerId timer) override;
  void Post(base::Task task) override ABSL_LOCKS_EXCLUDED(mutex_);
  int64_t NowNanos() override { return now_nanos_; }
  void AddTurnHandler(base::TurnHandler* handler) override;
  void RemoveTurnHandler(base::TurnHandler* handler) override;
  LoopKind kind() const { return kind_; }
  // A stream over a socket that is connected, or about to be, and does not block: one that was
  // inherited, or is one of a pair. From any thread, as long as it is used on the loop's.
  virtual std::unique_ptr<base::Stream> NewStream(Socket socket) = 0;

 protected:
  SocketLoop(base::Clock* clock, LoopKind kind, WakeUp wake_up);

  const WakeUp& wake_up() const { return wake_up_; }
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
  // For the call that waits: until the next timer, and no longer than this; -1 is without end.
  int WaitMillis(int64_t wait_nanos_max);
  // A turn, after that: what the sockets have to say comes between the two.
  void BeginTurn() { now_nanos_ = clock_->MonotonicNanos(); }
  void EndTurn(bool woken_up);
  // Destroys what no turn follows. A task may own a stream, which needs the loop whole for that.
  void DropTasks() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void RunPosted() ABSL_LOCKS_EXCLUDED(mutex_);

  base::Clock* const clock_;
  const LoopKind kind_;
  const WakeUp wake_up_;  // rung when the first task is posted to an empty queue
  int64_t now_nanos_;
  TimerQueue timers_;
  std::vector<base::TurnHandler*> turn_handlers_;
  std::vector<base::Task> running_;  // kept for its memory
  std::atomic<bool> stopped_{false};

  base::Mutex mutex_;
  std::vector<base::Task> posted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::net

#endif  // BANDB_NET_SOCKET_LOOP_H_
