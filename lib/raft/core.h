// Core: the Raft consensus algorithm (Ongaro, 2014) as a pure state machine.
//
// No I/O, no threads, no clock and no randomness of its own. Events go in, with the time; what is
// to be done comes out. The same options, restart and events give the same outputs, bit for bit.
//
//   auto core = raft::Core::Create(options, restart, now);      // restart: what the disk holds
//   for (;;) {
//     core->Step(now, event);                                   // as many as have arrived
//     core->TakeOutput(&output);                                // one output for all of them
//     ... do what it says ...
//   }
//
// Taking one output for all events that have arrived is what makes batches: the proposals of a turn
// become one log write and one message to each peer, and nothing ever waits for more to come.
//
// THE CALLER'S DUTIES, for each output, in this order:
//
//  1. `role`, `configuration`, `transfer`, `faults`: take note. A node that ceased to lead does not know the outcome of
//     its proposals. A proposal accepted as (term, index) is done when the entry of that index is applied and has that
//     term; it is not done, for certain, when an entry of another term is applied there; until then nobody knows.
//  2. `hard_state` and `log`: begin to write them. Writes of the same kind must reach the disk in the order they were
//     given. Do not wait. (Log entries must have their bytes reserved on disk before step 3, so that a full disk is
//     found out before an entry is sent.) When durable, give HardStatePersisted or LogPersisted; a later one covers all
//     earlier ones. If any of it fails: PersistFailed, nothing is retried, and the node is restarted.
//     The two kinds may reach the disk in either order. Entries of a term survive without the hard state of that term:
//     a restart that finds a log of a later term than its hard state keeps the log, and gives both to the core as they
//     are.
//  3. `messages`: send those that are immediate(), in order. Keep the others; send each once its log write and its
//     hard-state write are durable. On PersistFailed or at the end of the process, drop what is kept. Any message may
//     be lost, duplicated, delayed or reordered: that costs time, never correctness.
//  4. `install`: replace the state machine by the snapshot that was received, in the order: data, then the record of
//     its (index, term, configuration), durable, then the log is emptied after it, durable. All earlier log writes are
//     void. Then give SnapshotInstalled. Until then no `committed` entries and no log writes come out.
//  5. `committed`: apply in order; give Applied. Entries that belong to the core (EntryKind other than kData) take a
//     place in the order and nothing else.
//  6. `reads`: serve them, or let the client ask again.
//  7. `send_snapshots`, `fetches`, `take_snapshot`, `compact_to`: when convenient; answer the first two always, and
//     with `ok = false` if it could not be done. A snapshot is reported with SnapshotTaken when it is durable. Never
//     delete log entries above `compact_to`.
//  8. `next_deadline`: give Tick then, unless another output has come by with another deadline.
//
// After a restart of the process, a new Core is created from what the disk holds. What was sent is
// never taken back.
//
// Thread safety: one thread at a time. Memory: bounded by the options: uncommitted_bytes_max,
// cached_bytes_max and the messages of one turn.
#ifndef BANDB_RAFT_CORE_H_
#define BANDB_RAFT_CORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/event.h"
#include "raft/inspect.h"
#include "raft/options.h"
#include "raft/output.h"
#include "raft/restart.h"
#include "raft/step_result.h"
#include "raft/types/configuration.h"
#include "raft/types/ids.h"

namespace bandb::raft {

class CoreState;

class Core {
 public:
  // Starts a core on what the disk holds. Nothing is on its way to the disk.
  //
  // Errors: kInvalidArgument (options), kDataLoss (the parts of `restart` contradict each other).
  static absl::StatusOr<std::unique_ptr<Core>> Create(const Options& options, const Restart& restart, Nanos now);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Takes one event at time `now`. Time that goes back is taken for standing still.
  StepResult Step(Nanos now, Event event);

  // Replaces `*output` by all that is to be done since the last call. Lifetime: owned by the
  // caller, which may reuse it.
  void TakeOutput(Output* output);

  // Whether a lease read begun by this core may be answered at time `now`. To be asked after the
  // data was read.
  bool LeaseValid(Nanos now) const;

  // The description of a snapshot of the state machine at `index`. Empty if the core does not know
  // the term and configuration there: index below the floor or above the applied index.
  std::optional<SnapshotMeta> SnapshotAt(Index index) const;

  // The following are cheap and change nothing.
  Inspect inspect() const;
  // The configuration in force: the latest one in the log, committed or not.
  const Configuration& configuration() const;
  // The latest one that is committed.
  const Configuration& committed_configuration() const;
  // The term of the entry at `index`; empty below the floor and beyond the end.
  std::optional<Term> TermAt(Index index) const;
  // How the leader sees its peers, ordered by id; empty on other nodes.
  std::vector<PeerView> Peers() const;
  // OK, or kInternal naming an invariant of this core that does not hold.
  absl::Status CheckInvariants() const;

 private:
  explicit Core(std::unique_ptr<CoreState> state);

  std::unique_ptr<CoreState> state_;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_CORE_H_
