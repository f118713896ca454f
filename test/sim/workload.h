// Workload: the clients. Each one sends an operation (or a burst of them), waits for the answer or
// for its patience to end, thinks, and goes on; and writes down what it saw.
//
// A client believes an answer, and nothing else: a refusal is "not done", silence after a write is
// "unknown". It never sends an operation twice.
#ifndef BANDB_TEST_SIM_WORKLOAD_H_
#define BANDB_TEST_SIM_WORKLOAD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/random.h"
#include "sim/history.h"
#include "sim/knobs.h"
#include "sim/node.h"
#include "sim/scheduler.h"
#include "sim/trace.h"

namespace bandb::sim {

class Workload {
 public:
  struct Counters {
    uint64_t done = 0;
    uint64_t not_done = 0;
    uint64_t unknown = 0;
    uint64_t total() const { return done + not_done + unknown; }
  };
  // The nodes that clients know the addresses of, by id.
  using Nodes = std::map<raft::NodeId, std::unique_ptr<Node>>;

  Workload(Scheduler* scheduler, Trace* trace, const Knobs& knobs, const Nodes* nodes, uint64_t seed);

  void Start();
  // No new operations; those under way end by themselves.
  void Stop() { stopped_ = true; }
  // From now on clients ask only these nodes, without much thinking, and count as `done` what is
  // done since.
  void Concentrate(std::vector<raft::NodeId> nodes);

  // Ends what is still open as unknown.
  std::vector<Operation> TakeHistory();
  // The history so far. The next one begins with a state, and with the writes that are open now and
  // may take effect yet.
  std::vector<Operation> NewEpoch(const std::map<uint64_t, uint64_t>& state);
  const Counters& counters() const { return counters_; }
  // Since Concentrate(): writes and reads done.
  uint64_t writes_done() const { return writes_done_; }
  uint64_t reads_done() const { return reads_done_; }

 private:
  struct Client {
    raft::NodeId target = raft::kNoNode;
    uint32_t open = 0;
  };

  void Think(uint32_t client);
  void Burst(uint32_t client);
  void Send(uint32_t client);
  Operation Draw(uint32_t client);
  raft::NodeId Choose(uint32_t client, const Operation& op);
  // The end of an operation, unless it has ended already.
  void End(uint64_t serial, Outcome outcome, uint64_t found);
  Nanos Trip();

  Scheduler* const scheduler_;
  Trace* const trace_;
  const Knobs& knobs_;
  const Nodes* const nodes_;
  base::Random random_;
  std::vector<Client> clients_;
  std::vector<raft::NodeId> concentrated_;
  bool stopped_ = false;
  Nanos think_mean_;
  // Open operations by a number of their own; what a late answer refers to is looked up.
  std::map<uint64_t, Operation> open_;
  std::vector<Operation> history_;
  // What clients last knew of each key: what conditional writes expect.
  std::vector<uint64_t> last_seen_;
  uint64_t next_serial_ = 1;
  uint64_t clock_ = 0;
  Counters counters_;
  uint64_t writes_done_ = 0;
  uint64_t reads_done_ = 0;
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_WORKLOAD_H_
