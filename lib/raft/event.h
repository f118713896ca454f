// Event: everything that can happen to a core. Nothing else does.
#ifndef BANDB_RAFT_EVENT_H_
#define BANDB_RAFT_EVENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "raft/types/entry.h"
#include "raft/types/ids.h"
#include "raft/types/message.h"

namespace bandb::raft {

// Only time has passed. Due at Output::next_deadline at the latest; harmless at any other time.
struct Tick {};

// A message from a peer, as it came. For kSnapshot: only after the data has arrived and was
// verified.
struct Receive {
  Message message;
};

// All log writes up to the one numbered `write` are durable; `term` and `index` as in that write. A
// report of a write that the core has since given up is ignored.
struct LogPersisted {
  uint64_t write = 0;
  Term term = 0;
  Index index = 0;
};

// All hard-state writes up to the one numbered `write` are durable.
struct HardStatePersisted {
  uint64_t write = 0;
};

// A write of the log or of the hard state failed, or it is unknown whether it did. The core gives
// up leadership and takes part in nothing more: what the disk holds is known only to a restart.
struct PersistFailed {};

// All entries up to `index` are applied to the state machine, in memory at least.
struct Applied {
  Index index = 0;
};

// The state machine is durable up to `index`, at most the applied index; `id` names the snapshot
// that can be sent, for SnapshotMeta::id. Entries up to there are no longer needed to restart this
// node.
struct SnapshotTaken {
  Index index = 0;
  uint64_t id = 0;
};

// The end of what Output::install asked for. If `ok`, the state machine is durable at (index, term)
// and the log on disk is empty after it, in this order (rule R10 of the log). If not, nothing was
// changed.
struct SnapshotInstalled {
  Index index = 0;
  Term term = 0;
  bool ok = false;
};

// The end of a stream that Output::send_snapshots asked for: all data was handed over and taken, or
// not.
struct SnapshotSent {
  NodeId to = kNoNode;
  uint64_t session = 0;
  bool ok = false;
};

// The answer to Output::fetches: entries from the first index asked for, in order, at least one;
// none if `ok` is false. `lost`: and never again, since the first is damaged or gone, or was
// refused for long; a peer that needs it is given a snapshot.
struct EntriesFetched {
  uint64_t fetch = 0;
  bool ok = false;
  Entries entries;
  bool lost = false;
};

// Append this to the log, if this node leads. Errors: kFailedPrecondition (not the leader; nothing
// was appended), kUnavailable (leadership is being transferred), kResourceExhausted (too much is
// uncommitted, or the log is full).
struct Propose {
  Payload payload;
};

// A linearizable read. Answered through Output::reads with this `id`, or refused at once. Errors:
// kUnavailable (no leader is known), kResourceExhausted (too many wait).
struct Read {
  uint64_t id = 0;
};

enum class ChangeKind : uint8_t {
  kAddLearner = 0,  // receives the log, never votes
  kAddVoter = 1,    // a learner first, promoted by the leader once it has caught up
  kPromote = 2,     // of a learner, at once; refused unless it has caught up
  kDemote = 3,      // of a voter to a learner
  kRemove = 4,      // of a voter or learner, the leader included
  kReplace = 5,     // `node` comes as a learner, catches up and takes the place of the voter `other`, in one step
  kSetAddress = 6,  // of a member
};
struct Change {
  ChangeKind kind = ChangeKind::kAddLearner;
  NodeId node = kNoNode;
  NodeId other = kNoNode;
  std::string address;
};

// Change who belongs to the group. Several changes take effect together. If `expected_version` is
// set, only if that is the version of the configuration. Errors: kFailedPrecondition (not the
// leader; another change is under way; the leader has not yet committed an entry of its term;
// learner not caught up), kAborted (the version is another), kNotFound and kAlreadyExists (the
// member), kInvalidArgument (the result would be no valid configuration).
struct ChangeMembership {
  std::vector<Change> changes;
  std::optional<uint64_t> expected_version;
};

// Hand leadership to `to`, or to the best voter if that is kNoNode. The end is reported by
// Output::transfer. Errors: kFailedPrecondition (not the leader; already under way; nobody fits;
// the voter has not answered for an election timeout, is being given a snapshot, or its log is
// nearly full), kNotFound (no voter of this id).
struct TransferLeadership {
  NodeId to = kNoNode;
};

// The transport could not deliver to `peer`. Saves pipelining into the void; never needed for
// progress.
struct PeerUnreachable {
  NodeId peer = kNoNode;
};

// The log's disk has room again, or is nearly full. While it is, no proposals are accepted and no
// entries taken from a leader, which is told; what commits, reads and elections need is still
// written. A leader hands over to a voter with room, if there is one. If it `lacks_space`, a
// snapshot is asked for, and none of the log is retained for others, so that a peer that is being
// given a snapshot may need another; if the snapshot fails, giving the event again asks for
// another. If not, say for want of descriptors, that would help nobody, and what is retained stays.
struct LogCapacity {
  bool nearly_full = false;
  bool lacks_space = true;
};

// Stand for election now, through a pre-vote, without waiting for the timeout. Errors:
// kFailedPrecondition (no voter; the leader already; not fit to lead).
struct Campaign {};

using Event = std::variant<Tick, Receive, LogPersisted, HardStatePersisted, PersistFailed, Applied, SnapshotTaken,
                           SnapshotInstalled, SnapshotSent, EntriesFetched, Propose, Read, ChangeMembership,
                           TransferLeadership, PeerUnreachable, LogCapacity, Campaign>;

}  // namespace bandb::raft

#endif  // BANDB_RAFT_EVENT_H_
