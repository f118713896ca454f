// EntryApplier: what one committed entry does to a replica and its sessions. It waits for nothing
// and knows no threads; when and where entries are applied is the applier's (applier.h).
//
// A command that a session has repeated, or that it refuses, takes its sequences as if it were
// done, so that sequences depend on the log alone. What the sessions keep of an entry goes into
// space 0 with it: both are applied, or none of it. So it is with the ids of members that leave.
#ifndef BANDB_CLUSTER_APPLIER_ENTRY_H_
#define BANDB_CLUSTER_APPLIER_ENTRY_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cluster/removed_nodes.h"
#include "cluster/sessions.h"
#include "raft/types/entry.h"
#include "storage/engine/engine_replica.h"

namespace bandb::cluster {

// What became of one entry.
struct AppliedRecord {
  raft::Index index = 0;
  raft::Term term = 0;
  raft::EntryKind kind = raft::EntryKind::kNoop;
  uint64_t cost_bytes = 0;
  // One for each command of a data entry.
  std::vector<CommandResult> results;
  // After it: the last sequence, and the time of the log.
  storage::Sequence last_sequence = 0;
  uint64_t commit_time_ms = 0;
  // The members that a configuration has not any more.
  std::vector<raft::NodeId> removed;
};

// Thread safety: one thread at a time, the replica's writer.
class EntryApplier {
 public:
  using Result = storage::AppliedEntry::Result;

  // Lifetime: the replica is borrowed.
  EntryApplier(storage::EngineReplica* replica, Sessions sessions)
      : replica_(replica), sessions_(std::move(sessions)) {}

  // Applies the entry that follows; replaces `*record` if it is done. If it is not, nothing has
  // happened. Errors: kDataLoss the entry is malformed; as EngineReplica::Apply.
  absl::StatusOr<Result> Apply(const raft::Entry& entry, const storage::ApplyOptions& options, AppliedRecord* record);
  // Whether a memtable was frozen since the last call.
  bool TakeFroze() { return std::exchange(froze_, false); }

  storage::EngineReplica* replica() const { return replica_; }
  const Sessions& sessions() const { return sessions_; }
  // After an install.
  void SetSessions(Sessions sessions) { sessions_ = std::move(sessions); }

 private:
  absl::StatusOr<Result> ApplyOther(const raft::Entry& entry, const storage::ApplyOptions& options,
                                    std::vector<raft::NodeId>* removed);
  absl::StatusOr<Result> ApplyCommands(const raft::Entry& entry, const storage::ApplyOptions& options,
                                       std::vector<CommandResult>* results);
  absl::StatusOr<storage::AppliedEntry> ApplyToReplica(const storage::ReplicaEntry& entry,
                                                       const storage::ApplyOptions& options);

  storage::EngineReplica* const replica_;
  Sessions sessions_;
  bool froze_ = false;
  DecodedEntry decoded_;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_APPLIER_ENTRY_H_
