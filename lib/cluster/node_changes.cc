// What a node notes down for readers of the change feed (change_index.h).
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "cluster/node.h"

namespace bandb::cluster {

namespace {

ChangeBound BoundOf(const storage::ReplicaPosition& position) {
  return {.index = position.applied.index, .sequence = position.last_sequence, .time_ms = position.commit_time_ms};
}

}  // namespace

absl::Status Node::BeginChanges(const storage::ReplicaPosition& durable) {
  ChangeIndex::Parts parts{.directory = log_->directory(),
                           .executor = parts_.env.executor,
                           .logger = parts_.env.logger,
                           .post = LogOptions().post,
                           .durable = [this](raft::Index index) { applier_->MayFlush(index); },
                           .random = parts_.env.random->Fork()};
  const Options& storage = options_.storage;
  const absl::Duration keep_for = std::max(storage.changes_keep_for, absl::ZeroDuration());
  const bool for_ever = keep_for >= absl::Hours(24 * 365 * 1000);
  KeptSegments::Parts kept{
      .directory = parts.directory,
      .executor = parts.executor,
      .logger = parts.logger,
      .post = parts.post,
      .bytes_max = storage.changes_keep_bytes,
      .ms_max = for_ever ? UINT64_MAX : static_cast<uint64_t>(absl::ToInt64Milliseconds(keep_for))};
  BANDB_ASSIGN_OR_RETURN(kept_, KeptSegments::Open(std::move(kept), log_->floor()));
  const raft::Index floor = kept_->floor().value_or(log_->floor());
  BANDB_ASSIGN_OR_RETURN(change_index_, ChangeIndex::Open(std::move(parts), BoundOf(durable), floor));
  kept_->SetOnFloor([index = change_index_.get()](raft::Index gone) { index->SetFloor(gone); });
  log_->SetOnRetire([this](const std::vector<RetiredSegment>& segments) {
    return kept_->Retire(segments, change_index_->applied().time_ms);
  });
  return absl::OkStatus();
}

void Node::OnRecord(const AppliedRecord& record) {
  const EntryPlace* const place = log_->Find(record.index);
  // Nothing is deleted of the log before the engine has it in tables.
  BANDB_ASSERT(place != nullptr && place->term == record.term);
  ChangeEntry entry{.end = {.index = record.index, .sequence = record.last_sequence, .time_ms = record.commit_time_ms},
                    .place = *place,
                    .undone = {}};
  for (size_t i = 0; i < record.results.size(); ++i) {
    if (record.results[i].status.ok() && !record.results[i].duplicate) continue;
    entry.undone.resize(record.results.size() / 8 + 1, '\0');
    entry.undone[i / 8] = static_cast<char>(entry.undone[i / 8] | 1 << (i % 8));
  }
  change_index_->Append(std::move(entry));
}

void Node::LetKeptGo() {
  if (kept_->count() == 0) return;
  parts_.env.logger->Log(base::LogLevel::kWarning, "the disk is full: what was kept for the change feed is given up");
  kept_->DropAll();
}

void Node::EndChanges() {
  if (change_index_ != nullptr) change_index_->End();
  if (kept_ != nullptr) kept_->End();
}

void Node::OnInstalled(const storage::ReplicaPosition& position) {
  change_index_->Restart(BoundOf(position));
  kept_->DropAll();
  applier_->MayFlush(position.applied.index);
}

}  // namespace bandb::cluster
