// The writes of DbModel, and what is learned from their answers.
#include <utility>

#include "storage/model/db_model.h"
#include "storage/model/model_ingest.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

// A quarter of the memory budget that the options of the model derive, and a little less.
constexpr size_t kBatchBytesMax = 16 << 20;
// Writes that may be lost are kept, to be compared with after a crash.
constexpr size_t kLosableMax = 400;

}  // namespace

void DbModel::Write() {
  std::vector<Attempt> attempts;
  for (uint64_t count = random_.OneIn(8) ? 1 + random_.Uniform(6) : 0; count > 0; --count) {
    attempts.push_back(DrawAttempt());
  }
  if (attempts.empty()) {
    attempts.push_back(DrawAttempt());
    attempts[0].status = WriteAlone(attempts[0]);
  } else {
    WriteTogether(&attempts);
  }
  Learn(attempts);
  if (history_.losable() > kLosableMax) FlushAll();
  // The best moment to see whether what was promised is so.
  if (attempts.back().options.sync && attempts.back().status.ok() && random_.OneIn(20)) Crash(true);
}

DbModel::Attempt DbModel::DrawAttempt() {
  Attempt attempt;
  attempt.write.changes = input_.Changes();
  attempt.write.now_ms = NowMs();
  attempt.write.number = ++writes_drawn_;
  if (random_.OneIn(6)) attempt.write.conditions.push_back(DrawCondition());
  if (attempt.write.ToBatch().ByteSize() > kBatchBytesMax) attempt.write.changes.clear();
  attempt.options.sync = random_.OneIn(8);
  if (random_.OneIn(4)) attempt.options.timeout = random_.OneIn(3) ? absl::ZeroDuration() : absl::Seconds(100);
  return attempt;
}

ModelCondition DbModel::DrawCondition() {
  const std::string key = input_.Key();
  switch (random_.Uniform(5)) {
    case 0:
      return {ModelCondition::Kind::kPresent, key};
    case 3:
      return DrawVersionCondition(key);
    case 4:
      return {ModelCondition::Kind::kEmptyRange, key, random_.OneIn(2) ? input_.Key() : key + "\xff"};
    case 1:
      return {ModelCondition::Kind::kAbsent, key};
    default: {
      const auto at = history_.state().find(key);
      const std::string value = at == history_.state().end() ? std::string() : at->second.value;
      return {ModelCondition::Kind::kValue, key, random_.OneIn(2) ? value : value + "x"};
    }
  }
}

ModelCondition DbModel::DrawVersionCondition(const std::string& key) {
  ModelCondition condition{ModelCondition::Kind::kVersion, key};
  const absl::StatusOr<Entry> entry = db_->GetEntry(key);
  if (entry.ok()) {
    condition.version = entry->version;
    condition.stamp = history_.state().at(key).stamp;
  } else {
    REQUIRE_CODE(entry.status(), kNotFound);
  }
  if (random_.OneIn(3)) {
    // Of nothing that there will be.
    condition.version += uint64_t{1} << 40;
    condition.stamp = ModelCondition::kNoStamp;
  }
  return condition;
}

absl::Status DbModel::WriteAlone(const Attempt& attempt) {
  const ModelWrite& write = attempt.write;
  if (write.changes.size() == 1 && write.conditions.empty() && random_.OneIn(2)) {
    const ModelChange& change = write.changes[0];
    if (change.kind == ModelChange::Kind::kPut) return db_->Put(change.key, change.value, attempt.options);
    if (change.kind == ModelChange::Kind::kDelete) return db_->Delete(change.key, attempt.options);
    if (change.kind == ModelChange::Kind::kPutWithTtl && random_.OneIn(2)) {
      return db_->PutWithTtl(change.key, change.value, absl::Milliseconds(change.ttl_ms), attempt.options);
    }
    if (change.kind == ModelChange::Kind::kPutWithTtl) {
      const auto expiry_ms = static_cast<int64_t>(write.now_ms + change.ttl_ms);
      return db_->PutUntil(change.key, change.value, absl::FromUnixMillis(expiry_ms), attempt.options);
    }
  }
  return db_->Write(write.ToBatch(), attempt.options);
}

// All are submitted before the first is waited for, so that they become groups.
void DbModel::WriteTogether(std::vector<Attempt>* attempts) {
  size_t left = attempts->size();
  base::Event done;
  for (Attempt& attempt : *attempts) {
    if (random_.OneIn(2)) {
      const auto returned = [&attempt, &left, &done](absl::Status status, const WriteBatch& batch) {
        const bool refused = !status.ok() && !absl::IsUnknown(status);
        REQUIRE(batch.Serialize() == (refused ? attempt.write.ToBatch() : WriteBatch()).Serialize());
        attempt.status = std::move(status);
        if (--left == 0) done.Set();
      };
      db_->WriteAsyncOrReturn(attempt.write.ToBatch(), attempt.options, returned);
      continue;
    }
    db_->WriteAsync(attempt.write.ToBatch(), attempt.options, [&attempt, &left, &done](absl::Status status) {
      attempt.status = std::move(status);
      if (--left == 0) done.Set();
    });
  }
  env_->executor().Wait(&done, base::kForever);
}

// kUnknown leaves open whether a write was done; all that were submitted are, once everything is
// flushed. A condition on a key that expired meanwhile may have held or not, and only the answer
// tells.
bool DbModel::WasDone(const Attempt& attempt) {
  const absl::Status& status = attempt.status;
  if (absl::IsDeadlineExceeded(status) || absl::IsUnavailable(status)) {
    ++counts_->refused;
    return false;
  }
  if (!attempt.write.conditions.empty()) {
    const bool held = attempt.write.Holds(history_.state(), attempt.write.now_ms);
    const bool holds = attempt.write.Holds(history_.state(), NowMs());
    const bool aborted = absl::IsAborted(status);
    if (held == holds) REQUIRE(aborted == !held);
    if (aborted) {
      ++counts_->aborted;
      return false;
    }
  }
  if (!absl::IsUnknown(status)) REQUIRE_OK(status);
  return true;
}

// Where time passed, only the database knows when a write was committed: then the keys that expire
// are deleted, so that nothing depends on it.
void DbModel::Learn(const std::vector<Attempt>& attempts) {
  ModelWrite deletes;
  bool unknown = false;
  for (const Attempt& attempt : attempts) {
    if (!WasDone(attempt)) continue;
    ++counts_->writes;
    unknown |= absl::IsUnknown(attempt.status);
    history_.Acknowledged(attempt.write, attempt.options.sync && attempt.status.ok());
    if (NowMs() == attempt.write.now_ms) continue;
    for (const ModelChange& change : attempt.write.changes) {
      if (change.kind != ModelChange::Kind::kPutWithTtl) continue;
      deletes.changes.push_back({ModelChange::Kind::kDelete, change.key});
    }
  }
  if (!deletes.changes.empty()) {
    REQUIRE_OK(db_->Write(deletes.ToBatch()));
    history_.Acknowledged(deletes, false);
  }
  if (unknown || !deletes.changes.empty()) FlushAll();
}

void DbModel::CheckRefusedRange() {
  const std::string key = input_.Key();
  WriteBatch batch;
  batch.Put(key, input_.Value());
  batch.DeleteRange(key, "");
  REQUIRE_CODE(db_->Write(batch, {.sync = random_.OneIn(2)}), kInvalidArgument);
}

absl::Status DbModel::IngestOnce(const IngestOptions& options) {
  // With nothing in it nothing would become durable.
  ModelWrite write{.changes = {{ModelChange::Kind::kPut, input_.Key(), input_.Value()}}};
  do {
    for (ModelChange& change : input_.Changes()) write.changes.push_back(std::move(change));
  } while (random_.OneIn(2));
  write.now_ms = NowMs();
  write.number = ++writes_drawn_;
  MakeIngestible(&write);
  const absl::StatusOr<uint64_t> version = test::Ingest(db_.get(), write, options);
  if (!version.ok()) return version.status();
  ++counts_->ingests;
  history_.Acknowledged(std::move(write), true);
  return absl::OkStatus();
}

void DbModel::Ingest() {
  if (!subject_.ingests) return;
  const IngestOptions options{.allow_gap_in_changes = random_.OneIn(2)};
  const Stats stats = db_->GetStats();
  const bool gap = options_.changes_keep_bytes != 0 || stats.cursors > stats.lost_cursors;
  const absl::Status done = IngestOnce(options);
  if (gap && !options.allow_gap_in_changes) {
    REQUIRE_CODE(done, kFailedPrecondition);
    return;
  }
  REQUIRE_OK(done);
  if (random_.OneIn(2)) FollowFeeds(true);
  if (random_.OneIn(3)) Crash(random_.OneIn(2));
}

void DbModel::FlushAll() {
  REQUIRE_OK(db_->Flush());
  history_.AllDurable();
  FollowFeeds(true);
}

}  // namespace bandb::test
