// What a node notes down for readers of the change feed (change_index.h).
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
  BANDB_ASSIGN_OR_RETURN(change_index_, ChangeIndex::Open(std::move(parts), BoundOf(durable), log_->floor()));
  log_->SetOnFloor([index = change_index_.get()](raft::Index floor) { index->SetFloor(floor); });
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

void Node::OnInstalled(const storage::ReplicaPosition& position) {
  change_index_->Restart(BoundOf(position));
  applier_->MayFlush(position.applied.index);
}

}  // namespace bandb::cluster
