// The door for clients of gRPC: test_grpc.KVService, health and reflection, on an address of its
// own. docs/grpc.md says how each is answered.
//
//   connections ─ Acceptor ─► gRPC ─► Poller: Calls ─► server::Door ─► hooks ─► Store
//
// No thread waits for a call. Includes nothing of gRPC's, so that few files need its headers.
#ifndef BANDB_GRPC_LISTENER_H_
#define BANDB_GRPC_LISTENER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/server.h"

namespace bandb::grpc {

struct ListenerOptions {
  // HOST:PORT; HOST is a name or an address, in brackets if IPv6. Port 0 takes a free one.
  std::string listen;
  // Calls that one connection may have under way; more wait at the client. 1 to 100,000.
  int streams_max = 1024;
  // Threads that speak gRPC. 1 to 64.
  int threads = 1;
  // Under way at once, a quarter of them those of health and reflection.
  int calls_max = 16384;
  // Paths of the certificate (the chain, its own first) and its key, in PEM: given, TLS is spoken.
  std::string tls_certificate_file{};
  std::string tls_key_file{};
  // Given: clients need a certificate that one of those in this file signed.
  std::string tls_client_ca_file{};
};

// May block for as long as the system looks for a name. Errors: kInvalidArgument the text is not
// HOST:PORT, or there is no such host · kUnimplemented this build has no gRPC.
absl::Status CheckListen(const std::string& listen);

// Limits, timeouts and the account of memory are those of the server's options.
// Thread safety: made and destroyed by one thread; the rest by any.
// Lifetime: the server must outlive it.
class Listener {
 public:
  // Serves when it returns. Errors: kInvalidArgument not an address, or an option out of range ·
  // kFailedPrecondition the address is in use · kPermissionDenied it may not be taken · kInternal ·
  // kUnimplemented this build has no gRPC.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(Server* server, const ListenerOptions& options);
  // Cancels what is under way, and waits until the store has let go of it.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // HOST:PORT, with the port that was taken.
  const std::string& Address() const;
  // Ends in order: tells health's watchers, takes no more connections and calls, answers those it
  // has, at most for the server's drain_timeout; then cancels the rest. Idempotent.
  // Errors: kDeadlineExceeded calls were still unanswered.
  absl::Status Drain();

 private:
  class Impl;
  explicit Listener(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace bandb::grpc

#endif  // BANDB_GRPC_LISTENER_H_
