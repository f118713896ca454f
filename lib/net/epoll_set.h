// Descriptors watched by epoll: a turn costs what is ready, however many they are.
#ifndef BANDB_NET_EPOLL_SET_H_
#define BANDB_NET_EPOLL_SET_H_

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "net/file_descriptor.h"
#include "net/socket_loop.h"

namespace bandb::net {

// See set_loop.h. Thread safety: one thread.
class EpollSet {
 public:
  static constexpr LoopKind kKind = LoopKind::kEpoll;

  explicit EpollSet(FileDescriptor epoll) : epoll_(std::move(epoll)) {}

  bool Add(int fd, uint32_t events, SocketSource* source);
  void Change(int fd, uint32_t events, SocketSource* source);
  void Forget(int fd, SocketSource* source);
  size_t Wait(int millis);
  uint32_t EventsAt(size_t i) const { return events_[i].events; }
  SocketSource* SourceAt(size_t i) const { return static_cast<SocketSource*>(events_[i].data.ptr); }
  void EndOfReady() { count_ = 0; }

 private:
  // More wait for the next turn, which begins with them.
  static constexpr size_t kEventsMax = 256;

  FileDescriptor epoll_;
  std::array<epoll_event, kEventsMax> events_{};
  size_t count_ = 0;
};

// As SocketLoop::Create.
absl::StatusOr<std::unique_ptr<SocketLoop>> MakeEpollLoop(base::Clock* clock);

}  // namespace bandb::net

#endif  // BANDB_NET_EPOLL_SET_H_
