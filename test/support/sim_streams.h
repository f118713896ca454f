// The byte-stream seam in memory: many loops on one thread, with a seed for the order of things and
// virtual time.
//
// Streams delay what is written (keeping its order), give it out in other pieces than it was
// written in, take only part of a write, hold at most a window, and can be broken. The same seed
// and the same calls give the same run.
#ifndef BANDB_TEST_SUPPORT_SIM_STREAMS_H_
#define BANDB_TEST_SUPPORT_SIM_STREAMS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/random.h"

namespace bandb::test {

class SimLoop;
class SimStream;
class SimListener;
struct SimLink;

struct SimNetworkOptions {
  uint64_t seed = 1;
  int64_t delay_nanos_min = 1000;
  int64_t delay_nanos_max = 200000;
  bool split = true;              // reads and writes of random parts
  size_t window_bytes = 1 << 18;  // that one direction of a stream holds
};

// Thread safety: one thread. Lifetime: must outlive its loops, which must outlive their streams.
class SimNetwork {
 public:
  explicit SimNetwork(const SimNetworkOptions& options);
  ~SimNetwork();

  // `host`: the machine that the loop is on; those that share one go through everything together.
  std::unique_ptr<base::EventLoop> MakeLoop(int host = 0);
  // Runs one turn of a loop that has something to do, or lets time pass until one has. False:
  // nothing will ever happen.
  bool Step();
  // Steps until `done`; false if nothing is left to do or this much virtual time has passed before.
  bool RunUntil(const std::function<bool()>& done, int64_t nanos_max = int64_t{60} * 1000000000);
  // Lets this much time pass, running what is due.
  void RunFor(int64_t nanos);
  // Breaks every connection, as a network that goes down.
  void BreakAll();
  // Nothing arrives at `to` that comes from `from`, until this is called with false: then what was
  // said meanwhile does.
  void Cut(const base::EventLoop* from, const base::EventLoop* to, bool cut);
  // The loop does nothing, as a process that was stopped, until this is called with false.
  void Hold(const base::EventLoop* loop, bool held);
  // The same between machines, whatever loops they have or will have.
  void CutHosts(int from, int to, bool cut);
  // What goes from one machine to another takes so much longer.
  void SlowHosts(int from, int to, int64_t nanos) { slow_[{from, to}] = nanos; }
  // By the clock of the machine so much has passed since a turn of a loop on it began; timers run
  // from then.
  void SetTurnNanos(int host, int64_t nanos) { turn_nanos_[host] = nanos; }
  // No machine is cut off or slow any more.
  void HealHosts();
  // The process of the loop dies, in this turn: what it has written in it was never sent, it writes
  // nothing more, and its peers see its streams end or break.
  void Kill(const base::EventLoop* loop);
  // Accept answers kResourceExhausted this often.
  void FailAccepts(int count) { failing_accepts_ = count; }

  int64_t now_nanos() const { return now_nanos_; }
  // Whose loop had the last step; -1: time passed.
  int last_host() const { return last_host_; }
  base::Clock* clock() { return &clock_; }

 private:
  friend class SimLoop;
  friend class SimStream;
  friend class SimListener;

  class VirtualClock final : public base::Clock {
   public:
    explicit VirtualClock(SimNetwork* network) : network_(network) {}
    int64_t MonotonicNanos() override { return network_->now_nanos_; }
    int64_t WallMillis() override { return 1700000000000 + network_->now_nanos_ / 1000000; }

   private:
    SimNetwork* const network_;
  };

  void Forget(const base::EventLoop* loop);
  // Something becomes visible `delay` from now: after everything before it on its way, if
  // `not_before` says so.
  int64_t Schedule(int64_t not_before, int64_t extra_nanos = 0);
  // Towards the given side of a link.
  bool IsCut(const SimLink& link, int side) const;
  int64_t SlowNanos(const SimLink& link, int side) const;
  int64_t TurnNanos(int host) const;

  const SimNetworkOptions options_;
  base::Random random_;
  VirtualClock clock_;
  int64_t now_nanos_ = 0;
  std::set<std::pair<const base::EventLoop*, const base::EventLoop*>> cuts_;
  std::set<const base::EventLoop*> held_;
  std::set<std::pair<int, int>> host_cuts_;
  std::map<std::pair<int, int>, int64_t> slow_;
  std::map<int, int64_t> turn_nanos_;
  std::set<int64_t> times_;  // at which something becomes due
  std::vector<SimLoop*> loops_;
  std::map<std::string, SimListener*> listeners_;
  std::vector<std::weak_ptr<SimLink>> links_;
  int next_port_ = 1;
  int last_host_ = -1;
  int failing_accepts_ = 0;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_SIM_STREAMS_H_
