// EntryApplier: what one committed entry does to a replica, its sessions and its cursors. It waits
// for nothing and knows no threads; when and where entries are applied is the applier's
// (applier.h).
//
// A command that a session has repeated, or that it refuses, takes its sequences as if it were
// done, so that sequences depend on the log alone. What the sessions keep of an entry goes into
// space 0 with it: both are applied, or none of it. So it is with the ids of members that leave.
#ifndef BANDB_CLUSTER_APPLIER_ENTRY_H_
#define BANDB_CLUSTER_APPLIER_ENTRY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cluster/cursors.h"
#include "cluster/entry_payload.h"
#include "cluster/log_clock.h"
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
  storage::Sequence user_sequence = 0;  // as storage::ReplicaPosition has it
  uint64_t commit_time_ms = 0;
  // The members that a configuration has not any more.
  std::vector<raft::NodeId> removed;
  // What has become of cursors.
  std::vector<CursorUpdate> cursors;
  // Of an entry that accepts clocks.
  std::optional<LogClock> clock;
};

// Thread safety: one thread at a time, the replica's writer.
class EntryApplier {
 public:
  using Result = storage::AppliedEntry::Result;

  // Lifetime: the replica is borrowed.
  EntryApplier(storage::EngineReplica* replica, Sessions sessions, Cursors cursors, LogClock clock)
      : replica_(replica), sessions_(std::move(sessions)), cursors_(std::move(cursors)), clock_(std::move(clock)) {}

  // Applies the entry that follows; replaces `*record` if it is done. If it is not, nothing has
  // happened. Errors: kDataLoss the entry is malformed; as EngineReplica::Apply.
  absl::StatusOr<Result> Apply(const raft::Entry& entry, const storage::ApplyOptions& options, AppliedRecord* record);
  // Whether a memtable was frozen since the last call.
  bool TakeFroze() { return std::exchange(froze_, false); }

  storage::EngineReplica* replica() const { return replica_; }
  const Sessions& sessions() const { return sessions_; }
  // After an install.
  void SetSessions(Sessions sessions) { sessions_ = std::move(sessions); }
  void SetCursors(Cursors cursors) { cursors_ = std::move(cursors); }
  void SetClock(LogClock clock) { clock_ = std::move(clock); }
  const Cursors& cursors() const { return cursors_; }

 private:
  // What a command does that changes no keys, and was not done before.
  absl::Status Do(const Command& command, uint64_t now_ms);
  void Undo();
  absl::StatusOr<Result> ApplyOther(const raft::Entry& entry, const storage::ApplyOptions& options,
                                    std::vector<raft::NodeId>* removed);
  absl::StatusOr<Result> ApplyCommands(const raft::Entry& entry, const storage::ApplyOptions& options,
                                       std::vector<CommandResult>* results, std::vector<CursorUpdate>* cursors);
  // What sessions and cursors keep of the entry, told how its writes ended.
  std::string Finish(absl::Span<const absl::Status> outcomes, std::vector<CommandResult>* results,
                     std::vector<CursorUpdate>* cursors);
  absl::StatusOr<storage::AppliedEntry> ApplyToReplica(const storage::ReplicaEntry& entry,
                                                       const storage::ApplyOptions& options);

  storage::EngineReplica* const replica_;
  Sessions sessions_;
  Cursors cursors_;
  LogClock clock_;
  // Of the present entry, if it accepts clocks: what it makes of them.
  std::optional<LogClock> next_clock_;
  bool froze_ = false;
  DecodedEntry decoded_;
  // Of the commands of the present entry that change no keys: how they ended.
  std::map<size_t, absl::Status> outcomes_;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_APPLIER_ENTRY_H_
