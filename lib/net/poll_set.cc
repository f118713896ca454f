#include "net/poll_set.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/assert.h"
#include "base/status.h"
#include "net/set_loop.h"

namespace bandb::net {

namespace {
constexpr int kPauseMillis = 10;
}  // namespace

bool PollSet::Add(int fd, uint32_t events, SocketSource* source) {
  const auto at = static_cast<size_t>(fd);
  if (at >= places_.size()) places_.resize(std::max(at + 1, 2 * places_.size()), kNowhere);
  // The number is free, so its last owner is not watched by it any more.
  if (places_[at] != kNowhere) Leave(places_[at]);
  places_[at] = polled_.size();
  polled_.push_back({fd, static_cast<short>(events), 0});
  sources_.push_back(source);
  return true;
}

size_t PollSet::Find(int fd, const SocketSource* source) const {
  const auto at = static_cast<size_t>(fd);
  if (at >= places_.size() || places_[at] == kNowhere) return kNowhere;
  return sources_[places_[at]] == source ? places_[at] : kNowhere;
}

void PollSet::Change(int fd, uint32_t events, SocketSource* source) {
  const size_t place = Find(fd, source);
  if (place != kNowhere) polled_[place].events = static_cast<short>(events);
}

void PollSet::Forget(int fd, SocketSource* source) {
  const size_t place = Find(fd, source);
  if (place != kNowhere) Leave(place);
}

void PollSet::Leave(size_t place) {
  places_[static_cast<size_t>(polled_[place].fd)] = kNowhere;
  polled_[place] = {-1, 0, 0};
  has_gaps_ = true;
}

void PollSet::CloseGaps() {
  size_t kept = 0;
  for (size_t place = 0; place < polled_.size(); ++place) {
    if (polled_[place].fd < 0) continue;
    polled_[kept] = polled_[place];
    sources_[kept] = sources_[place];
    places_[static_cast<size_t>(polled_[kept].fd)] = kept;
    ++kept;
  }
  polled_.resize(kept);
  sources_.resize(kept);
  has_gaps_ = false;
}

size_t PollSet::Wait(int millis) {
  if (has_gaps_) CloseGaps();
  int count = ::poll(polled_.data(), polled_.size(), millis);
  // What came before a pause of the process that ended the wait is not left for the next turn: in
  // this one it would look as if nothing had come in all that time.
  if (count < 0 && errno == EINTR) count = ::poll(polled_.data(), polled_.size(), 0);
  if (count >= 0) return count == 0 ? 0 : polled_.size();
  // What it says of any is not to be looked at then.
  if (errno == EINTR) return 0;
  return WaitOneByOne(millis);
}

// It was refused: the system has no memory to look at so many together, or the process may not have
// as many descriptors any more as it has.
size_t PollSet::WaitOneByOne(int millis) {
  bool any = false;
  for (pollfd& one : polled_) {
    const int count = ::poll(&one, 1, 0);
    if (count < 0) one.revents = 0;
    any = any || count > 0;
  }
  if (any || millis == 0) return polled_.size();
  // Then again, but not at once; a task that is posted is not kept waiting.
  BANDB_ASSERT(!polled_.empty());
  const int pause = millis < 0 ? kPauseMillis : std::min(millis, kPauseMillis);
  if (::poll(polled_.data(), 1, pause) < 0) polled_[0].revents = 0;
  return polled_.size();
}

absl::StatusOr<std::unique_ptr<SocketLoop>> MakePollLoop(base::Clock* clock) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return base::ErrnoStatus(errno, "pipe2");
  WakeUp wake_up(FileDescriptor(ends[0]), FileDescriptor{ends[1]});
  PollSet set;
  (void)set.Add(wake_up.fd(), POLLIN, nullptr);
  return std::unique_ptr<SocketLoop>(std::make_unique<SetLoop<PollSet>>(clock, std::move(wake_up), std::move(set)));
}

}  // namespace bandb::net
