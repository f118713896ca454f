// Takes connections and gives them to gRPC, no more than there is room for.
//
// gRPC's own listener has no bound, and stops for good when the process is out of descriptors. This
// one keeps a second descriptor of each connection, by which it learns that gRPC, or the client,
// has ended it.
#ifndef BANDB_GRPC_ACCEPTOR_H_
#define BANDB_GRPC_ACCEPTOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "grpc/connections.h"
#include "server/door.h"

namespace bandb::grpc {

// Lifetime: borrows everything; connections may outlive it, and are forgotten then.
// Thread safety: one thread at a time.
class Acceptor {
 public:
  Acceptor(server::Door* door, Connections* connections);
  ~Acceptor();

  // Errors: as Listener::Start.
  absl::Status Listen(const std::string& address);
  const std::string& address() const { return address_; }
  // Calls `take` on its own thread with the descriptor of each connection, which is then gRPC's.
  void Start(std::function<void(int descriptor)> take);
  // Takes no connections any more. Those that end from now on are forgotten by the destructor.
  void Close();

 private:
  struct Connection {
    std::string peer;
    uint64_t number = 0;
  };

  void Run();
  void AcceptAll();
  void Admit(int descriptor, const std::string& peer);
  // Whether there is a place for one more, which is counted then. Where there are users, strangers
  // make room, the oldest first.
  bool TakePlace();
  void Forget(int watched);
  void Watch(int descriptor, uint32_t events, uint64_t what);

  server::Door* const door_;
  Connections* const connections_;
  std::function<void(int descriptor)> take_;
  std::string address_;
  int listening_ = -1;
  int epoll_ = -1;
  int wake_ = -1;
  bool ended_ = false;              // of its thread
  bool paused_ = false;             // out of descriptors: accepts again in a moment
  std::map<int, Connection> open_;  // by the second descriptor
  std::unique_ptr<base::Thread> thread_;
};

}  // namespace bandb::grpc

#endif  // BANDB_GRPC_ACCEPTOR_H_
