// What the connections of one loop share.
#ifndef BANDB_NET_CONNECTION_HOST_H_
#define BANDB_NET_CONNECTION_HOST_H_

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "base/assert.h"
#include "base/event_loop.h"
#include "net/counters.h"
#include "net/limits.h"
#include "net/output_queue.h"
#include "net/quota.h"

namespace bandb::net {

class Connection;
class Dispatcher;
class FrameServerObserver;

// Thread safety: the loop's thread. Lifetime: borrows everything it is given.
class ConnectionHost {
 public:
  // Bytes of one read, and of a half-read frame that is put before the next.
  static constexpr size_t kReadBytes = 64 << 10;
  static constexpr size_t kSmallRestBytes = 16 << 10;

  ConnectionHost(base::EventLoop* loop, const ServerLimits& limits, Quota* quota, Counters* counters)
      : loop(loop), limits(limits), quota(quota), counters(counters) {}

  // To be flushed at the end of the turn, resumed there, and destroyed there.
  void Touch(Connection* connection);
  void MarkResumable(Connection* connection);

  // See Quota.
  bool MemoryIsTight() const { return MemoryBytes() > limits.memory_bytes_max / 4 * 3; }
  bool MemoryIsFull() const { return MemoryBytes() >= limits.memory_bytes_max; }
  // What a connection may hold while memory is tight: its share of the last quarter.
  size_t TightShareBytes() const {
    return std::clamp<size_t>(static_cast<size_t>(limits.memory_bytes_max / 4 / Connections()), 1024, kReadBytes);
  }
  // What a connection may hold in any case: its share of all.
  int64_t FairShareBytes() const { return limits.memory_bytes_max / Connections(); }

  // What the requests of a connection that is gone hold until they are done.
  void AddOrphan(size_t bytes) {
    orphan_bytes_ += bytes;
    quota->AddMemory(static_cast<int64_t>(bytes));
  }
  void DropOrphan(size_t bytes) {
    BANDB_ASSERT(bytes <= orphan_bytes_);
    orphan_bytes_ -= bytes;
    quota->AddMemory(-static_cast<int64_t>(bytes));
  }

  base::EventLoop* const loop;
  const ServerLimits limits;
  Quota* const quota;
  Counters* const counters;
  Dispatcher* dispatcher = nullptr;
  FrameServerObserver* observer = nullptr;

  BlockPool pool;
  // Idle connections own no buffer: all read into this one, and keep what they cannot use yet.
  const std::unique_ptr<char[]> read_buffer = std::make_unique<char[]>(kReadBytes + kSmallRestBytes);
  std::vector<Connection*> touched;
  std::vector<Connection*> resumable;
  std::vector<Connection*> retired;
  // Those at a closed gate, in the order in which they came.
  std::deque<Connection*> gated;

 private:
  int64_t MemoryBytes() const { return quota->memory_bytes.load(std::memory_order_relaxed); }
  int64_t Connections() const { return std::max<int64_t>(1, quota->connections.load(std::memory_order_relaxed)); }

  size_t orphan_bytes_ = 0;
};

}  // namespace bandb::net

#endif  // BANDB_NET_CONNECTION_HOST_H_
