// What the fuzz targets over connections share: the input as a program, and a network that runs on
// one thread.
#ifndef BANDB_TEST_FUZZ_FUZZ_NETWORK_H_
#define BANDB_TEST_FUZZ_FUZZ_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "net/epoll_loop.h"
#include "support/manual_clock.h"
#include "support/sim_streams.h"

namespace bandb::test {

// The input, byte by byte; zeros after its end.
class Program {
 public:
  explicit Program(std::string_view bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte;
  }
  std::string_view Take(size_t count) {
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view bytes_;
};

// Loops of one kind, run on this thread until nothing happens any more.
class Network {
 public:
  Network(bool sockets, uint64_t seed) : sockets_(sockets), sim_({.seed = seed}) {}

  std::unique_ptr<base::EventLoop> MakeLoop() {
    if (!sockets_) return sim_.MakeLoop();
    auto loop = net::EpollLoop::Create(&clock_);
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
        for (net::EpollLoop* loop : loops_) loop->RunOnce(0);
      }
    }
  }

 private:
  const bool sockets_;
  SimNetwork sim_;
  ManualClock clock_;
  std::vector<net::EpollLoop*> loops_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_FUZZ_FUZZ_NETWORK_H_
