#include "storage/replica/replica_db.h"

#include <utility>

#include "base/status.h"
#include "kv/batch_format.h"
#include "kv/limits.h"
#include "storage/replica/replica_model.h"
#include "support/absolute_times.h"

namespace bandb::test {

absl::StatusOr<std::unique_ptr<ReplicaDb>> ReplicaDb::Open(const base::Env& env, const std::string& dir,
                                                           const Options& options, ReplicaDbLog* log) {
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<storage::EngineReplica> replica,
                         storage::EngineReplica::Open(env, dir, options, TestStart()));
  std::unique_ptr<ReplicaDb> db(new ReplicaDb(env, log, std::move(replica)));
  db->replica_->LogIsDurable(log->size());
  for (uint64_t index = db->replica_->applied().applied.index + 1; index <= log->size(); ++index) {
    const absl::Status applied = db->Apply(index, (*log)[index - 1]);
    if (applied.code() == (*log)[index - 1].outcome) continue;
    return base::Error(absl::StatusCode::kInternal, "entry {} ends otherwise than before: {}", index,
                       applied.ToString());
  }
  return db;
}

absl::Status ReplicaDb::Apply(uint64_t index, const ReplicaDbEntry& entry) {
  storage::ReplicaEntry applying{.index = index, .term = 1, .commit_time_ms = entry.commit_time_ms};
  if (entry.has_write) applying.writes.push_back({.conditions = entry.conditions, .operations = entry.operations});
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const storage::AppliedEntry applied, replica_->Apply(applying));
    if (applied.result == storage::AppliedEntry::Result::kDone) {
      return applied.outcomes.empty() ? absl::OkStatus() : applied.outcomes[0];
    }
    base::Event room;
    replica_->WhenRoom([&room] { room.Set(); });
    env_.executor->Wait(&room, base::kForever);
  }
}

absl::Status ReplicaDb::Commit(ReplicaDbEntry entry) {
  const uint64_t index = replica_->applied().applied.index + 1;
  const absl::Status applied = Apply(index, entry);
  if (replica_->applied().applied.index != index) return applied;
  entry.outcome = applied.code();
  log_->push_back(std::move(entry));
  replica_->LogIsDurable(index);
  return applied;
}

void ReplicaDb::MoveTime() {
  if (NowMs() > replica_->applied().commit_time_ms) Commit({.commit_time_ms = NowMs()}).IgnoreError();
}

uint64_t ReplicaDb::TimeMs() {
  MoveTime();
  return replica_->applied().commit_time_ms;
}

absl::Status ReplicaDb::DoPut(std::string_view key, std::string_view value, const WriteOptions& options) {
  WriteBatch batch;
  batch.Put(key, value);
  return DoWrite(batch, options);
}

absl::Status ReplicaDb::DoDelete(std::string_view key, const WriteOptions& options) {
  WriteBatch batch;
  batch.Delete(key);
  return DoWrite(batch, options);
}

absl::Status ReplicaDb::DoWrite(const WriteBatch& batch, const WriteOptions& /*options*/) {
  BANDB_RETURN_IF_ERROR(kv::CheckBatch(replica_->engine().limits(), batch));
  ReplicaDbEntry entry{.commit_time_ms = NowMs(),
                       .has_write = true,
                       .conditions = WriteBatchAccess::Conditions(batch),
                       .operations = WriteBatchAccess::Operations(batch)};
  test::MakeTimesAbsolute(&entry.operations, entry.commit_time_ms);
  return Commit(std::move(entry));
}

void ReplicaDb::DoWriteAsync(WriteBatch batch, const WriteOptions& options, WriteCallback done) {
  std::move(done)(DoWrite(batch, options));
}

absl::Status ReplicaDb::DoGet(std::string_view key, PinnedValue* value, const ReadOptions& options) {
  MoveTime();
  return replica_->engine().Get(key, options, value);
}

std::vector<absl::StatusOr<std::string>> ReplicaDb::DoMultiGet(absl::Span<const std::string_view> keys,
                                                               const ReadOptions& options) {
  MoveTime();
  return replica_->engine().MultiGet(keys, options);
}

std::unique_ptr<Iterator> ReplicaDb::DoNewIterator(const ReadOptions& options) {
  MoveTime();
  return replica_->engine().NewIterator(options);
}

Snapshot ReplicaDb::DoGetSnapshot() {
  MoveTime();
  return replica_->engine().GetSnapshot();
}

void ReplicaDb::DoReadBarrierAsync(const ReadOptions& /*options*/, ReadCallback ready) {
  std::move(ready)(absl::OkStatus());
}

absl::Status ReplicaDb::Flush() { return FlushReplica(replica_.get(), env_.executor); }

absl::Status ReplicaDb::CompactRange(std::string_view begin, std::string_view limit) {
  base::Event event;
  absl::Status outcome;
  replica_->engine().CompactRange(begin, limit, [&](absl::Status status) {
    outcome = std::move(status);
    event.Set();
  });
  env_.executor->Wait(&event, base::kForever);
  return outcome;
}

absl::Status ReplicaDb::CreateCheckpoint(const std::filesystem::path& /*dir*/) {
  return base::Error(absl::StatusCode::kUnimplemented, "a replica is sent, not copied");
}

absl::Status ReplicaDb::Close() {
  if (std::exchange(closed_, true)) return absl::OkStatus();
  return CloseReplica(replica_.get(), env_.executor);
}

}  // namespace bandb::test
