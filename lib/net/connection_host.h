// What the connections of one loop share.
#ifndef BANDB_NET_CONNECTION_HOST_H_
#define BANDB_NET_CONNECTION_HOST_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "base/event_loop.h"
#include "net/counters.h"
#include "net/limits.h"
#include "net/output_queue.h"
#include "net/protocol.h"

namespace bandb::net {

class Connection;
class Dispatcher;

// Thread safety: the loop's thread. Lifetime: borrows everything it is given.
class ConnectionHost {
 public:
  // Bytes of one read, and of a half-read frame that is put in front of the next.
  static constexpr size_t kReadBytes = 64 << 10;
  static constexpr size_t kSmallRestBytes = 16 << 10;

  ConnectionHost(base::EventLoop* loop, const Protocol* protocol, const Limits& limits, Quota* quota,
                 Counters* counters)
      : loop(loop), protocol(protocol), limits(limits), quota(quota), counters(counters) {}

  // To be flushed at the end of the turn, resumed there, and destroyed there.
  void Touch(Connection* connection);
  void MarkResumable(Connection* connection);

  // Memory is so short that connections which hold much are not read.
  bool MemoryIsTight() const {
    return quota->memory_bytes.load(std::memory_order_relaxed) > limits.memory_bytes_max / 4 * 3;
  }

  base::EventLoop* const loop;
  const Protocol* const protocol;
  const Limits limits;
  Quota* const quota;
  Counters* const counters;
  Dispatcher* dispatcher = nullptr;

  BlockPool pool;
  // Idle connections own no buffer: all read into this one, and keep what they cannot use yet.
  const std::unique_ptr<char[]> read_buffer = std::make_unique<char[]>(kReadBytes + kSmallRestBytes);
  std::vector<Connection*> touched;
  std::vector<Connection*> resumable;
  std::vector<Connection*> retired;
};

}  // namespace bandb::net

#endif  // BANDB_NET_CONNECTION_HOST_H_
