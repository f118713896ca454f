#include "storage/engine/engine_ingest.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/file/refused_read.h"

namespace bandb::storage {

namespace {

// What is written under this name is nothing yet, for a repair as well; an open removes it.
constexpr char kUnnamedSuffix[] = ".tmp";
// So many are left to other writers.
constexpr Sequence kReservedMax = kLastSequenceMax / 2;

}  // namespace

absl::Status EngineIngest::Check(const IngestOptions& options) const {
  BANDB_RETURN_IF_ERROR(engine_->lifecycle_.MayWrite());
  const EngineFeed& feed = engine_->feed_;
  if (options.allow_gap_in_changes || (!feed.keeps_logs() && !feed.HasCursors())) return absl::OkStatus();
  return base::Error(absl::StatusCode::kFailedPrecondition,
                     "the change feed, for which logs are kept or cursors made, would have a gap where this is "
                     "ingested: write batches, or set IngestOptions::allow_gap_in_changes");
}

absl::StatusOr<Sequence> EngineIngest::Reserve(uint64_t gap) {
  base::MutexLock lock(&engine_->mutex_);
  Sequence& reserved = engine_->reserved_sequence_;
  const Sequence last = std::max(engine_->last_sequence_.load(std::memory_order_acquire), reserved);
  if (last > kReservedMax || gap > kReservedMax - last) {
    return base::Error(absl::StatusCode::kResourceExhausted,
                       "so much was ingested that there are no sequences left for more: write batches");
  }
  reserved = last + gap;
  return reserved + 1;
}

MergeOutputs EngineIngest::Outputs() {
  base::MutexLock lock(&engine_->mutex_);
  MergeOutputs outputs = engine_->OutputsFor(1);
  outputs.name_suffix = kUnnamedSuffix;
  // The source may take longer than a buffer keeps what it is given.
  outputs.finish_time_ms = [engine = engine_]() { return engine->NowMs(); };
  return outputs;
}

std::vector<TablePtr> EngineIngest::TablesOf(std::vector<TableInfo> written) {
  std::vector<TablePtr> tables;
  for (TableInfo& info : written) {
    tables.push_back(std::make_shared<LiveTable>(std::move(info), engine_->tables_, kUnnamedSuffix));
  }
  return tables;
}

// Adds the tables, and is told how that ends.
class EngineIngest::Edit final : public EditSource {
 public:
  Edit(Engine* engine, IngestCommit* ingest, int level) : engine_(engine), ingest_(ingest), level_(level) {}

  absl::Status Prepare(const ManifestState& present, PendingEdit* edit) override {
    // All that was written is in tables, and no write is committed until this edit has ended.
    BANDB_ASSERT(present.last_sequence < ingest_->first().smallest_sequence);
    BANDB_ASSERT(present.log_number <= *edit->edit.log_number);
    if (!present.kept_logs.empty()) edit->edit.kept_from = *edit->edit.log_number;
    BANDB_RETURN_IF_ERROR(NameTables());
    is_written_ = true;
    return absl::OkStatus();
  }

  void Installed(const absl::Status& status) override {
    Engine* const engine = engine_;
    BANDB_ASSERT(ingest_->is_applied);
    BANDB_ASSERT(!ingest_->ended.load(std::memory_order_relaxed));
    {
      base::MutexLock lock(&engine_->mutex_);
      engine_->schedule_.EndHold(level_, ingest_->first().smallest, ingest_->last().largest);
      if (status.ok()) Count();
      engine_->MaybeScheduleWork();
    }
    const bool surely_not_done = !is_written_ || MayPass(status) || absl::IsDataLoss(status);
    ingest_->outcome = status;
    if (!status.ok() && surely_not_done) {
      for (const TablePtr& table : ingest_->tables) table->MarkObsolete();
      // What stopped the edits before its turn came is told as to all writers.
      const absl::Status refused = is_written_ ? absl::OkStatus() : engine_->lifecycle_.MayWrite();
      if (!refused.ok()) ingest_->outcome = refused;
    } else if (!status.ok()) {
      ingest_->outcome =
          base::Error(absl::StatusCode::kUnknown, "the manifest could not be written, so the outcome is unknown: {}",
                      base::Message(status));
    }
    // From here on it is the caller's, which may be gone.
    ingest_->ended.store(true, std::memory_order_release);
    engine->UpdateStall();
    engine->Unpark();
    engine->lifecycle_.Leave();
  }

 private:
  // No earlier than this: a reader of the directory that finds tables which no edit names may take
  // an edit for lost.
  absl::Status NameTables() {
    for (const TablePtr& table : ingest_->tables) {
      const std::string path = base::JoinPath(engine_->engine_dir_, TableName(table->info().number));
      BANDB_RETURN_IF_ERROR(engine_->env_.files->Rename(path + kUnnamedSuffix, path));
      table->SetNamed();
    }
    return absl::OkStatus();
  }
  void Count() ABSL_EXCLUSIVE_LOCKS_REQUIRED(engine_->mutex_) {
    EngineCounters& counters = engine_->counters_;
    counters.operations.fetch_add(ingest_->operations, std::memory_order_relaxed);
    counters.batches.fetch_add(1, std::memory_order_relaxed);
    counters.user_bytes.fetch_add(ingest_->user_bytes, std::memory_order_relaxed);
    uint64_t& written = engine_->level_work_[static_cast<size_t>(level_)].bytes_written;
    for (const TablePtr& table : ingest_->tables) written += table->info().file_bytes;
  }

  Engine* const engine_;
  IngestCommit* const ingest_;
  const int level_;
  bool is_written_ = false;
};

bool EngineIngest::Commit(WriteRequest* request) {
  IngestCommit* const ingest = request->ingest;
  BANDB_ASSERT(ingest != nullptr);
  BANDB_ASSERT(!ingest->tables.empty());
  if (!ingest->is_applied) {
    absl::Status failure = Check(ingest->options);
    if (failure.ok() && !Flush(&failure)) return false;
    if (failure.ok() && ingest->first().smallest_sequence <= engine_->last_sequence_.load(std::memory_order_relaxed)) {
      ingest->is_late = true;
      failure = base::Error(absl::StatusCode::kAborted, "others have used the sequences meanwhile");
    }
    if (!failure.ok()) {
      request->Complete(std::move(failure));
      return true;
    }
    Apply(ingest);
  }
  // Until the edit has ended the queue is parked, whatever stops the writes meanwhile.
  if (!ingest->ended.load(std::memory_order_acquire)) return false;
  request->Complete(ingest->outcome);
  return true;
}

bool EngineIngest::Flush(absl::Status* failure) {
  // What goes wrong from here on is newer than any Resume that has answered.
  const uint64_t resumes_seen = engine_->lifecycle_.resumes();
  if (!engine_->memtable_->empty()) {
    const Engine::Room room = engine_->FreezeIfRoom(engine_->memtable_bytes_, true, failure);
    if (room == Engine::Room::kFailed) engine_->StopWrites(*failure, resumes_seen);
    if (!failure->ok()) return true;
  }
  {
    base::MutexLock lock(&engine_->mutex_);
    if (engine_->memtable_->empty() && engine_->frozen_.empty()) return true;
  }
  *failure = engine_->FlushFailure();
  return !failure->ok();
}

void EngineIngest::Apply(IngestCommit* ingest) {
  BANDB_ASSERT(!ingest->is_applied);
  BANDB_ASSERT(engine_->memtable_->empty());
  ingest->is_applied = true;
  // Its caller keeps the engine from coming to rest.
  const bool entered = engine_->lifecycle_.EnterUntilRest();
  BANDB_ASSERT(entered);
  int level = 0;
  {
    base::MutexLock lock(&engine_->mutex_);
    BANDB_ASSERT(engine_->frozen_.empty());
    level =
        engine_->schedule_.BeginHold(*engine_->versions_.version(), ingest->first().smallest, ingest->last().largest);
  }
  PendingEdit pending;
  pending.edit.log_number = engine_->memtable_->log_number();
  pending.edit.last_sequence = ingest->last().largest_sequence;
  pending.edit.user_sequence = pending.edit.last_sequence;
  for (const TablePtr& table : ingest->tables) pending.edit.added.push_back({level, table->info()});
  pending.added = ingest->tables;
  pending.publishes = true;
  pending.source = std::make_unique<Edit>(engine_, ingest, level);
  // The leader of the queue waits for no manifest.
  engine_->env_.executor->Post(base::Priority::kHigh, [engine = engine_, edit = std::move(pending)]() mutable {
    engine->versions_.Apply(std::move(edit));
  });
}

std::vector<uint64_t> Engine::SkipLogs(const VersionEdit& edit) {
  BANDB_ASSERT(edit.last_sequence);
  BANDB_ASSERT(edit.commit_time_ms);
  BANDB_ASSERT(edit.log_number == logs_.number());
  const Sequence last = *edit.last_sequence;
  logs_.SkipTo(last, *edit.commit_time_ms);
  return feed_.LetAllGo(*edit.log_number);
}

void Engine::PublishIngest(const VersionEdit& edit) {
  BANDB_ASSERT(memtable_->empty());
  BANDB_ASSERT(frozen_.empty());
  BANDB_ASSERT(*edit.last_sequence > last_sequence_.load(std::memory_order_relaxed));
  last_commit_time_ms_.store(*edit.commit_time_ms, std::memory_order_relaxed);
  // See News::Tell.
  last_sequence_.store(*edit.last_sequence, std::memory_order_seq_cst);
}

}  // namespace bandb::storage
