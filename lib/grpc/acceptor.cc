#include "grpc/acceptor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/status.h"
#include "net/address.h"

namespace bandb::grpc {

namespace {

constexpr int kBacklog = 1024;
constexpr int kEventsPerTurn = 64;
// In one turn, so that a storm of them does not keep the others from being forgotten.
constexpr int kAcceptsPerTurn = 64;
constexpr int kPauseMs = 100;

absl::Status SystemError(std::string_view what, int error) {
  absl::StatusCode code = absl::StatusCode::kInternal;
  if (error == EADDRINUSE) code = absl::StatusCode::kFailedPrecondition;
  if (error == EACCES) code = absl::StatusCode::kPermissionDenied;
  return base::Error(code, "{}: {}", what, std::strerror(error));
}

void SetOption(int descriptor, int level, int name, int value) {
  ::setsockopt(descriptor, level, name, &value, sizeof(value));
}

// No SO_REUSEPORT: a second server on this port must be refused.
absl::StatusOr<int> Bind(const net::SocketAddress& address) {
  const int descriptor = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return SystemError(net::FormatAddress(address), errno);
  SetOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
  if (::bind(descriptor, address.get(), address.length) == 0 && ::listen(descriptor, kBacklog) == 0) return descriptor;
  const absl::Status failed = SystemError(net::FormatAddress(address), errno);
  ::close(descriptor);
  return failed;
}

std::string AddressOf(int descriptor, int (*name_of)(int, sockaddr*, socklen_t*)) {
  net::SocketAddress address;
  address.length = sizeof(address.storage);
  if (name_of(descriptor, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0) return "";
  return net::FormatAddress(address);
}

}  // namespace

Acceptor::Acceptor(server::Door* door, Connections* connections) : door_(door), connections_(connections) {}

Acceptor::~Acceptor() {
  Close();
  while (!open_.empty()) Forget(open_.begin()->first);
  for (const int descriptor : {listening_, epoll_, wake_}) {
    if (descriptor >= 0) ::close(descriptor);
  }
}

absl::Status Acceptor::Listen(const std::string& address) {
  // The first address of a name and no other: whether others may reach it was asked of that one.
  BANDB_ASSIGN_OR_RETURN(const net::SocketAddress first, net::ParseAddress(address));
  BANDB_ASSIGN_OR_RETURN(listening_, Bind(first));
  address_ = AddressOf(listening_, ::getsockname);
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (epoll_ < 0 || wake_ < 0) return SystemError("cannot watch connections", errno);
  return absl::OkStatus();
}

void Acceptor::Start(std::function<void(int descriptor)> take) {
  take_ = std::move(take);
  Watch(listening_, EPOLLIN, static_cast<uint64_t>(listening_));
  Watch(wake_, EPOLLIN, static_cast<uint64_t>(wake_));
  thread_ = std::make_unique<base::Thread>([this] { Run(); });
}

void Acceptor::Close() {
  const uint64_t one = 1;
  if (thread_ == nullptr) return;
  (void)!::write(wake_, &one, sizeof(one));
  thread_->Join();
  thread_.reset();
}

void Acceptor::Watch(int descriptor, uint32_t events, uint64_t what) {
  epoll_event event{.events = events, .data = {.u64 = what}};
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
}

void Acceptor::Run() {
  std::array<epoll_event, kEventsPerTurn> events{};
  while (!ended_) {
    const int count = ::epoll_wait(epoll_, events.data(), kEventsPerTurn, paused_ ? kPauseMs : -1);
    if (std::exchange(paused_, false)) Watch(listening_, EPOLLIN, static_cast<uint64_t>(listening_));
    bool acceptable = false;
    for (int i = 0; i < count; ++i) {
      const int descriptor = static_cast<int>(events[static_cast<size_t>(i)].data.u64);
      if (descriptor == wake_) {
        ended_ = true;
      } else if (descriptor == listening_) {
        acceptable = true;
      } else {
        Forget(descriptor);
      }
    }
    // Last: what is accepted may be given the number of a descriptor that makes room.
    if (acceptable) AcceptAll();
  }
  // Clients that connect now are refused by the system.
  ::close(std::exchange(listening_, -1));
}

void Acceptor::AcceptAll() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    const int descriptor = ::accept4(listening_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      Admit(descriptor, AddressOf(descriptor, ::getpeername));
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      ::epoll_ctl(epoll_, EPOLL_CTL_DEL, listening_, nullptr);
      paused_ = true;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    return;
  }
}

bool Acceptor::TakePlace() {
  // The other half of the places is for connections that need one descriptor only.
  const size_t connections_max = std::max<size_t>(1, static_cast<size_t>(door_->options().connections_max) / 2);
  if (open_.size() < connections_max && door_->AddConnection()) return true;
  const int stranger = door_->NewSession().has_users() ? connections_->OldestStranger() : -1;
  if (stranger < 0) return false;
  // gRPC sees it broken, and closes it.
  ::shutdown(stranger, SHUT_RDWR);
  Forget(stranger);
  return door_->AddConnection();
}

void Acceptor::Admit(int descriptor, const std::string& peer) {
  if (!TakePlace()) {
    ::close(descriptor);
    return;
  }
  const int watched = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (watched < 0) {
    door_->DropConnection();
    ::close(descriptor);
    return;
  }
  const absl::Duration keepalive = door_->options().keepalive;
  if (keepalive != absl::InfiniteDuration()) {
    SetOption(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
    SetOption(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(absl::ToInt64Seconds(keepalive)));
  }
  open_.emplace(watched, Connection{peer, connections_->Add(peer, watched)});
  take_(descriptor);
  // Only that it is gone in both directions, which is always told.
  Watch(watched, 0, static_cast<uint64_t>(watched));
}

void Acceptor::Forget(int watched) {
  const auto found = open_.find(watched);
  connections_->Remove(found->second.peer, found->second.number);
  open_.erase(found);
  door_->DropConnection();
  // Closing alone would leave it watched for as long as gRPC has its own descriptor.
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, watched, nullptr);
  ::close(watched);
}

}  // namespace bandb::grpc
