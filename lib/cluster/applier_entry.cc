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
  if (entry.kind == raft::EntryKind::kData) {
    BANDB_ASSIGN_OR_RETURN(result, ApplyCommands(entry, options, &results));
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
             .commit_time_ms = replica_->applied().commit_time_ms,
             .removed = std::move(removed)};
  return result;
}

absl::StatusOr<EntryApplier::Result> EntryApplier::ApplyOther(const raft::Entry& entry,
                                                              const storage::ApplyOptions& options,
                                                              std::vector<raft::NodeId>* removed) {
  BANDB_ASSIGN_OR_RETURN(storage::ReplicaEntry applying, WithoutCommands(entry));
  if (applying.membership.has_value()) *removed = LeftBetween(replica_->applied().membership, *applying.membership);
  if (!removed->empty()) {
    std::string kept = KeepRemoved(*removed);
    const uint64_t bytes = kept.size();
    applying.system = {.make = [kept = std::move(kept)](absl::Span<const absl::Status>) { return kept; },
                       .operations_max = removed->size(),
                       .bytes_max = bytes};
  }
  BANDB_ASSIGN_OR_RETURN(const storage::AppliedEntry applied, ApplyToReplica(applying, options));
  return applied.result;
}

absl::StatusOr<EntryApplier::Result> EntryApplier::ApplyCommands(const raft::Entry& entry,
                                                                 const storage::ApplyOptions& options,
                                                                 std::vector<CommandResult>* results) {
  if (!DecodeCommands(entry.payload.bytes(), &decoded_)) return Malformed(entry, "no commands of this version");
  storage::ReplicaEntry applying{.index = entry.index, .term = entry.term, .commit_time_ms = decoded_.commit_time_ms};
  applying.writes.reserve(decoded_.commands.size());
  sessions_.Begin(entry.index, std::max(decoded_.commit_time_ms, replica_->applied().commit_time_ms));
  for (const Command& command : decoded_.commands) {
    const bool admitted = sessions_.Admit(command);
    applying.writes.push_back(
        {.conditions = command.conditions, .operations = command.operations, .duplicate = !admitted});
  }
  if (sessions_.OperationsMax() != 0) {
    applying.system = {
        .make = [this,
                 results](absl::Span<const absl::Status> outcomes) { return sessions_.Finish(outcomes, results); },
        .operations_max = sessions_.OperationsMax(),
        .bytes_max = sessions_.BytesMax()};
  }
  const absl::StatusOr<storage::AppliedEntry> applied = ApplyToReplica(applying, options);
  if (!applied.ok() || applied->result != Result::kDone) {
    sessions_.Undo();
    BANDB_RETURN_IF_ERROR(applied.status());
    return applied->result;
  }
  if (applying.system.make == nullptr) sessions_.Finish(applied->outcomes, results);
  BANDB_ASSERT(results->size() == decoded_.commands.size());
  return Result::kDone;
}

absl::StatusOr<storage::AppliedEntry> EntryApplier::ApplyToReplica(const storage::ReplicaEntry& entry,
                                                                   const storage::ApplyOptions& options) {
  BANDB_ASSIGN_OR_RETURN(storage::AppliedEntry applied, replica_->Apply(entry, options));
  froze_ |= applied.froze;
  return applied;
}

}  // namespace bandb::cluster
