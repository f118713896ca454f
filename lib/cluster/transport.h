// Transport: how a node reaches the other members. A seam: connections in what ships, a network of
// structs under virtual time in the simulator.
#ifndef BANDB_CLUSTER_TRANSPORT_H_
#define BANDB_CLUSTER_TRANSPORT_H_

#include "raft/output.h"
#include "raft/types/message.h"

namespace bandb::cluster {

// Thread safety: one thread at a time, the node's.
class Transport {
 public:
  virtual ~Transport() = default;

  // May be lost, delayed, repeated or overtaken.
  virtual void Send(const raft::Message& message) = 0;
  // Streams a snapshot, headed by the message. Ends with SnapshotSent: `ok` only once the receiver
  // has taken all of it.
  virtual void SendSnapshot(const raft::SendSnapshot& send) = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_TRANSPORT_H_
