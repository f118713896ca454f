#include "net/epoll_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
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
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_seconds);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, keepalive_seconds / 3));
  SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
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

}  // namespace

absl::StatusOr<std::unique_ptr<base::Stream>> EpollStream::Connect(EpollLoop* loop, const std::string& address,
                                                                   base::StreamHandler* handler) {
  BANDB_ASSIGN_OR_RETURN(const SocketAddress to, ParseAddress(address));
  FileDescriptor fd(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "socket");
  SetStreamOptions(fd.get(), 0);
  // A refusal on the spot would be a second way to learn what OnBroken tells; the socket keeps the
  // error for it.
  if (::connect(fd.get(), to.get(), to.length) != 0 && errno != EINPROGRESS && errno != ECONNREFUSED) {
    return AddressStatus(errno, address);
  }
  auto stream = std::make_unique<EpollStream>(loop, std::move(fd), FormatAddress(to));
  stream->SetHandler(handler);
  return std::unique_ptr<base::Stream>(std::move(stream));
}

EpollStream::EpollStream(EpollLoop* loop, FileDescriptor fd, std::string peer)
    : loop_(loop), fd_(std::move(fd)), peer_(std::move(peer)) {}

EpollStream::~EpollStream() {
  if (handler_ != nullptr) loop_->Forget(fd_.get(), this);
}

void EpollStream::SetHandler(base::StreamHandler* handler) {
  if (handler_ == nullptr) loop_->Add(fd_.get(), 0, this);
  handler_ = handler;
}

void EpollStream::OnEvents(uint32_t events) {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    // What arrived before the end is still there to be read; only when nobody wants it is the
    // stream just broken.
    if ((events & EPOLLIN) == 0 || (watched_ & EPOLLIN) == 0) {
      // Told once: without descriptors in the set, epoll would report it again and again.
      loop_->Forget(fd_.get(), this);
      handler_->OnBroken();
      return;
    }
  }
  if ((events & EPOLLIN) != 0) handler_->OnReadable();
  if ((events & EPOLLOUT) != 0 && (watched_ & EPOLLOUT) != 0) handler_->OnWritable();
}

base::IoResult EpollStream::Read(char* to, size_t bytes_max) {
  BANDB_ASSERT(bytes_max > 0);
  const ssize_t count = ::recv(fd_.get(), to, bytes_max, 0);
  if (count > 0) return {base::IoResult::State::kDone, static_cast<size_t>(count)};
  if (count == 0) return {base::IoResult::State::kEnd, 0};
  return {WouldBlock(errno) ? base::IoResult::State::kWouldBlock : base::IoResult::State::kFailed, 0};
}

base::IoResult EpollStream::Write(absl::Span<const std::string_view> pieces) {
  std::array<iovec, kVectorsMax> vectors;
  const size_t pieces_count = std::min(pieces.size(), vectors.size());
  for (size_t i = 0; i < pieces_count; i++) {
    vectors[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = pieces_count;
  // sendmsg is writev that raises no SIGPIPE.
  const ssize_t count = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
  if (count > 0) return {base::IoResult::State::kDone, static_cast<size_t>(count)};
  const bool blocked = count == 0 || WouldBlock(errno);
  return {blocked ? base::IoResult::State::kWouldBlock : base::IoResult::State::kFailed, 0};
}

void EpollStream::Watch(bool readable, bool writable) {
  const uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
  if (events == watched_) return;
  watched_ = events;
  loop_->Change(fd_.get(), events, this);
}

void EpollStream::CloseWrite() { (void)::shutdown(fd_.get(), SHUT_WR); }

absl::StatusOr<std::unique_ptr<base::Listener>> EpollListener::Open(EpollLoop* loop, const base::ListenOptions& options,
                                                                    base::AcceptHandler* handler) {
  BANDB_ASSIGN_OR_RETURN(SocketAddress address, ParseAddress(options.address));
  FileDescriptor fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "socket");
  // Never SO_REUSEPORT: with it a second server could take half of the clients.
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (::bind(fd.get(), address.get(), address.length) != 0) return AddressStatus(errno, options.address);
  if (::listen(fd.get(), kBacklog) != 0) return AddressStatus(errno, options.address);
  address.length = sizeof(address.storage);
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0) {
    return base::ErrnoStatus(errno, "getsockname");
  }
  return std::unique_ptr<base::Listener>(
      new EpollListener(loop, std::move(fd), FormatAddress(address), options.keepalive_seconds, handler));
}

EpollListener::EpollListener(EpollLoop* loop, FileDescriptor fd, std::string address, int keepalive_seconds,
                             base::AcceptHandler* handler)
    : loop_(loop),
      fd_(std::move(fd)),
      reserve_(::eventfd(0, EFD_CLOEXEC)),
      address_(std::move(address)),
      keepalive_seconds_(keepalive_seconds),
      handler_(handler) {
  loop_->Add(fd_.get(), EPOLLIN, this);
}

EpollListener::~EpollListener() { loop_->Forget(fd_.get(), this); }

void EpollListener::OnEvents(uint32_t) { handler_->OnAcceptable(); }

void EpollListener::Watch(bool acceptable) { loop_->Change(fd_.get(), acceptable ? EPOLLIN : 0u, this); }

void EpollListener::TurnOneAway() {
  reserve_.Close();
  FileDescriptor(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)).Close();
  reserve_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC));
}

absl::StatusOr<std::unique_ptr<base::Stream>> EpollListener::Accept(base::EventLoop* loop) {
  SocketAddress peer;
  peer.length = sizeof(peer.storage);
  FileDescriptor fd(
      ::accept4(fd_.get(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd.valid()) {
    SetStreamOptions(fd.get(), keepalive_seconds_);
    auto* const epoll_loop = static_cast<EpollLoop*>(loop);
    return std::unique_ptr<base::Stream>(std::make_unique<EpollStream>(epoll_loop, std::move(fd), FormatAddress(peer)));
  }
  const int error = errno;
  if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
    TurnOneAway();
    return base::Error(absl::StatusCode::kResourceExhausted, "accept: out of descriptors or memory");
  }
  // Nobody waits, or somebody gave up waiting: the next turn tells.
  return std::unique_ptr<base::Stream>();
}

}  // namespace bandb::net
