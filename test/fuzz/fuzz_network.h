// The network of the fuzz targets over connections, run on one thread.
#ifndef BANDB_TEST_FUZZ_FUZZ_NETWORK_H_
#define BANDB_TEST_FUZZ_FUZZ_NETWORK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.h"
#include "net/socket_loop.h"
#include "support/manual_clock.h"
#include "support/sim_streams.h"

namespace bandb::test {

// Loops of one kind, run on this thread until nothing happens any more.
class Network {
 public:
  Network(bool sockets, uint64_t seed) : sockets_(sockets), sim_({.seed = seed}) {}

  std::unique_ptr<base::EventLoop> MakeLoop() {
    if (!sockets_) return sim_.MakeLoop();
    auto loop = net::SocketLoop::Create(&clock_);
    BANDB_ASSERT(loop.ok());
    loops_.push_back(loop->get());
    return *std::move(loop);
  }
  std::string Address() const { return sockets_ ? "127.0.0.1:0" : "server:0"; }
  // A piece of what there is to do; time passes only in memory.
  void Turn(int steps) {
    for (int i = 0; i < steps; i++) {
      if (!sockets_) {
        sim_.Step();
      } else {
        for (net::SocketLoop* loop : loops_) loop->RunOnce(0);
      }
    }
  }

 private:
  const bool sockets_;
  SimNetwork sim_;
  ManualClock clock_;
  std::vector<net::SocketLoop*> loops_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_FUZZ_FUZZ_NETWORK_H_
