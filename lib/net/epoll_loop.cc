#include "net/epoll_loop.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "base/status.h"
#include "net/address.h"
#include "net/epoll_stream.h"

namespace bandb::net {

absl::StatusOr<std::unique_ptr<EpollLoop>> EpollLoop::Create(base::Clock* clock) {
  FileDescriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return base::ErrnoStatus(errno, "epoll_create1");
  FileDescriptor wake_up(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_up.valid()) return base::ErrnoStatus(errno, "eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;  // the one source without an object
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake_up.get(), &event) != 0) {
    return base::ErrnoStatus(errno, "epoll_ctl");
  }
  return std::unique_ptr<EpollLoop>(new EpollLoop(clock, std::move(epoll), std::move(wake_up)));
}

EpollLoop::EpollLoop(base::Clock* clock, FileDescriptor epoll, FileDescriptor wake_up)
    : clock_(clock), epoll_(std::move(epoll)), wake_up_(std::move(wake_up)), now_nanos_(clock->MonotonicNanos()) {}

EpollLoop::~EpollLoop() = default;

void EpollLoop::Run() {
  while (!stopped_.load(std::memory_order_relaxed)) RunOnce(base::kForever);
}

void EpollLoop::Stop() {
  Post([this] { stopped_.store(true, std::memory_order_relaxed); });
}

int EpollLoop::WaitMillis(int64_t wait_nanos_max) {
  const int64_t due = timers_.NextDueNanos();
  int64_t wait_nanos = wait_nanos_max;
  if (due != INT64_MAX) {
    wait_nanos = std::min(wait_nanos, std::max<int64_t>(0, due - clock_->MonotonicNanos()));
  }
  if (wait_nanos == base::kForever) return -1;
  // Rounded up: a wait that ends before the timer is due would only be followed by another.
  return static_cast<int>(std::min<int64_t>((wait_nanos + 999999) / 1000000, 3600 * 1000));
}

void EpollLoop::RunOnce(int64_t wait_nanos_max) {
  const int count = ::epoll_wait(epoll_.get(), events_.data(), kEventsMax, WaitMillis(wait_nanos_max));
  BANDB_ASSERT(count >= 0 || errno == EINTR);
  now_nanos_ = clock_->MonotonicNanos();
  events_count_ = std::max(count, 0);
  bool posted = false;
  for (int i = 0; i < events_count_; i++) {
    // By reference: Forget clears the entries of a source that is gone, this one included.
    epoll_event& event = events_[static_cast<size_t>(i)];
    if (event.events == 0) continue;
    auto* source = static_cast<EpollSource*>(event.data.ptr);
    if (source == nullptr) {
      posted = true;
      continue;
    }
    const uint32_t writable = event.events & EPOLLOUT;
    if (event.events != writable) source->OnEvents(event.events & ~static_cast<uint32_t>(EPOLLOUT));
    if (writable != 0 && event.events != 0) source->OnEvents(writable);
  }
  events_count_ = 0;
  timers_.RunDue(now_nanos_);
  if (posted) RunPosted();
  for (base::TurnHandler* handler : turn_handlers_) handler->OnTurnEnd();
}

void EpollLoop::RunPosted() {
  uint64_t count = 0;
  // Nothing depends on what is read; the descriptor must only stop being readable.
  (void)!::read(wake_up_.get(), &count, sizeof(count));
  {
    base::MutexLock lock(&mutex_);
    running_.swap(posted_);
  }
  for (base::Task& task : running_) std::move(task)();
  running_.clear();
}

void EpollLoop::Post(base::Task task) {
  bool was_empty = false;
  {
    base::MutexLock lock(&mutex_);
    was_empty = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (!was_empty) return;
  const uint64_t one = 1;
  (void)!::write(wake_up_.get(), &one, sizeof(one));
}

base::TimerId EpollLoop::After(int64_t delay_nanos, base::Task task) {
  const int64_t now_nanos = clock_->MonotonicNanos();
  return timers_.Add(delay_nanos > INT64_MAX - now_nanos ? INT64_MAX : now_nanos + delay_nanos, std::move(task));
}

void EpollLoop::Cancel(base::TimerId timer) { timers_.Cancel(timer); }

void EpollLoop::AddTurnHandler(base::TurnHandler* handler) { turn_handlers_.push_back(handler); }

void EpollLoop::RemoveTurnHandler(base::TurnHandler* handler) {
  turn_handlers_.erase(std::remove(turn_handlers_.begin(), turn_handlers_.end(), handler), turn_handlers_.end());
}

void EpollLoop::Add(int fd, uint32_t events, EpollSource* source) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = source;
  // Fails only for want of memory or the per-user limit on watches; the source then looks silent
  // and times out.
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void EpollLoop::Change(int fd, uint32_t events, EpollSource* source) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = source;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EpollLoop::Forget(int fd, EpollSource* source) {
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  for (int i = 0; i < events_count_; i++) {
    epoll_event& event = events_[static_cast<size_t>(i)];
    if (event.data.ptr == source) event.events = 0;
  }
}

absl::StatusOr<std::unique_ptr<base::Listener>> EpollLoop::Listen(const base::ListenOptions& options,
                                                                  base::AcceptHandler* handler) {
  return EpollListener::Open(this, options, handler);
}

absl::StatusOr<std::unique_ptr<base::Stream>> EpollLoop::Connect(const std::string& address,
                                                                 base::StreamHandler* handler) {
  return EpollStream::Connect(this, address, handler);
}

}  // namespace bandb::net
