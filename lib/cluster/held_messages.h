// HeldMessages: what a node has to say, but not before it is durable.
//
// A vote, an acknowledgement and a word as leader rest on what the disk will still hold after a
// crash. So each message names the log write and the hard-state write that it waits for, and is
// held here until both, and all before them, are durable. The two kinds of writes may reach the
// disk in either order; a message that waits for both waits for both.
#ifndef BANDB_CLUSTER_HELD_MESSAGES_H_
#define BANDB_CLUSTER_HELD_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "raft/output.h"
#include "raft/types/message.h"

namespace bandb::cluster {

// Thread safety: one thread at a time. Memory: what the core has given out and the disk has not
// yet covered, which the core's options bound.
class HeldMessages {
 public:
  void Hold(raft::Outgoing message);

  // All writes of the kind up to this number are durable.
  void LogDurable(uint64_t write);
  void HardStateDurable(uint64_t write);

  // Appends to `*ready` the messages that wait for nothing any more, in the order in which they
  // were held. The others keep their order.
  void TakeReady(std::vector<raft::Message>* ready);
  // Forgets all: a write failed, and nothing of it may be said.
  void Drop() { held_.clear(); }

  size_t size() const { return held_.size(); }

 private:
  bool Ready(const raft::Outgoing& message) const;

  std::vector<raft::Outgoing> held_;
  uint64_t durable_log_write_ = 0;
  uint64_t durable_hard_state_write_ = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_HELD_MESSAGES_H_
