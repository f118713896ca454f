#include "net/socket_loop.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "net/poll_set.h"
#ifdef BANDB_HAVE_EPOLL
#include "net/epoll_set.h"
#endif

namespace bandb::net {

namespace {
constexpr int64_t kNanosPerMilli = 1000000;
constexpr int64_t kWaitNanosMax = 3600 * 1000 * kNanosPerMilli;
}  // namespace

absl::StatusOr<std::unique_ptr<SocketLoop>> SocketLoop::Create(base::Clock* clock, LoopKind kind) {
  if (kind == LoopKind::kPoll) return MakePollLoop(clock);
#ifdef BANDB_HAVE_EPOLL
  return MakeEpollLoop(clock);
#else
  return base::Error(absl::StatusCode::kUnimplemented, "this build has no epoll");
#endif
}

SocketLoop::SocketLoop(base::Clock* clock, LoopKind kind, WakeUp wake_up)
    : clock_(clock), kind_(kind), wake_up_(std::move(wake_up)), now_nanos_(clock->MonotonicNanos()) {}

SocketLoop::~SocketLoop() = default;

void SocketLoop::Stop() {
  Post([this] { stopped_.store(true, std::memory_order_relaxed); });
}

int SocketLoop::WaitMillis(int64_t wait_nanos_max) {
  const int64_t due = timers_.NextDueNanos();
  int64_t wait_nanos = wait_nanos_max;
  if (due != INT64_MAX) {
    wait_nanos = std::min(wait_nanos, std::max<int64_t>(0, due - clock_->MonotonicNanos()));
  }
  if (wait_nanos == base::kForever) return -1;
  // Rounded up: a wait that ends before the timer is due would only be followed by another.
  return static_cast<int>((std::min(wait_nanos, kWaitNanosMax) + kNanosPerMilli - 1) / kNanosPerMilli);
}

void SocketLoop::EndTurn(bool woken_up) {
  timers_.RunDue(now_nanos_);
  if (woken_up) RunPosted();
  for (base::TurnHandler* handler : turn_handlers_) handler->OnTurnEnd();
}

void SocketLoop::RunPosted() {
  wake_up_.Clear();
  {
    base::MutexLock lock(&mutex_);
    running_.swap(posted_);
  }
  for (base::Task& task : running_) std::move(task)();
  running_.clear();
}

void SocketLoop::DropTasks() {
  const TimerQueue timers = std::exchange(timers_, TimerQueue());
  std::vector<base::Task> posted;
  base::MutexLock lock(&mutex_);
  posted.swap(posted_);
}

void SocketLoop::Post(base::Task task) {
  bool was_empty = false;
  {
    base::MutexLock lock(&mutex_);
    was_empty = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (was_empty) wake_up_.Ring();
}

base::TimerId SocketLoop::After(int64_t delay_nanos, base::Task task) {
  const int64_t now_nanos = clock_->MonotonicNanos();
  return timers_.Add(delay_nanos > INT64_MAX - now_nanos ? INT64_MAX : now_nanos + delay_nanos, std::move(task));
}

void SocketLoop::Cancel(base::TimerId timer) { timers_.Cancel(timer); }

void SocketLoop::AddTurnHandler(base::TurnHandler* handler) { turn_handlers_.push_back(handler); }

void SocketLoop::RemoveTurnHandler(base::TurnHandler* handler) {
  turn_handlers_.erase(std::remove(turn_handlers_.begin(), turn_handlers_.end(), handler), turn_handlers_.end());
}

}  // namespace bandb::net
