// Network: the simulated transport. The fault model is in knobs.h.
//
// A message that is sent gets a time of arrival; whether its link is cut is asked when it leaves
// and again when it arrives. Without `in_order` each message travels alone, so they overtake one
// another.
#ifndef BANDB_TEST_SIM_NETWORK_H_
#define BANDB_TEST_SIM_NETWORK_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>

#include "base/random.h"
#include "sim/knobs.h"
#include "sim/scheduler.h"
#include "sim/sim_disk.h"
#include "sim/trace.h"

namespace bandb::sim {

// Node ids of a run are below this: ids are never used twice, and wiped nodes take new ones.
inline constexpr raft::NodeId kNodeIdLimit = 64;

std::string Describe(const raft::Message& message);

class Network {
 public:
  class Receiver {
   public:
    virtual ~Receiver() = default;
    virtual void OnMessage(raft::Message message) = 0;
    // A whole snapshot has arrived, verified. True if it was taken.
    virtual bool OnSnapshot(raft::Message message, Checkpoint checkpoint) = 0;
  };

  struct Counters {
    uint64_t sent = 0;
    uint64_t delivered = 0;
    uint64_t lost = 0;
    uint64_t cut = 0;
    uint64_t duplicated = 0;
    uint64_t straggling = 0;
    uint64_t snapshots = 0;
  };

  Network(Scheduler* scheduler, Trace* trace, const NetworkKnobs& knobs, uint64_t seed);

  // What gets what is sent to `id`; nullptr for nobody. Borrowed.
  void Attach(raft::NodeId id, Receiver* receiver) { receivers_[id] = receiver; }

  void Send(const raft::Message& message);
  // Streams a snapshot; `done` hears whether it was handed over, in a later turn.
  void SendSnapshot(const raft::Message& message, const Checkpoint& checkpoint, std::function<void(bool ok)> done);

  // Faults. Cuts are counted, so that overlapping ones do not mend each other.
  void Cut(raft::NodeId from, raft::NodeId to) { ++cuts_[from][to]; }
  void Mend(raft::NodeId from, raft::NodeId to);
  void MendAll();
  bool IsCut(raft::NodeId from, raft::NodeId to) const { return cuts_[from][to] > 0; }
  // All that is on its way to `to` is lost.
  void LoseUnderWay(raft::NodeId to) { ++connections_[to]; }
  // Adds to the delay of a link; 0 ends it.
  void Slow(raft::NodeId from, raft::NodeId to, Nanos extra) { extra_delay_[from][to] = extra; }
  // More loss than the knobs say, everywhere.
  void SetExtraLoss(double loss) { extra_loss_ = loss; }
  // No more loss, duplication, stragglers or slowness. Cuts stay.
  void Heal();

  const Counters& counters() const { return counters_; }

 private:
  Nanos Delay(raft::NodeId from, raft::NodeId to);
  void Deliver(const raft::Message& message, Nanos arrival);

  Scheduler* const scheduler_;
  Trace* const trace_;
  NetworkKnobs knobs_;
  base::Random random_;
  std::array<Receiver*, kNodeIdLimit> receivers_ = {};
  std::array<std::array<uint32_t, kNodeIdLimit>, kNodeIdLimit> cuts_ = {};
  std::array<std::array<Nanos, kNodeIdLimit>, kNodeIdLimit> extra_delay_ = {};
  std::array<std::array<Nanos, kNodeIdLimit>, kNodeIdLimit> last_arrival_ = {};
  // By receiver: what was sent through an earlier connection does not arrive.
  std::array<uint64_t, kNodeIdLimit> connections_ = {};
  double extra_loss_ = 0;
  Counters counters_;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_NETWORK_H_
