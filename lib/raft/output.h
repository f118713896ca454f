// Output: everything that a core wants done. What to do with it, in which order, is said in core.h.
#ifndef BANDB_RAFT_OUTPUT_H_
#define BANDB_RAFT_OUTPUT_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "raft/types/durable_state.h"
#include "raft/types/entry.h"
#include "raft/types/ids.h"
#include "raft/types/message.h"

namespace bandb::raft {

enum class Role : uint8_t { kFollower = 0, kPreCandidate = 1, kCandidate = 2, kLeader = 3 };

// Term and vote to make durable. Writes are numbered, log and hard-state writes by one counter,
// from 1 at each start.
struct HardStateWrite {
  uint64_t write = 0;
  HardState state;
};

// Entries to make durable. Whatever the log held at entries.front().index and above is void from
// now on: at recovery an entry with a later write wins over all earlier ones at and above its
// index. `commit` is a hint to store along, no higher than what is durable already: it is true
// whether or not the entries of this write reach the disk.
struct LogWrite {
  uint64_t write = 0;
  Term term = 0;    // of the last entry
  Index index = 0;  // of the last entry
  Index commit = 0;
  Entries entries;
};

// A message, to be sent once the log write and the hard-state write with these numbers, and all
// before them, are durable. 0 waits for nothing.
struct Outgoing {
  Message message;
  uint64_t after_log_write = 0;
  uint64_t after_hard_state_write = 0;

  bool immediate() const { return after_log_write == 0 && after_hard_state_write == 0; }
};

// Entries that are committed and durable here, to be applied in order. `entries` holds all of
// [first, last], or nothing: then they are to be read from the log. Ranges of successive outputs
// follow on each other without gaps.
struct Committed {
  Index first = 0;
  Index last = 0;
  Entries entries;

  bool empty() const { return last < first || last == 0; }
};

// A read may be served now (kOk; the state machine is at `index` or beyond), or has to be asked
// again (kUnavailable). With `lease`, what was read counts only if Core::LeaseValid() still holds
// afterwards.
struct ReadResult {
  uint64_t id = 0;
  absl::StatusCode code = absl::StatusCode::kOk;
  Index index = 0;
  bool lease = false;
};

// Send a snapshot to `message.to`: its data, headed by the message. `message.snapshot` describes
// the newest snapshot that the core knows of; the sender may put Core::SnapshotAt() of a later one
// in its place. Ends with a SnapshotSent.
struct SendSnapshot {
  Message message;
};

// Read entries [first, last] from the log, fewer if they cost more than bytes_max, but one at
// least. Ends with an EntriesFetched.
struct Fetch {
  uint64_t fetch = 0;
  Index first = 0;
  Index last = 0;
  uint64_t bytes_max = 0;
};

struct RoleChange {
  Role role = Role::kFollower;
  Term term = 0;
  NodeId leader = kNoNode;
};

// The configuration in force changed, or became committed.
struct ConfigurationChange {
  Configuration configuration;
  bool committed = false;
};

// A transfer ended, one that the leader began by itself included: kOk (another node leads now, `to`
// or one that was faster), kUnavailable (the target was not ready, or this node leads again, or is
// out of service), kDeadlineExceeded (nobody else is known to lead; this node may still lead, or
// have given up).
struct TransferResult {
  NodeId to = kNoNode;
  absl::StatusCode code = absl::StatusCode::kOk;
};

enum class FaultKind : uint8_t {
  kTwoLeaders = 0,         // two nodes lead in one term
  kCommittedConflict = 1,  // a leader or snapshot contradicts what is committed here
  kMalformedMessage = 2,   // fields that no correct sender would send
  kMalformedEntries = 3,   // fetched entries are not what the log is known to hold
  kDiskStalled = 4,        // own writes hang; leadership was given up
  kPersistFailed = 5,      // own writes failed; this core is out of service
  kLogUnreadable = 6,      // own entries that are not agreed on cannot be read; leadership was given up
};
// Something that should not happen; for logs and alarms. What was received was dropped.
struct Fault {
  FaultKind kind = FaultKind::kMalformedMessage;
  NodeId peer = kNoNode;
  Term term = 0;
  Index index = 0;
};

struct Output {
  std::optional<RoleChange> role;
  std::optional<ConfigurationChange> configuration;
  std::optional<HardStateWrite> hard_state;
  std::optional<LogWrite> log;
  std::vector<Outgoing> messages;
  Committed committed;
  std::vector<ReadResult> reads;
  std::optional<SnapshotMeta> install;
  std::vector<SendSnapshot> send_snapshots;
  // A snapshot should be taken soon: the log has grown, or a follower needs one and there is none.
  bool take_snapshot = false;
  // Entries up to here will never be asked for again: they may be deleted.
  std::optional<Index> compact_to;
  std::vector<Fetch> fetches;
  std::optional<TransferResult> transfer;
  std::vector<Fault> faults;
  // When Tick is due at the latest.
  Nanos next_deadline = 0;

  // Empty again, with the capacity of its vectors.
  void Clear();
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_OUTPUT_H_
