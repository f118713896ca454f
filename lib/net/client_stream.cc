#include "net/client_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/status.h"

namespace bandb::net {

namespace {

constexpr int64_t kNanosPerMilli = 1'000'000;

absl::Status Gone(std::string_view what, int error_number) {
  return base::Error(absl::StatusCode::kUnavailable, "{}: {}", what, std::strerror(error_number));
}

bool NothingYet(int error_number) { return error_number == EAGAIN || error_number == EWOULDBLOCK; }

// Rounded up, so that waiting for a microsecond does not become spinning; -1 is without end.
int PollMillis(int64_t timeout_nanos) {
  if (timeout_nanos < 0) return 0;
  const int64_t millis = timeout_nanos / kNanosPerMilli + (timeout_nanos % kNanosPerMilli != 0 ? 1 : 0);
  return millis > INT32_MAX ? -1 : static_cast<int>(millis);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ClientStream>> ClientStream::Connect(const std::string& address, int64_t timeout_nanos) {
  BANDB_ASSIGN_OR_RETURN(const std::vector<SocketAddress> peers, ParseAddresses(address));
  absl::StatusOr<std::unique_ptr<ClientStream>> stream = ConnectTo(peers.front(), address, timeout_nanos);
  for (size_t i = 1; i < peers.size() && absl::IsUnavailable(stream.status()); ++i) {
    stream = ConnectTo(peers[i], address, timeout_nanos);
  }
  return stream;
}

absl::StatusOr<std::unique_ptr<ClientStream>> ClientStream::ConnectTo(const SocketAddress& peer,
                                                                      const std::string& name, int64_t timeout_nanos) {
  const int descriptor = ::socket(peer.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return base::ErrnoStatus(errno, "socket");
  std::unique_ptr<ClientStream> stream(new ClientStream(descriptor));
  const int on = 1;
  // Without effect on correctness; a socket that refuses it is only slower.
  static_cast<void>(::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
  if (::connect(descriptor, peer.get(), peer.length) == 0) return stream;
  if (errno != EINPROGRESS) return Gone(name, errno);
  pollfd waited{descriptor, POLLOUT, 0};
  int ready = 0;
  do {
    ready = ::poll(&waited, 1, PollMillis(timeout_nanos));
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) return Gone(name, ETIMEDOUT);
  int error = 0;
  socklen_t length = sizeof(error);
  if (::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error != 0) return Gone(name, error);
  return stream;
}

ClientStream::~ClientStream() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

absl::StatusOr<size_t> ClientStream::WriteSome(std::string_view bytes) {
  size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t n = ::send(descriptor_, bytes.data() + written, bytes.size() - written, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (NothingYet(errno)) break;
      return Gone("send", errno);
    }
    written += static_cast<size_t>(n);
  }
  return written;
}

absl::StatusOr<size_t> ClientStream::ReadSome(absl::Span<char> to) {
  ssize_t n = 0;
  do {
    n = ::recv(descriptor_, to.data(), to.size(), 0);
  } while (n < 0 && errno == EINTR);
  if (n > 0) return static_cast<size_t>(n);
  if (n == 0) return base::Error(absl::StatusCode::kUnavailable, "the server closed the connection");
  if (NothingYet(errno)) return size_t{0};
  return Gone("recv", errno);
}

bool ClientStream::Wait(absl::Span<Interest> interests, int64_t timeout_nanos) {
  std::vector<pollfd> waited;
  waited.reserve(interests.size());
  for (const Interest& interest : interests) {
    const int events = POLLIN | (interest.write || interest.stream->WantsToWrite() ? POLLOUT : 0);
    if (interest.stream->HasMore()) timeout_nanos = 0;
    waited.push_back({interest.stream->descriptor_, static_cast<short>(events), 0});
  }
  int ready = 0;
  do {
    ready = ::poll(waited.data(), waited.size(), PollMillis(timeout_nanos));
  } while (ready < 0 && errno == EINTR);
  bool any = ready > 0;
  for (size_t i = 0; i < interests.size(); ++i) {
    const bool more = interests[i].stream->HasMore();
    interests[i].ready = waited[i].revents != 0 || more;
    any = any || more;
  }
  return any;
}

}  // namespace bandb::net
