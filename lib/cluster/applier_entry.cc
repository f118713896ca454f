#include "cluster/applier_entry.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "raft/types/configuration_codec.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;
using storage::ReplicaWrite;

absl::Status Malformed(const raft::Entry& entry, std::string_view what) {
  return base::Error(StatusCode::kDataLoss, "entry {} of term {}: {}", entry.index, entry.term, what);
}

// Of an entry that holds no commands.
absl::StatusOr<storage::ReplicaEntry> WithoutCommands(const raft::Entry& entry) {
  storage::ReplicaEntry applied{.index = entry.index, .term = entry.term};
  if (entry.kind == raft::EntryKind::kNoop) return applied;
  raft::Configuration configuration;
  if (entry.kind != raft::EntryKind::kConfiguration ||
      !raft::DecodeConfiguration(entry.payload.bytes(), &configuration) || configuration.index != entry.index) {
    return Malformed(entry, "no configuration");
  }
  applied.membership = std::string(entry.payload.bytes());
  return applied;
}

}  // namespace

absl::StatusOr<EntryApplier::Result> EntryApplier::Apply(const raft::Entry& entry, const storage::ApplyOptions& options,
                                                         AppliedRecord* record) {
  Result result = Result::kDone;
  std::vector<CommandResult> results;
  std::vector<raft::NodeId> removed;
  std::vector<CursorUpdate> cursors;
  if (entry.kind == raft::EntryKind::kData) {
    BANDB_ASSIGN_OR_RETURN(result, ApplyCommands(entry, options, &results, &cursors));
  } else {
    BANDB_ASSIGN_OR_RETURN(result, ApplyOther(entry, options, &removed));
  }
  if (result != Result::kDone) return result;
  *record = {.index = entry.index,
             .term = entry.term,
             .kind = entry.kind,
             .cost_bytes = raft::CostBytes(entry),
             .results = std::move(results),
             .last_sequence = replica_->applied().last_sequence,
             .user_sequence = replica_->applied().user_sequence,
             .commit_time_ms = replica_->applied().commit_time_ms,
             .removed = std::move(removed),
             .cursors = std::move(cursors),
             .clock = std::exchange(next_clock_, std::nullopt)};
  if (record->clock.has_value()) clock_ = *record->clock;
  return result;
}

absl::StatusOr<EntryApplier::Result> EntryApplier::ApplyOther(const raft::Entry& entry,
                                                              const storage::ApplyOptions& options,
                                                              std::vector<raft::NodeId>* removed) {
  BANDB_ASSIGN_OR_RETURN(storage::ReplicaEntry applying, WithoutCommands(entry));
  if (applying.membership.has_value()) *removed = LeftBetween(replica_->applied().membership, *applying.membership);
  sessions_.Begin(entry.index, replica_->applied().commit_time_ms);
  if (const uint64_t kept = removed->size() + sessions_.OperationsMax(); kept != 0) {
    std::string ids = KeepRemoved(*removed);
    const uint64_t bytes = ids.size() + sessions_.BytesMax();
    const auto make = [this, ids = std::move(ids)](absl::Span<const absl::Status>) {
      std::vector<CommandResult> none;
      return sessions_.Finish({}, &none) + ids;
    };
    applying.system = {.make = make, .operations_max = kept, .bytes_max = bytes};
  }
  const absl::StatusOr<storage::AppliedEntry> applied = ApplyToReplica(applying, options);
  if (!applied.ok() || applied->result != Result::kDone) sessions_.Undo();
  BANDB_RETURN_IF_ERROR(applied.status());
  return applied->result;
}

absl::StatusOr<EntryApplier::Result> EntryApplier::ApplyCommands(const raft::Entry& entry,
                                                                 const storage::ApplyOptions& options,
                                                                 std::vector<CommandResult>* results,
                                                                 std::vector<CursorUpdate>* cursors) {
  if (!DecodeCommands(entry.payload.bytes(), &decoded_)) return Malformed(entry, "no commands of this version");
  storage::ReplicaEntry applying{.index = entry.index, .term = entry.term, .commit_time_ms = decoded_.commit_time_ms};
  applying.writes.reserve(decoded_.commands.size());
  const uint64_t now_ms = std::max(decoded_.commit_time_ms, replica_->applied().commit_time_ms);
  sessions_.Begin(entry.index, now_ms);
  cursors_.Begin(entry.index, now_ms, replica_->applied().last_sequence);
  outcomes_.clear();
  next_clock_.reset();
  for (const Command& command : decoded_.commands) {
    const bool admitted = sessions_.Admit(command);
    ReplicaWrite& write = applying.writes.emplace_back();
    write.duplicate = !admitted;
    if (command.kind == CommandKind::kWrite) {
      write.conditions = command.conditions;
      write.operations = command.operations;
    } else if (admitted) {
      outcomes_[applying.writes.size() - 1] = Do(command, now_ms);
    }
  }
  const uint64_t clocks = next_clock_.has_value() ? 1 : 0;
  const uint64_t kept = sessions_.OperationsMax() + cursors_.OperationsMax() + clocks;
  if (kept != 0) {
    applying.system = {
        .make = [&](absl::Span<const absl::Status> outcomes) { return Finish(outcomes, results, cursors); },
        .operations_max = kept,
        .bytes_max = sessions_.BytesMax() + cursors_.BytesMax() + clocks * LogClock::BytesMax()};
  }
  const absl::StatusOr<storage::AppliedEntry> applied = ApplyToReplica(applying, options);
  if (!applied.ok() || applied->result != Result::kDone) {
    Undo();
    BANDB_RETURN_IF_ERROR(applied.status());
    return applied->result;
  }
  if (applying.system.make == nullptr) Finish(applied->outcomes, results, cursors);
  BANDB_ASSERT(results->size() == decoded_.commands.size());
  return Result::kDone;
}

absl::Status EntryApplier::Do(const Command& command, uint64_t now_ms) {
  if (command.kind == CommandKind::kCursors) return cursors_.Apply(command.operations);
  LogClock next = next_clock_.value_or(clock_);
  if (next.Accept(now_ms, AcceptedAheadMs(command))) next_clock_ = std::move(next);
  return absl::OkStatus();
}

void EntryApplier::Undo() {
  sessions_.Undo();
  cursors_.Undo();
  next_clock_.reset();
}

std::string EntryApplier::Finish(absl::Span<const absl::Status> outcomes, std::vector<CommandResult>* results,
                                 std::vector<CursorUpdate>* cursors) {
  std::vector<absl::Status> all(outcomes.begin(), outcomes.end());
  for (const auto& [command, outcome] : outcomes_) all[command] = outcome;
  std::string operations = sessions_.Finish(all, results);
  operations.append(cursors_.Finish(cursors));
  if (next_clock_.has_value()) operations.append(next_clock_->Keep());
  return operations;
}

absl::StatusOr<storage::AppliedEntry> EntryApplier::ApplyToReplica(const storage::ReplicaEntry& entry,
                                                                   const storage::ApplyOptions& options) {
  BANDB_ASSIGN_OR_RETURN(storage::AppliedEntry applied, replica_->Apply(entry, options));
  froze_ |= applied.froze;
  return applied;
}

}  // namespace bandb::cluster
