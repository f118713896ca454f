// What a run is made of, all of it drawn from the seed: topology, timeouts, sizes, fault rates,
// workload.
//
// THE FAULT MODEL. What must be survived, in any combination, without a wrong answer or a lost
// acknowledgement:
//
// * Network. A message may be lost, duplicated, overtaken, delayed by many election timeouts, or
//   arrive after its sender died. Links may be slow, cut, or cut in one direction only. Messages
//   are not altered: the transport checks them.
// * Disk. Writes of one node reach its disk in the order in which they were issued; each becomes
//   durable at some later time, whatever was sent or received meanwhile. A crash keeps any prefix
//   of what was not yet durable, cut anywhere between two records. A write may fail: the process
//   must not trust that disk again before it has reopened it. A disk may hang for a long time. It
//   may be nearly full, of which it warns, and it may have no space at all, so that entries cannot
//   be written and checkpoints do not get done; what little term and vote need is reserved.
// * Rot. An entry that was reported durable may be found damaged at a restart. Then the node must
//   not start, and say why; its disk counts as lost from then on, and it joins again under another
//   id. Everything else that was reported durable stays. Entries do not rot under a running
//   process, and reads of intact ones succeed.
// * Processes. Crash at any instant, also between two of the steps that follow from one event;
//   restart at any later time; pause (SIGSTOP) for any time, the disk going on meanwhile.
// * Clocks. Monotonic on each node and unrelated between nodes. They drift: by up to 1 % where
//   leases are in use, up to 25 % elsewhere. Without leases they may jump forward at any time, by
//   up to a minute; under leases they do not (a lease is a bet on the clock, see the promises).
// * Loss of disks. A node that was wiped never comes back under its id. It joins again under a new
//   one, as a learner. No more members are wiped than leave a majority of every configuration in
//   use unharmed.
// * Loss of a quorum. All disks but a few may be lost for good. An operator then makes a new group
//   of the rest (raft/restart.h). What no survivor has is lost, and everything else must be there;
//   nothing that a survivor knew to be committed may be lost. Some that were believed lost may come
//   back with their disks intact, at any later time, as long as they are no quorum of any
//   configuration that they know: they must not elect a leader, acknowledge anything, serve a read,
//   or hear anything of the new group, nor it of them. What was on its way to them when the quorum
//   was lost is lost, too. (If they were a quorum they would go on as the old cluster, side by side
//   with the new one; nobody can forbid it to them, and the operator who recovers a quorum answers for
//   that.)
//
// What is required: safety always (invariants.h), answers that are linearizable, and, once a
// majority of the members is healed and left alone, progress within a bounded time, the rest of the
// cluster staying as broken as it was.
#ifndef BANDB_TEST_SIM_KNOBS_H_
#define BANDB_TEST_SIM_KNOBS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "sim/scheduler.h"

namespace bandb::sim {

enum class FaultKind : uint8_t {
  kCrash,         // one node, restarted later
  kCrashMany,     // several or all at the same instant
  kCrashMidStep,  // one node, between two of the actions that follow from one event
  kPause,         // one node stands still
  kPartition,     // two halves
  kIsolate,       // one node, often the leader, from all others
  kOneWay,        // some directed links
  kBridge,        // two halves that share one node
  kSlowLinks,     // some links, for a while
  kLossBurst,     // a bad time for all links
  kClockJump,     // one node, forward
  kClockDrift,    // one node changes its rate
  kDiskHang,      // one node's disk completes nothing for a while
  kDiskFail,      // one write of one node fails
  kDiskFull,      // one node's disk takes nothing more for a while
  kWipe,          // one node loses its disk for good and joins again
  kDiskNoSpace,   // one node's disk has not a byte left for a while: every write of entries fails
  kRot,           // an entry that was durable is found damaged at the next start: that disk is as good as lost
  kRotate,        // the leader's quorum changes, while votes are long under way
  kStrand,        // the leader and some voters are cut off, and their disks hang
  kLostQuorum,    // most disks are lost at once, and the rest is made a new group (once, instead of the healing)
};
inline constexpr size_t kFaultKinds = 21;
const char* Name(FaultKind kind);

struct NetworkKnobs {
  Nanos delay_min = 0;
  Nanos delay_mean = 0;
  double loss = 0;
  double duplicate = 0;
  // Some messages take very long, so that they arrive in another term.
  double straggler = 0;
  Nanos straggler_mean = 0;
  // Messages of one link keep their order, as on one connection.
  bool in_order = false;
};

struct DiskKnobs {
  Nanos write_min = 0;
  Nanos write_mean = 0;
  // Now and then a write takes this long.
  double stall = 0;
  Nanos stall_mean = 0;
  Nanos read_mean = 0;
  // The log refuses entries beyond this many bytes; 0: no limit.
  uint64_t capacity_bytes = 0;
};

struct ClockKnobs {
  double drift_max = 0;
  Nanos jump_max = 0;
};

// The sizes and times that the core is configured with.
struct CoreKnobs {
  Nanos election_timeout = 0;
  Nanos heartbeat_interval = 0;
  uint64_t append_bytes_max = 0;
  uint64_t inflight_bytes_max = 0;
  uint32_t inflight_messages_max = 0;
  uint64_t uncommitted_bytes_max = 0;
  uint64_t commit_batch_bytes_max = 0;
  uint64_t cached_bytes_max = 0;
  uint64_t promotion_lag = 0;
  bool leases = false;
};

struct StateMachineKnobs {
  // A checkpoint is taken after about this many applied entries.
  uint32_t checkpoint_every = 0;
  // So many entries before the checkpoint stay in the log for followers that are behind.
  uint32_t log_retained = 0;
  Nanos apply_mean = 0;
  Nanos checkpoint_mean = 0;
};

struct WorkloadKnobs {
  uint32_t clients = 0;
  uint32_t keys = 0;
  uint32_t value_bytes_max = 0;
  uint32_t reads_percent = 0;
  uint32_t cas_percent = 0;
  uint32_t delete_percent = 0;
  // Of the reads, those that go to a random node instead of the leader.
  uint32_t follower_reads_percent = 0;
  Nanos think_mean = 0;
  Nanos timeout = 0;
  // Now and then a client sends many operations at once.
  uint32_t burst_max = 1;
};

struct NemesisKnobs {
  Nanos fault_interval_mean = 0;
  Nanos fault_duration_mean = 0;
  // Relative weights; a kind of weight 0 does not occur in this run.
  std::array<uint32_t, kFaultKinds> weights = {};
  // Changes of membership and transfers of leadership; 0: never.
  Nanos membership_interval_mean = 0;
  Nanos transfer_interval_mean = 0;
  // Faults that are aimed, one after another (nemesis_aimed.cc); 0: never.
  Nanos aimed_interval_mean = 0;
  // Of a node that installs a snapshot, and of a leader that enters a joint configuration or sends
  // a snapshot.
  double install_crash_chance = 0;
  double joint_crash_chance = 0;
  uint32_t wipes_max = 0;
  // At the end too many disks are lost for the group to go on.
  bool lose_quorum = false;
  // Chance for each step of a node that a planned mid-step crash strikes there.
  double mid_step_chance = 0.02;
};

struct Knobs {
  uint64_t seed = 0;
  uint32_t voters = 3;
  uint32_t learners = 0;
  // The virtual time and the number of client operations after which the healing begins.
  Nanos duration = 0;
  uint32_t operations_min = 2000;
  uint32_t faults_min = 10;
  NetworkKnobs network;
  DiskKnobs disk;
  ClockKnobs clock;
  CoreKnobs core;
  StateMachineKnobs machine;
  WorkloadKnobs workload;
  NemesisKnobs nemesis;
};

// The knobs of a seed.
Knobs DrawKnobs(uint64_t seed);
// One line.
std::string Describe(const Knobs& knobs);

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_KNOBS_H_
