// TCP sockets as streams and listeners, as far as they are the same whatever watches them.
#ifndef BANDB_NET_SOCKET_STREAM_H_
#define BANDB_NET_SOCKET_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/event_loop.h"
#include "net/file_descriptor.h"
#include "net/socket_loop.h"

namespace bandb::net {

// Neither blocks. Errors: as EventLoop::Connect and EventLoop::Listen.
absl::StatusOr<Socket> BeginConnect(const std::string& address);
absl::StatusOr<Socket> OpenListener(const base::ListenOptions& options);

class SocketStream : public base::Stream, protected SocketSource {
 public:
  base::IoResult Read(char* to, size_t bytes_max) final;
  base::IoResult Write(absl::Span<const std::string_view> pieces) final;
  void CloseWrite() final;
  const std::string& peer() const final { return peer_; }

 protected:
  explicit SocketStream(Socket socket) : fd_(std::move(socket.fd)), peer_(std::move(socket.address)) {}
  int fd() const { return fd_.get(); }

 private:
  FileDescriptor fd_;
  const std::string peer_;
};

class SocketListener : public base::Listener, protected SocketSource {
 public:
  const std::string& address() const final { return address_; }

 protected:
  SocketListener(Socket socket, int keepalive_seconds);
  int fd() const { return fd_.get(); }
  // Without a descriptor if nobody waits. Errors: as Listener::Accept.
  absl::StatusOr<Socket> AcceptSocket();

 private:
  void TurnOneAway();

  FileDescriptor fd_;
  // Held so that, out of descriptors, there is one to take a connection with and close it: its
  // client learns at once, instead of waiting in the backlog.
  FileDescriptor reserve_;
  const std::string address_;
  const int keepalive_seconds_;
};

}  // namespace bandb::net

#endif  // BANDB_NET_SOCKET_STREAM_H_
