// A loop over a set of descriptors, with its streams and listeners: all that is the same over each
// set. What they ask of it while they run is a plain call, since each kind is compiled by itself.
//
// A set has
//   bool Add(fd, events, source)      from now on watched; nothing is ready of it in this turn. False: out of memory
//   void Change(fd, events, source)   nothing, if it is not watched
//   void Forget(fd, source)           likewise; comes before the descriptor is closed. Of what is ready, nothing
//                                     is its any more
//   size_t Wait(millis)               until something is ready, or a signal comes; how many places to look at. What is
//                                     ready when a signal has come is among them
//   EventsAt(i), SourceAt(i)          what is ready at one of them, 0 if nothing is, and whose that is
//   void EndOfReady()                 they have been looked at
// with events as those of poll. Of broken connections it tells whatever is watched. The source of
// what wakes a loop up is null.
#ifndef BANDB_NET_SET_LOOP_H_
#define BANDB_NET_SET_LOOP_H_

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/status.h"
#include "net/socket_loop.h"
#include "net/socket_stream.h"

namespace bandb::net {

template <class Set>
class SetStream final : public SocketStream {
 public:
  // The socket is connected, or about to be. The set learns of it with SetHandler, on its loop's
  // thread. Lifetime: the set must outlive it.
  SetStream(Set* set, Socket socket) : SocketStream(std::move(socket)), set_(set) {}
  ~SetStream() override {
    if (handler_ != nullptr) set_->Forget(fd(), this);
  }

  void SetHandler(base::StreamHandler* handler) override {
    // One that cannot be added for want of memory looks silent and times out.
    if (handler_ == nullptr) (void)set_->Add(fd(), 0, this);
    handler_ = handler;
  }
  void Watch(bool readable, bool writable) override {
    const uint32_t events = (readable ? POLLIN : 0u) | (writable ? POLLOUT : 0u);
    if (events == watched_) return;
    watched_ = events;
    set_->Change(fd(), events, this);
  }

 private:
  void OnEvents(uint32_t events) override;

  Set* const set_;
  base::StreamHandler* handler_ = nullptr;
  uint32_t watched_ = 0;
};

template <class Set>
class SetListener final : public SocketListener {
 public:
  SetListener(Set* set, Socket socket, int keepalive_seconds, base::AcceptHandler* handler)
      : SocketListener(std::move(socket), keepalive_seconds), set_(set), handler_(handler) {
    (void)set_->Add(fd(), POLLIN, this);
  }
  ~SetListener() override { set_->Forget(fd(), this); }

  absl::StatusOr<std::unique_ptr<base::Stream>> Accept(base::EventLoop* loop) override;
  void Watch(bool acceptable) override { set_->Change(fd(), acceptable ? POLLIN : 0u, this); }

 private:
  void OnEvents(uint32_t events) override;

  Set* const set_;
  base::AcceptHandler* const handler_;
};

template <class Set>
class SetLoop final : public SocketLoop {
 public:
  // The set watches the wake-up.
  SetLoop(base::Clock* clock, WakeUp wake_up, Set set)
      : SocketLoop(clock, Set::kKind, std::move(wake_up)), set_(std::move(set)) {}
  ~SetLoop() override { DropTasks(); }

  void Run() override {
    while (!stopped()) Turn(base::kForever);
  }
  void RunOnce(int64_t wait_nanos_max) override { Turn(wait_nanos_max); }

  absl::StatusOr<std::unique_ptr<base::Listener>> Listen(const base::ListenOptions& options,
                                                         base::AcceptHandler* handler) override {
    BANDB_ASSIGN_OR_RETURN(Socket socket, OpenListener(options));
    return std::unique_ptr<base::Listener>(
        std::make_unique<SetListener<Set>>(&set_, std::move(socket), options.keepalive_seconds, handler));
  }
  absl::StatusOr<std::unique_ptr<base::Stream>> Connect(const std::string& address,
                                                        base::StreamHandler* handler) override {
    BANDB_ASSIGN_OR_RETURN(Socket socket, BeginConnect(address));
    std::unique_ptr<base::Stream> stream = NewStream(std::move(socket));
    stream->SetHandler(handler);
    return stream;
  }
  std::unique_ptr<base::Stream> NewStream(Socket socket) override {
    return std::make_unique<SetStream<Set>>(&set_, std::move(socket));
  }

 private:
  void Turn(int64_t wait_nanos_max);

  Set set_;
};

template <class Set>
void SetStream<Set>::OnEvents(uint32_t events) {
  if ((events & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
    // What arrived before the end is still there to be read; only when nobody wants it is the
    // stream just broken.
    if ((events & POLLIN) == 0 || (watched_ & POLLIN) == 0) {
      // Told once: it would be ready again and again.
      set_->Forget(fd(), this);
      handler_->OnBroken();
      return;
    }
  }
  if ((events & POLLIN) != 0 && (watched_ & POLLIN) != 0) handler_->OnReadable();
  if ((events & POLLOUT) != 0 && (watched_ & POLLOUT) != 0) handler_->OnWritable();
}

template <class Set>
void SetListener<Set>::OnEvents(uint32_t events) {
  // Foreign code closed the descriptor: nothing is accepted any more.
  if ((events & POLLNVAL) != 0) return set_->Forget(fd(), this);
  handler_->OnAcceptable();
}

template <class Set>
absl::StatusOr<std::unique_ptr<base::Stream>> SetListener<Set>::Accept(base::EventLoop* loop) {
  BANDB_ASSIGN_OR_RETURN(Socket socket, AcceptSocket());
  if (!socket.fd.valid()) return std::unique_ptr<base::Stream>();
  auto* const socket_loop = static_cast<SocketLoop*>(loop);
  BANDB_ASSERT(socket_loop->kind() == Set::kKind);
  return static_cast<SetLoop<Set>*>(socket_loop)->NewStream(std::move(socket));
}

template <class Set>
void SetLoop<Set>::Turn(int64_t wait_nanos_max) {
  const size_t places = set_.Wait(WaitMillis(wait_nanos_max));
  BeginTurn();
  bool woken_up = false;
  for (size_t i = 0; i < places; ++i) {
    const uint32_t events = set_.EventsAt(i);
    if (events == 0) continue;
    SocketSource* const source = set_.SourceAt(i);
    if (source == nullptr) {
      woken_up = true;
      continue;
    }
    const uint32_t writable = events & POLLOUT;
    if (events != writable) source->OnEvents(events & ~static_cast<uint32_t>(POLLOUT));
    // Asked again: the source may have been forgotten meanwhile, and be gone.
    if (writable != 0 && set_.EventsAt(i) != 0) source->OnEvents(writable);
  }
  set_.EndOfReady();
  EndTurn(woken_up);
}

}  // namespace bandb::net

#endif  // BANDB_NET_SET_LOOP_H_
