// A TCP connection for programs that wait for it: the command-line client, the benchmark, a test.
// Servers and nodes use event loops instead.
//
// Reading and writing never wait; Wait does, for any number of streams at once. So one thread can
// keep many connections busy, and a client that fills its pipe drains the replies meanwhile instead
// of deadlocking with the server.
#ifndef BANDB_NET_CLIENT_STREAM_H_
#define BANDB_NET_CLIENT_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "net/address.h"

namespace bandb::net {

// Thread safety: one thread at a time.
class ClientStream {
 public:
  // Connects to HOST:PORT, trying each address that the name has; the time is for each. Errors:
  // kInvalidArgument no such address · kUnavailable nobody listens there, or not in time.
  static absl::StatusOr<std::unique_ptr<ClientStream>> Connect(const std::string& address, int64_t timeout_nanos);
  virtual ~ClientStream();
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;

  // Hands over what the socket takes at once and returns how much that was. Errors: kUnavailable
  // the connection is gone.
  virtual absl::StatusOr<size_t> WriteSome(std::string_view bytes);
  // Fills `to`, which is not empty, with what has arrived, and returns how much that was; 0 if
  // nothing has. Errors: kUnavailable the peer closed, or the connection is gone.
  virtual absl::StatusOr<size_t> ReadSome(absl::Span<char> to);

  struct Interest {
    ClientStream* stream = nullptr;
    bool write = false;  // wake also when it can be written
    bool ready = false;  // out: there is something to read, to write or to learn
  };
  // Waits until one of the streams is ready (true) or the time has passed (false).
  static bool Wait(absl::Span<Interest> interests, int64_t timeout_nanos);

 protected:
  // Takes the connection of another one over.
  explicit ClientStream(std::unique_ptr<ClientStream> other) : descriptor_(std::exchange(other->descriptor_, -1)) {}
  // There is something to read though the socket has nothing; and it wants to write, whatever its
  // user does.
  virtual bool HasMore() const { return false; }
  virtual bool WantsToWrite() const { return false; }

 private:
  static absl::StatusOr<std::unique_ptr<ClientStream>> ConnectTo(const SocketAddress& peer, const std::string& name,
                                                                 int64_t timeout_nanos);
  explicit ClientStream(int descriptor) : descriptor_(descriptor) {}

  int descriptor_;
};

}  // namespace bandb::net

#endif  // BANDB_NET_CLIENT_STREAM_H_
