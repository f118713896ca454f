// Transport: how the nodes of a cluster reach each other.
//
// A seam. The simulator's own (network.h) carries structs over a faulty virtual network; the
// production transport over simulated byte streams can take its place.
#ifndef BANDB_TEST_SIM_TRANSPORT_H_
#define BANDB_TEST_SIM_TRANSPORT_H_

#include <functional>

#include "raft/types/ids.h"
#include "raft/types/message.h"
#include "sim/log_device.h"

namespace bandb::sim {

class Transport {
 public:
  class Receiver {
   public:
    virtual ~Receiver() = default;
    virtual void OnMessage(raft::Message message) = 0;
    // A whole snapshot has arrived, verified. True if it was taken.
    virtual bool OnSnapshot(raft::Message message, Checkpoint checkpoint) = 0;
  };

  virtual ~Transport() = default;

  virtual void Send(const raft::Message& message) = 0;
  // Streams a snapshot; `done` hears whether it was handed over, in a later turn.
  virtual void SendSnapshot(const raft::Message& message, const Checkpoint& checkpoint,
                            std::function<void(bool ok)> done) = 0;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_TRANSPORT_H_
