#include "net/socket_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/assert.h"
#include "base/status.h"
#include "net/address.h"

namespace bandb::net {

namespace {

constexpr size_t kVectorsMax = 64;
constexpr int kBacklog = 1024;

void SetOption(int fd, int level, int name, int value) {
  // Options make a connection better, not possible: a system that lacks one serves without it.
  (void)::setsockopt(fd, level, name, &value, sizeof(value));
}

void SetStreamOptions(int fd, int keepalive_seconds) {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (keepalive_seconds <= 0) return;
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#ifdef TCP_KEEPIDLE
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_seconds);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, keepalive_seconds / 3));
  SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
#endif
}

absl::Status AddressStatus(int error, const std::string& what) {
  if (error == EADDRINUSE) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: the address is in use", what);
  }
  if (error == EADDRNOTAVAIL || error == EAFNOSUPPORT) {
    return base::Error(absl::StatusCode::kInvalidArgument, "{}: not an address of this machine", what);
  }
  return base::ErrnoStatus(error, what);
}

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

FileDescriptor NewSocket(int family, int flags) { return FileDescriptor(::socket(family, SOCK_STREAM | flags, 0)); }

}  // namespace

absl::StatusOr<Socket> BeginConnect(const std::string& address) {
  BANDB_ASSIGN_OR_RETURN(const SocketAddress to, ParseAddress(address));
  FileDescriptor fd = NewSocket(to.storage.ss_family, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (!fd.valid()) return base::ErrnoStatus(errno, "socket");
  SetStreamOptions(fd.get(), 0);
  // A refusal on the spot would be a second way to learn what OnBroken tells; the socket keeps the
  // error for it.
  if (::connect(fd.get(), to.get(), to.length) != 0 && errno != EINPROGRESS && errno != ECONNREFUSED) {
    return AddressStatus(errno, address);
  }
  return Socket{std::move(fd), FormatAddress(to)};
}

absl::StatusOr<Socket> OpenListener(const base::ListenOptions& options) {
  BANDB_ASSIGN_OR_RETURN(SocketAddress address, ParseAddress(options.address));
  FileDescriptor fd = NewSocket(address.storage.ss_family, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (!fd.valid()) return base::ErrnoStatus(errno, "socket");
  // Never SO_REUSEPORT: with it a second server could take half of the clients.
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (::bind(fd.get(), address.get(), address.length) != 0) return AddressStatus(errno, options.address);
  if (::listen(fd.get(), kBacklog) != 0) return AddressStatus(errno, options.address);
  address.length = sizeof(address.storage);
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0) {
    return base::ErrnoStatus(errno, "getsockname");
  }
  return Socket{std::move(fd), FormatAddress(address)};
}

base::IoResult SocketStream::Read(char* to, size_t bytes_max) {
  BANDB_ASSERT(bytes_max > 0);
  const ssize_t count = ::recv(fd(), to, bytes_max, 0);
  if (count > 0) return {base::IoResult::State::kDone, static_cast<size_t>(count)};
  if (count == 0) return {base::IoResult::State::kEnd, 0};
  return {WouldBlock(errno) ? base::IoResult::State::kWouldBlock : base::IoResult::State::kFailed, 0};
}

base::IoResult SocketStream::Write(absl::Span<const std::string_view> pieces) {
  std::array<iovec, kVectorsMax> vectors;
  const size_t pieces_count = std::min(pieces.size(), vectors.size());
  for (size_t i = 0; i < pieces_count; ++i) {
    vectors[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = pieces_count;
  // sendmsg is writev that raises no SIGPIPE.
  const ssize_t count = ::sendmsg(fd(), &message, MSG_NOSIGNAL);
  if (count > 0) return {base::IoResult::State::kDone, static_cast<size_t>(count)};
  const bool blocked = count == 0 || WouldBlock(errno);
  return {blocked ? base::IoResult::State::kWouldBlock : base::IoResult::State::kFailed, 0};
}

void SocketStream::CloseWrite() { (void)::shutdown(fd(), SHUT_WR); }

SocketListener::SocketListener(Socket socket, int keepalive_seconds)
    : fd_(std::move(socket.fd)),
      reserve_(NewSocket(AF_INET, SOCK_CLOEXEC)),
      address_(std::move(socket.address)),
      keepalive_seconds_(keepalive_seconds) {}

void SocketListener::TurnOneAway() {
  reserve_.Close();
  FileDescriptor(::accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC)).Close();
  reserve_ = NewSocket(AF_INET, SOCK_CLOEXEC);
}

absl::StatusOr<Socket> SocketListener::AcceptSocket() {
  SocketAddress peer;
  peer.length = sizeof(peer.storage);
  FileDescriptor accepted(
      ::accept4(fd(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (accepted.valid()) {
    SetStreamOptions(accepted.get(), keepalive_seconds_);
    return Socket{std::move(accepted), FormatAddress(peer)};
  }
  const int error = errno;
  if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
    TurnOneAway();
    return base::Error(absl::StatusCode::kResourceExhausted, "accept: out of descriptors or memory");
  }
  // Nobody waits, or somebody gave up waiting: the next turn tells.
  return Socket();
}

}  // namespace bandb::net
