// Takes connections from one address and deals them out, in turn, to the loops that serve them.
//
// A server has one listening socket, whatever its number of loops: nobody else can bind the
// address, and the loops get the same number of connections each.
#ifndef BANDB_NET_ACCEPTOR_H_
#define BANDB_NET_ACCEPTOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/event_loop.h"
#include "net/counters.h"
#include "net/router.h"
#include "net/stream_taker.h"

namespace bandb::net {

// Thread safety: the loop's thread, or before the loop runs; accept_failures from any thread.
// Lifetime: the loops and servers must outlive it and its loop's tasks.
class Acceptor final : private base::AcceptHandler {
 public:
  // A loop, what takes connections on it, and what they are to be served.
  struct Taker {
    base::EventLoop* loop = nullptr;
    StreamTaker* server = nullptr;
    Endpoint endpoint;
  };
  struct Limits {
    int accepts_per_turn_max = 16;
    int64_t pause_nanos = 50 * 1000000;  // after running out of descriptors
  };

  // `loop` is the one that accepts.
  Acceptor(base::EventLoop* loop, const Limits& limits) : loop_(loop), limits_(limits) {}
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Once. There is at least one taker.
  // Errors: as EventLoop::Listen.
  absl::Status Listen(const base::ListenOptions& options, std::vector<Taker> takers);
  const std::string& address() const { return address_; }
  // Takes nobody any more.
  void Close();
  uint64_t accept_failures() const { return accept_failures_.Get(); }

 private:
  void OnAcceptable() override;

  base::EventLoop* const loop_;
  const Limits limits_;
  std::unique_ptr<base::Listener> listener_;
  std::string address_;
  std::vector<Taker> takers_;
  size_t next_taker_ = 0;
  base::TimerId pause_timer_ = base::kNoTimer;
  Counter accept_failures_;
};

}  // namespace bandb::net

#endif  // BANDB_NET_ACCEPTOR_H_
