// Descriptors watched by poll(2), which every POSIX system has: each turn tells the system of all
// of them again. That is linear in their number, and made for hundreds; ten thousand work, too.
#ifndef BANDB_NET_POLL_SET_H_
#define BANDB_NET_POLL_SET_H_

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "net/socket_loop.h"

namespace bandb::net {

// See set_loop.h. The first that is added wakes its loop up, and is never forgotten. A descriptor
// that somebody has closed without the knowledge of its source is told as POLLNVAL, until a new one
// of that number is added.
// Thread safety: one thread.
class PollSet {
 public:
  static constexpr LoopKind kKind = LoopKind::kPoll;

  bool Add(int fd, uint32_t events, SocketSource* source);
  void Change(int fd, uint32_t events, SocketSource* source);
  void Forget(int fd, SocketSource* source);
  size_t Wait(int millis);
  uint32_t EventsAt(size_t i) const { return static_cast<uint16_t>(polled_[i].revents); }
  SocketSource* SourceAt(size_t i) const { return sources_[i]; }
  void EndOfReady() {}

 private:
  static constexpr size_t kNowhere = SIZE_MAX;

  size_t Find(int fd, const SocketSource* source) const;
  void Leave(size_t place);
  void CloseGaps();
  size_t WaitOneByOne(int millis);

  // By place. One that was left has a descriptor below 0, for which poll does not look, until the
  // next wait: places do not move while what is ready is told.
  std::vector<pollfd> polled_;
  std::vector<SocketSource*> sources_;
  bool has_gaps_ = false;
  // By descriptor.
  std::vector<size_t> places_;
};

// As SocketLoop::Create.
absl::StatusOr<std::unique_ptr<SocketLoop>> MakePollLoop(base::Clock* clock);

}  // namespace bandb::net

#endif  // BANDB_NET_POLL_SET_H_
