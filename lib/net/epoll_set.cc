#include "net/epoll_set.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>

#include "base/assert.h"
#include "base/status.h"
#include "net/set_loop.h"

namespace bandb::net {

// By number its events are those of poll.
static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR && EPOLLHUP == POLLHUP);

namespace {

epoll_event EventOf(uint32_t events, SocketSource* source) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = source;
  return event;
}

}  // namespace

bool EpollSet::Add(int fd, uint32_t events, SocketSource* source) {
  epoll_event event = EventOf(events, source);
  // Fails only for want of memory or the per-user limit on watches.
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void EpollSet::Change(int fd, uint32_t events, SocketSource* source) {
  epoll_event event = EventOf(events, source);
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EpollSet::Forget(int fd, SocketSource* source) {
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  for (size_t i = 0; i < count_; ++i) {
    if (events_[i].data.ptr == source) events_[i].events = 0;
  }
}

size_t EpollSet::Wait(int millis) {
  int count = ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(kEventsMax), millis);
  // What came before a pause of the process that ended the wait is not left for the next turn: in
  // this one it would look as if nothing had come in all that time.
  if (count < 0 && errno == EINTR) {
    count = ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(kEventsMax), 0);
  }
  BANDB_ASSERT(count >= 0 || errno == EINTR);
  count_ = count > 0 ? static_cast<size_t>(count) : 0;
  return count_;
}

absl::StatusOr<std::unique_ptr<SocketLoop>> MakeEpollLoop(base::Clock* clock) {
  FileDescriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return base::ErrnoStatus(errno, "epoll_create1");
  FileDescriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) return base::ErrnoStatus(errno, "eventfd");
  EpollSet set(std::move(epoll));
  if (!set.Add(event.get(), EPOLLIN, nullptr)) return base::ErrnoStatus(errno, "epoll_ctl");
  return std::unique_ptr<SocketLoop>(
      std::make_unique<SetLoop<EpollSet>>(clock, WakeUp(std::move(event)), std::move(set)));
}

}  // namespace bandb::net
