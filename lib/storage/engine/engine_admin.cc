// The engine's administration: waiting for flushes, compacting on demand, checkpoints,
// verification, statistics.
#include <algorithm>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "changes/change_token.h"
#include "kv/options.h"
#include "storage/engine/checkpoint.h"
#include "storage/engine/engine.h"
#include "storage/engine/log_clock_key.h"
#include "storage/file/file_names.h"
#include "storage/file/identity.h"
#include "storage/file/refused_read.h"
#include "storage/log/log_reader.h"

namespace bandb::storage {

namespace {

constexpr size_t kSmallFileBytesMax = 1 << 20;

}  // namespace

void Engine::WhenFlushed(Done done) {
  absl::Status status;
  {
    base::MutexLock lock(&mutex_);
    status = lifecycle_.MayWrite();
    if (status.ok() && !frozen_.empty()) {
      flush_waiters_.push_back({memtable_->log_number(), std::move(done)});
      return;
    }
  }
  done(status);
}

void Engine::CompactRange(std::string_view begin, std::string_view limit, Done done) {
  std::string first = MakeSpacedKey(Space::kUser, begin);
  std::string last = limit.empty() ? MakeSpacedKey(Space::kDeadLetters, {}) : MakeSpacedKey(Space::kUser, limit);
  absl::Status stopped;
  {
    base::MutexLock lock(&mutex_);
    stopped = lifecycle_.MayWrite();
    if (stopped.ok()) {
      schedule_.AddManual(std::move(first), std::move(last), std::move(done));
      MaybeScheduleWork();
      return;
    }
  }
  done(stopped);
}

absl::Status Engine::PauseCompactions() {
  if (read_only_) return lifecycle_.MayWrite();
  if (!Enter()) return ClosedError();
  pace_.Pause();
  // A flush that waits for level 0 need not any more.
  Unpark();
  Leave();
  return absl::OkStatus();
}

absl::Status Engine::ContinueCompactions() {
  if (read_only_) return lifecycle_.MayWrite();
  if (!Enter()) return ClosedError();
  const bool were_paused = pace_.Continue();
  {
    base::MutexLock lock(&mutex_);
    MaybeScheduleWork();
  }
  Leave();
  if (were_paused) return absl::OkStatus();
  return base::Error(absl::StatusCode::kFailedPrecondition, "compactions are not paused");
}

absl::Status Engine::CreateCheckpoint(const std::string& dir, internal::CheckpointSink* sink, uint64_t cut_ms) {
  if (!Enter()) return ClosedError();
  CheckpointSource source{.files = env_.files,
                          .engine_dir = engine_dir_,
                          .database_id = database_id_,
                          .state = {},
                          .log_number = 0,
                          .random = base::Random(0),
                          .go_on = [this]() { return lifecycle_.MayContinue(); },
                          .sink = sink,
                          .cut_ms = cut_ms,
                          .place_at = {},
                          .keeps_logs = !is_replica_ && feed_.keeps_logs(),
                          .kept_logs = {}};
  {
    base::MutexLock lock(&mutex_);
    source.state = versions_.state();
    // What was written before it was made is no part of the copy, but the sink may want it.
    for (const auto& [number, log] : source.state.kept_logs) source.kept_logs.push_back(log);
    source.state.kept_logs.clear();
    BANDB_ASSERT(source.state.version != nullptr);
    source.log_number = versions_.next_file_number();
    source.random = job_random_.Fork();
  }
  if (!is_replica_) {
    source.place_at = [this](Sequence sequence) { return changes::EncodeToken(feed_.PlaceAt(sequence)); };
  }
  absl::Status written = WriteCheckpoint(std::move(source), dir);
  // From here on the database may be gone.
  Leave();
  return written;
}

// Says in the manifest that earlier times count no more: those of all that was written before it.
// It waits its turn as an empty write does, so that no write which took its time from the clock as
// it was comes after it; before that nothing has changed.
class Engine::ClockEdit final : public EditSource, public WriteRequest {
 public:
  class KeyDrop;

  ClockEdit(Engine* engine, Done done) : engine_(engine), done_(std::move(done)) {}

  // Destroys it, or hands it on.
  void Complete(absl::Status outcome) override {
    PendingEdit edit;
    edit.source.reset(this);
    if (!outcome.ok()) return Installed(outcome);
    engine_->ForgetAhead();
    // The leader of the queue waits for no manifest.
    engine_->env_.executor->Post(base::Priority::kHigh, [engine = engine_, edit = std::move(edit)]() mutable {
      engine->versions_.Apply(std::move(edit));
    });
  }
  absl::Status Prepare(const ManifestState& /*present*/, PendingEdit* edit) override {
    edit->edit.clock_accepted = {.sequence = engine_->last_sequence_.load(), .ms = *edit->edit.commit_time_ms};
    return absl::OkStatus();
  }
  void Installed(const absl::Status& status) override {
    const Done done = std::move(done_);
    Engine* const engine = engine_;
    done(status);
    engine->Leave();
  }

 private:
  Engine* const engine_;
  Done done_;
};

// In a database that was of a cluster, before it: the clocks that were accepted there count no
// more, either. Durable first, for a cluster that began with it would go by them again.
class Engine::ClockEdit::KeyDrop final : public WriteRequest {
 public:
  KeyDrop(Engine* engine, std::unique_ptr<ClockEdit> next) : engine_(engine), next_(std::move(next)) {
    batch_.Delete(kLogClockKey);
    operations = WriteBatchAccess::Operations(batch_);
    operation_count = WriteBatchAccess::OperationCount(batch_);
    payload_bytes = operations.size();
    system = sync = true;
  }

  // Destroys it.
  void Complete(absl::Status outcome) override {
    const std::unique_ptr<KeyDrop> self(this);
    ClockEdit* const next = next_.release();
    // The log takes nothing more, and expiry goes on as it did.
    if (absl::IsUnknown(outcome)) outcome = base::Error(absl::StatusCode::kInternal, "{}", base::Message(outcome));
    if (!outcome.ok()) return next->Complete(std::move(outcome));
    // A thread that syncs or commits must not wait for this.
    engine_->env_.executor->Post(base::Priority::kHigh, [engine = engine_, next]() { engine->SubmitUnwaiting(next); });
  }

 private:
  Engine* const engine_;
  WriteBatch batch_;
  std::unique_ptr<ClockEdit> next_;
};

void Engine::AcceptClock(Done done) {
  BANDB_ASSERT(!is_replica_);
  if (!Enter()) return done(ClosedError());
  absl::Status found = lifecycle_.MayWrite();
  if (!read_only_) {
    PinnedValue kept;
    found = GetIn(Space::kSystem, kLogClockKey, ReadOptions(), &kept);
  }
  if (!found.ok() && found.code() != absl::StatusCode::kNotFound) {
    done(found);
    return Leave();
  }
  auto edit = std::make_unique<ClockEdit>(this, std::move(done));
  if (!found.ok()) return queue_.Submit(edit.release());
  queue_.Submit(std::make_unique<ClockEdit::KeyDrop>(this, std::move(edit)).release());
  SyncInBackground();
}

void Engine::ForgetAhead() {
  const uint64_t ahead_ms = AheadMs();
  latest_ms_.store(WallMs(env_.clock), std::memory_order_relaxed);
  env_.logger->Log(base::LogLevel::kWarning, "{}: expiry was {} ms ahead of the clock, and goes by it again", dir_,
                   ahead_ms);
}

absl::Status Engine::VerifyChecksums() {
  if (!Enter()) return ClosedError();
  absl::Status verified = ForReader(MustBeThere(VerifyFiles()));
  Leave();
  return verified;
}

absl::Status Engine::VerifyFiles() {
  ViewRef view = views_.Acquire();
  BANDB_ASSERT(view);
  view.Detach();
  BANDB_ASSIGN_OR_RETURN(const std::string identity,
                         base::ReadFile(env_.files, IdentityPath(dir_), kSmallFileBytesMax));
  BANDB_RETURN_IF_ERROR(DecodeIdentity(identity, IdentityPath(dir_)).status());
  BANDB_RETURN_IF_ERROR(VerifyManifest());
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : view->version->level(level)) {
      BANDB_RETURN_IF_ERROR(lifecycle_.MayContinue());
      BANDB_ASSIGN_OR_RETURN(const TableReader* reader, table->Reader());
      BANDB_RETURN_IF_ERROR(reader->VerifyChecksums());
    }
  }
  BANDB_RETURN_IF_ERROR(lifecycle_.MayContinue());
  BANDB_RETURN_IF_ERROR(VerifyLogs(true));
  return VerifyLogs(false);
}

absl::Status Engine::VerifyLogs(bool kept) {
  // What is appended from now on is not looked at.
  const auto present = [this, kept]() {
    std::vector<LogSet::Extent> extents;
    if (!kept) return logs_.Extents();
    for (const KeptLog& log : logs_.kept()) extents.push_back({log.number, log.bytes});
    return extents;
  };
  const std::vector<LogSet::Extent> logs = present();
  for (const LogSet::Extent& log : logs) {
    BANDB_RETURN_IF_ERROR(kept ? lifecycle_.MayContinue() : absl::OkStatus());
    const std::string path = base::JoinPath(engine_dir_, LogName(log.number));
    const absl::Status verified = VerifyLog(env_.files, path, FileType::kLog, log.bytes);
    if (verified.ok()) continue;
    if (verified.code() != absl::StatusCode::kNotFound) return verified;
    // One that a flush has removed meanwhile is no loss.
    const std::vector<LogSet::Extent> now = present();
    const auto is_it = [&log](const LogSet::Extent& other) { return other.number == log.number; };
    if (std::any_of(now.begin(), now.end(), is_it)) return MustBeThere(verified);
  }
  return absl::OkStatus();
}

absl::Status Engine::VerifyManifest() {
  BANDB_ASSIGN_OR_RETURN(const std::string current,
                         base::ReadFile(env_.files, CurrentPath(engine_dir_), kSmallFileBytesMax));
  if (!DecodeCurrent(current)) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset 0: damaged", CurrentPath(engine_dir_));
  }
  if (read_only_) return VerifyManifestRead();
  while (true) {
    const std::shared_ptr<Manifest> manifest = versions_.manifest();
    const std::string path = base::JoinPath(engine_dir_, ManifestName(manifest->number()));
    const absl::Status verified = VerifyLog(env_.files, path, FileType::kManifest, manifest->Size());
    if (verified.code() != absl::StatusCode::kNotFound) return verified;
    if (manifest == versions_.manifest()) return MustBeThere(verified);
    // A new one has taken its place: on to that.
  }
}

void EngineCounters::FillStats(Stats* stats) const {
  const auto now = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  stats->operations_written = now(operations);
  stats->batches_written = now(batches);
  stats->user_bytes_written = now(user_bytes);
  stats->log_bytes_written = now(log_bytes);
  stats->stall_count = now(stalls);
  stats->stall_micros = now(stall_micros);
  stats->gets = now(gets);
  stats->tables_probed = now(tables_probed);
  stats->filter_negatives = now(filter_negatives);
  stats->exceptions = now(exceptions);
  stats->values_removed = now(values_removed);
  stats->values_changed = now(values_changed);
  stats->forgotten_tables = now(forgotten_tables);
  stats->forgotten_bytes = now(forgotten_bytes);
}

Stats Engine::GetStats() const {
  Stats stats;
  {
    base::MutexLock lock(&mutex_);
    const std::shared_ptr<const Version> version = versions_.version();
    LevelTargets targets;
    if (settings_.style == CompactionStyle::kLevelled) targets = TargetsFor(*version, schedule_.settings());
    stats.levels = level_work_;
    for (int level = 0; level < kLevels; ++level) {
      LevelStats& at = stats.levels[static_cast<size_t>(level)];
      at.tables = version->level(level).size();
      at.bytes = version->LevelBytes(level);
      at.target_bytes = targets.bytes[static_cast<size_t>(level)];
      stats.table_bytes += at.bytes;
    }
    stats.memtable_bytes = memtable_->memory_bytes();
    for (const std::shared_ptr<Memtable>& memtable : frozen_) stats.memtable_bytes += memtable->memory_bytes();
    stats.immutable_memtables = frozen_.size();
    stats.flushes = flushes_;
    stats.compactions = compactions_;
    stats.compaction_debt_bytes = CompactionDebtBytes(*version, schedule_.settings());
    stats.damaged_tables.assign(schedule_.set_aside().begin(), schedule_.set_aside().end());
  }
  counters_.FillStats(&stats);
  pace_.FillStats(&stats);
  stats.log_bytes = logs_.TotalBytes();
  stats.log_syncs = logs_.syncs();
  uint64_t written = stats.log_bytes_written;
  for (const LevelStats& level : stats.levels) written += level.bytes_written;
  if (stats.user_bytes_written != 0) {
    stats.write_amplification = static_cast<double>(written) / static_cast<double>(stats.user_bytes_written);
  }
  const BlockCache::CacheStats cache = tables_->cache()->GetStats();
  stats.cache_hits = cache.hits;
  stats.cache_misses = cache.misses;
  stats.block_reads = cache.block_reads;
  stats.block_read_bytes = cache.block_read_bytes;
  stats.open_table_files = tables_->open_files();
  stats.descriptor_shortages = files_->descriptor_shortages();
  stats.cache_bytes = cache.block_bytes;
  stats.pinned_bytes = cache.pinned_charge_bytes + cache.partition_bytes - kept_memtable_bytes_;
  // Memtables that only readers keep are pinned.
  stats.memory_bytes = cache.used_bytes() - kept_memtable_bytes_ + stats.memtable_bytes +
                       feed_gate_->held_bytes.load(std::memory_order_relaxed);
  stats.memory_budget_bytes = kv::MemoryBudgetBytes(options_);
  stats.expiry_ahead_ms = AheadMs();
  stats.recovered_log_records = recovered_records_;
  stats.dropped_log_bytes = dropped_log_bytes_;
  stats.as_of_last_flush = as_of_last_flush_;
  stats.live_snapshots = snapshots_->Count();
  stats.oldest_snapshot_sequence = snapshots_->Oldest();
  stats.last_sequence = last_sequence_.load(std::memory_order_acquire);
  feed_.FillStats(&stats);
  return stats;
}

}  // namespace bandb::storage
