// The engine's background work: flushes and compactions.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/engine/engine.h"
#include "storage/file/file_names.h"
#include "storage/read/level_cursor.h"
#include "storage/read/merging_cursor.h"
#include "storage/table/table_cursor.h"

namespace bandb::storage {

namespace {

// What a step of a merge reads: some milliseconds' worth.
constexpr uint64_t kStepBytes = 1 << 20;
// Compactions read their inputs in stretches of this size.
constexpr uint32_t kCompactionReadaheadBytes = 512 << 10;
// What an iterator loses by one more run of tables is worth compacting so much (LevelDB's estimate for a seek).
constexpr uint64_t kBytesPerIterator = 16 << 10;
// Fewer iterators than this are no pattern.
constexpr int64_t kIteratorsMin = 1000;

absl::Duration Since(base::Clock* clock, int64_t begin_nanos) {
  return absl::Nanoseconds(clock->MonotonicNanos() - begin_nanos);
}

}  // namespace

// Writes what all frozen memtables hold into one table of level 0.
class Engine::FlushJob final : public base::Job {
 public:
  FlushJob(Engine* engine, std::vector<std::shared_ptr<Memtable>> memtables, MergeInputs inputs, MergeOutputs outputs,
           uint64_t next_log)
      : engine_(engine),
        memtables_(std::move(memtables)),
        begin_nanos_(engine->env_.clock->MonotonicNanos()),
        next_log_(next_log),
        merge_(std::make_unique<TableMerge>(std::move(inputs), std::move(outputs))) {}

  Next Step() override {
    if (engine_->stopped_.load(std::memory_order_acquire)) {
      // OK if Resume came in between: then go on.
      if (const absl::Status stopped = engine_->StopStatus(); !stopped.ok()) return Finish(stopped);
    }
    absl::StatusOr<bool> done = merge_->Step(kStepBytes);
    if (done.ok() && !*done) return Next::kAgain;
    if (!done.ok()) return Finish(done.status());
    std::vector<TableInfo> tables = merge_->TakeTables();
    info_.entries = merge_->input_entries();
    PendingEdit edit;
    edit.flushed_memtables = memtables_.size();
    edit.edit.log_number = next_log_;
    edit.edit.last_sequence = memtables_.back()->largest_sequence();
    BANDB_ASSERT(tables.size() <= 1);
    for (TableInfo& meta : tables) {
      info_.table_number = meta.number;
      info_.table_bytes = meta.file_bytes;
      edit.edit.added.push_back({0, meta});
      edit.added.push_back(std::make_shared<LiveTable>(std::move(meta), engine_->tables_));
    }
    info_.duration = Since(engine_->env_.clock, begin_nanos_);
    edit.done = [engine = engine_, info = info_](absl::Status status) { engine->FinishFlush(status, info); };
    merge_.reset();
    engine_->ApplyEdit(std::move(edit));
    return Next::kDone;
  }

 private:
  Next Finish(const absl::Status& status) {
    merge_.reset();
    engine_->FinishFlush(status, info_);
    return Next::kDone;
  }

  Engine* const engine_;
  // Kept while their cursors are read.
  const std::vector<std::shared_ptr<Memtable>> memtables_;
  const int64_t begin_nanos_;
  const uint64_t next_log_;
  FlushInfo info_;
  std::unique_ptr<TableMerge> merge_;
};

// Merges the tables of a compaction, or moves them.
class Engine::CompactionJob final : public base::Job {
 public:
  CompactionJob(Engine* engine, Compaction compaction, std::shared_ptr<ManualCompaction> manual,
                SnapshotHorizon horizon, std::shared_ptr<const Version> version, MergeOutputs outputs)
      : engine_(engine),
        compaction_(std::move(compaction)),
        manual_(std::move(manual)),
        horizon_(std::move(horizon)),
        version_(std::move(version)),
        outputs_(std::move(outputs)),
        begin_nanos_(engine->env_.clock->MonotonicNanos()) {}

  Next Step() override {
    if (engine_->stopped_.load(std::memory_order_acquire)) {
      // OK if Resume came in between: then go on.
      if (const absl::Status stopped = engine_->StopStatus(); !stopped.ok()) return Finish(stopped);
    }
    if (compaction_.is_move) return Install({});
    if (merge_ == nullptr) {
      if (const absl::Status begun = BeginMerge(); !begun.ok()) return Finish(begun);
    }
    const absl::StatusOr<bool> done = merge_->Step(kStepBytes);
    if (!done.ok()) return Finish(done.status());
    if (!*done) return Next::kAgain;
    return Install(merge_->TakeTables());
  }

 private:
  absl::Status BeginMerge() {
    MergeInputs inputs;
    const TableCursorOptions options{.fill_cache = false, .readahead_bytes = kCompactionReadaheadBytes};
    std::vector<std::unique_ptr<Cursor>> cursors;
    if (compaction_.level == 0) {
      for (const TablePtr& table : compaction_.inputs) {
        BANDB_ASSIGN_OR_RETURN(const TableReader* reader, table->Reader());
        cursors.push_back(NewTableCursor(*reader, options));
      }
    } else {
      cursors.push_back(NewLevelCursor(compaction_.inputs, options));
    }
    if (!compaction_.output_inputs.empty()) cursors.push_back(NewLevelCursor(compaction_.output_inputs, options));
    for (const std::vector<TablePtr>* tables : {&compaction_.inputs, &compaction_.output_inputs}) {
      for (const TablePtr& table : *tables) {
        if (table->meta().range_tombstones == 0) continue;
        BANDB_ASSIGN_OR_RETURN(const TableReader* reader, table->Reader());
        const std::vector<RangeTombstone>& more = reader->tombstones().tombstones();
        inputs.tombstones.insert(inputs.tombstones.end(), more.begin(), more.end());
      }
    }
    inputs.cursor = NewMergingCursor(std::move(cursors));
    inputs.horizon = std::move(horizon_);
    inputs.version = std::move(version_);
    inputs.output_level = compaction_.output_level;
    inputs.grandparents = compaction_.grandparents;
    merge_ = std::make_unique<TableMerge>(std::move(inputs), std::move(outputs_));
    return absl::OkStatus();
  }

  Next Install(std::vector<TableInfo> tables) {
    PendingEdit edit;
    for (const TablePtr& table : compaction_.inputs) {
      edit.edit.deleted.push_back({compaction_.level, table->meta().number});
      if (compaction_.is_move) {
        edit.edit.added.push_back({compaction_.output_level, table->meta()});
        edit.added.push_back(table);
      }
    }
    for (const TablePtr& table : compaction_.output_inputs) {
      edit.edit.deleted.push_back({compaction_.output_level, table->meta().number});
    }
    for (TableInfo& meta : tables) {
      info_.output_bytes += meta.file_bytes;
      edit.edit.added.push_back({compaction_.output_level, meta});
      edit.added.push_back(std::make_shared<LiveTable>(std::move(meta), engine_->tables_));
    }
    info_.input_level = compaction_.level;
    info_.output_level = compaction_.output_level;
    info_.input_tables = compaction_.inputs.size() + compaction_.output_inputs.size();
    info_.input_bytes = compaction_.InputBytes();
    info_.output_tables = tables.size();
    info_.moved = compaction_.is_move;
    info_.duration = Since(engine_->env_.clock, begin_nanos_);
    merge_.reset();
    edit.done = [engine = engine_, compaction = compaction_, manual = manual_, info = info_](absl::Status status) {
      engine->FinishCompaction(compaction, manual, status, info);
    };
    engine_->ApplyEdit(std::move(edit));
    return Next::kDone;
  }

  Next Finish(const absl::Status& status) {
    merge_.reset();
    engine_->FinishCompaction(compaction_, manual_, status, info_);
    return Next::kDone;
  }

  Engine* const engine_;
  const Compaction compaction_;
  // Shared with the engine's list of those who asked.
  const std::shared_ptr<ManualCompaction> manual_;
  SnapshotHorizon horizon_;
  std::shared_ptr<const Version> version_;
  MergeOutputs outputs_;
  const int64_t begin_nanos_;
  CompactionInfo info_;
  std::unique_ptr<TableMerge> merge_;
};

MergeOutputs Engine::OutputsFor(uint64_t table_bytes) {
  MergeOutputs outputs;
  outputs.files = env_.files;
  outputs.engine_dir = engine_dir_;
  outputs.database_id = database_id_;
  outputs.table_options = {.block_bytes = options_.block_bytes,
                           .bloom_bits_per_key = options_.bloom_bits_per_key,
                           .compression = options_.compression,
                           .creation_time_ms = NowMs()};
  outputs.table_bytes = table_bytes;
  outputs.new_file_number = [this]() { return NewFileNumber(); };
  outputs.random = job_random_.Fork();
  return outputs;
}

void Engine::MaybeScheduleWork() {
  if (closing_ || stop_) return;
  if (!flushing_ && !frozen_.empty()) {
    flushing_ = true;
    BeginActivity();
    MergeInputs inputs;
    std::vector<std::unique_ptr<Cursor>> cursors;
    std::vector<std::shared_ptr<Memtable>> memtables(frozen_.begin(), frozen_.end());
    for (const std::shared_ptr<Memtable>& memtable : memtables) {
      cursors.push_back(memtable->NewCursor());
      memtable->tombstones().Collect(kSequenceMax, &inputs.tombstones);
    }
    inputs.cursor = NewMergingCursor(std::move(cursors));
    inputs.horizon = snapshots_->Horizon(NowMs());
    env_.executor->Start(base::Priority::kHigh,
                         std::make_unique<FlushJob>(this, std::move(memtables), std::move(inputs),
                                                    OutputsFor(UINT64_MAX), active_->log_number()));
  }
  ScheduleManual();
  const int compactions_max = std::max(1, options_.background_threads - 1);
  CompactionSettings settings = settings_;
  if (level0_wanted_) settings.level0_tables = 1;
  while (compacting_ < compactions_max && !ManualIsWaiting()) {
    std::optional<Compaction> compaction = PickCompaction(*state_.version, settings, running_);
    if (!compaction) break;
    StartCompaction(*std::move(compaction), nullptr);
  }
}

void Engine::RenewReadAllowance() {
  level0_wanted_ = false;
  const Version& version = *state_.version;
  int64_t allowance = INT64_MAX;
  if (!version.level(0).empty()) {
    const uint64_t bytes = version.LevelBytes(0) + version.LevelBytes(TargetsFor(version, settings_).base_level);
    allowance = std::max(kIteratorsMin, static_cast<int64_t>(bytes / kBytesPerIterator));
  }
  read_allowance_.store(allowance, std::memory_order_relaxed);
}

void Engine::CountIterator() {
  if (read_allowance_.fetch_sub(1, std::memory_order_relaxed) != 1) return;
  base::MutexLock lock(&mutex_);
  level0_wanted_ = true;
  MaybeScheduleWork();
}

void Engine::StartCompaction(Compaction compaction, std::shared_ptr<ManualCompaction> manual) {
  BeginActivity();
  ++compacting_;
  running_.Add(compaction);
  SnapshotHorizon horizon = snapshots_->Horizon(NowMs());
  env_.executor->Start(base::Priority::kLow, std::make_unique<CompactionJob>(
                                                 this, std::move(compaction), std::move(manual), std::move(horizon),
                                                 state_.version, OutputsFor(options_.table_bytes)));
}

void Engine::ScheduleManual() {
  while (!manual_.empty()) {
    const std::shared_ptr<ManualCompaction>& manual = manual_.front();
    if (manual->running) return;
    if (!manual->begun) {
      if (compacting_ > 0) return;
      manual->begun = true;
      manual->first_new_number = next_file_number_.load(std::memory_order_relaxed);
    }
    bool blocked = false;
    std::optional<Compaction> compaction;
    while (manual->level + 1 < kLevels) {
      const int base_level = TargetsFor(*state_.version, settings_).base_level;
      const int output_level = manual->level == 0 ? base_level : manual->level + 1;
      compaction =
          PickRange(*state_.version, manual->level, output_level, manual->begin, manual->end, running_, &blocked);
      if (compaction || blocked) break;
      ++manual->level;
    }
    // Everything has arrived in the last level. What was there before has not been looked at yet, and nothing below it
    // keeps what is gone from being dropped.
    if (!compaction && !blocked) {
      compaction = PickRewrite(*state_.version, kLevels - 1, manual->begin, manual->end, manual->first_new_number,
                               running_, &blocked);
    }
    if (blocked) return;
    if (compaction) {
      manual->running = true;
      StartCompaction(*std::move(compaction), manual);
      return;
    }
    BeginActivity();
    env_.executor->Post(base::Priority::kNormal, [this, done = std::move(manual->done)]() {
      done(absl::OkStatus());
      EndActivity();
    });
    manual_.pop_front();
  }
}

void Engine::RemoveLogs(const std::vector<uint64_t>& numbers) {
  // What cannot be removed now is found at the next open.
  for (const uint64_t number : numbers) env_.files->Remove(base::JoinPath(engine_dir_, LogName(number))).IgnoreError();
}

void Engine::TakeFlushWaiters(std::vector<Done>* ready) {
  const uint64_t oldest = frozen_.empty() ? active_->log_number() : frozen_.front()->log_number();
  std::erase_if(flush_waiters_, [&](FlushWaiter& waiter) {
    if (waiter.log_number > oldest) return false;
    ready->push_back(std::move(waiter.done));
    return true;
  });
}

void Engine::FinishFlush(const absl::Status& status, const FlushInfo& info) {
  if (!status.ok() && !stopped_.load(std::memory_order_acquire)) StopWrites(base::Annotate(status, "flush"));
  if (status.ok() && options_.listener != nullptr) options_.listener->OnFlush(info);
  std::vector<Done> ready;
  {
    base::MutexLock lock(&mutex_);
    flushing_ = false;
    if (status.ok()) {
      ++flushes_;
      level_work_[0].bytes_written += info.table_bytes;
      TakeFlushWaiters(&ready);
    }
    MaybeScheduleWork();
  }
  UpdateStall();
  queue_.Unpark();
  for (Done& done : ready) done(absl::OkStatus());
  EndActivity();
}

void Engine::FinishCompaction(const Compaction& compaction, const std::shared_ptr<ManualCompaction>& manual,
                              const absl::Status& status, const CompactionInfo& info) {
  if (!status.ok() && !stopped_.load(std::memory_order_acquire)) StopWrites(base::Annotate(status, "compaction"));
  if (status.ok() && options_.listener != nullptr) options_.listener->OnCompaction(info);
  Done abandoned;
  {
    base::MutexLock lock(&mutex_);
    --compacting_;
    running_.Remove(compaction);
    if (status.ok()) {
      ++compactions_;
      LevelStats& into = level_work_[static_cast<size_t>(compaction.output_level)];
      level_work_[static_cast<size_t>(compaction.level)].bytes_read += info.moved ? 0 : info.input_bytes;
      into.bytes_written += info.output_bytes;
      into.bytes_moved += info.moved ? info.input_bytes : 0;
    }
    if (manual != nullptr) {
      BANDB_ASSERT(manual_.front() == manual);
      manual->running = false;
      ++manual->level;
      if (!status.ok() || closing_ || stop_) {
        abandoned = std::move(manual->done);
        manual_.pop_front();
      }
    }
    MaybeScheduleWork();
  }
  if (abandoned) abandoned(status.ok() ? StopStatus() : status);
  UpdateStall();
  EndActivity();
}

}  // namespace bandb::storage
