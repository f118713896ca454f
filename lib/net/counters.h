// What a frame server counts.
#ifndef BANDB_NET_COUNTERS_H_
#define BANDB_NET_COUNTERS_H_

#include <atomic>
#include <cstdint>

namespace bandb::net {

// Advanced by one thread, read by any: an atomic without the cost of a locked instruction.
class Counter {
 public:
  void Add(uint64_t count = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  void Subtract(uint64_t count) { Add(~count + 1); }
  uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct Counters {
  Counter connections_accepted;
  Counter connections_refused;
  Counter connections_evicted;
  Counter connections_timed_out;
  Counter bytes_read;
  Counter bytes_written;
  Counter frames_read;
  Counter replies;
  Counter error_replies;
  Counter malformed_frames;
  Counter overloaded;
  Counter read_calls;
  Counter write_calls;
  Counter turns;
  Counter pauses;
  Counter hook_failures;
  Counter hook_drops;
  Counter hook_rejections;
  Counter in_flight;
};

}  // namespace bandb::net

#endif  // BANDB_NET_COUNTERS_H_
