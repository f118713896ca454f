// The engine's background work: flushes and compactions.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/engine/engine.h"
#include "storage/file/refused_read.h"
#include "storage/read/level_cursor.h"
#include "storage/read/merging_cursor.h"
#include "storage/table/table_cursor.h"

namespace bandb::storage {

namespace {

// What a step of a merge reads: some milliseconds' worth.
constexpr uint64_t kStepBytes = 1 << 20;
// Compactions read their inputs in stretches of this size.
constexpr uint32_t kCompactionReadaheadBytes = 512 << 10;
}  // namespace

// Work of a job, which ends in an edit: the job takes its steps, and the edit then keeps it until
// it is told how it ended. What stops it before that ends it in the same way.
class Engine::Work : public EditSource {
 public:
  explicit Work(Engine* engine)
      : engine_(engine),
        begin_nanos_(engine->env_.clock->MonotonicNanos()),
        generation_(engine->generation_->load(std::memory_order_relaxed)),
        resumes_seen_(engine->lifecycle_.resumes()) {}
  void BeginStep() { resumes_seen_ = engine_->lifecycle_.resumes(); }
  // One step. True once *edit says what the work has made.
  virtual absl::StatusOr<bool> Step(PendingEdit* edit) = 0;
  absl::Status Prepare(const ManifestState& /*present*/, PendingEdit* /*edit*/) override { return CheckState(); }
  // Errors: kAborted another state has taken the place of the one that this works on.
  absl::Status CheckState() const {
    if (engine_->generation_->load(std::memory_order_acquire) == generation_) return absl::OkStatus();
    return base::Error(absl::StatusCode::kAborted, "another state was installed meanwhile");
  }

 protected:
  // True of a failed merge that a later one need not meet: nothing that was written has failed.
  static bool MayPass(const TableMerge& merge, const absl::Status& status) {
    if (merge.failure() == TableMerge::Failure::kReading) return true;
    // A full disk stops the writes, and that the lock is lost stops them for good.
    return merge.failure() == TableMerge::Failure::kMaking && status.code() != absl::StatusCode::kResourceExhausted &&
           status.code() != absl::StatusCode::kFailedPrecondition;
  }
  JobEnd End(const absl::Status& status) const {
    return {.status = status, .resumes_seen = resumes_seen_, .may_pass = may_pass_, .generation = generation_};
  }
  absl::Duration Elapsed() const { return absl::Nanoseconds(engine_->env_.clock->MonotonicNanos() - begin_nanos_); }
  // Adds the tables that a merge has written to an edit.
  void AddTables(std::vector<TableInfo> tables, int level, PendingEdit* edit) const {
    for (TableInfo& info : tables) {
      edit->edit.added.push_back({level, info});
      edit->added.push_back(std::make_shared<LiveTable>(std::move(info), engine_->tables_));
      // What range tombstones cover is known once the table is open, which readers want anyhow.
      if (edit->added.back()->info().range_tombstones > 0) edit->added.back()->Reader().status().IgnoreError();
    }
  }

  Engine* const engine_;
  const int64_t begin_nanos_;
  const uint64_t generation_;
  // From before the present step: whatever stops it is no older.
  uint64_t resumes_seen_;
  // See JobEnd.
  bool may_pass_ = false;
};

class Engine::WorkJob final : public base::Job {
 public:
  WorkJob(Engine* engine, std::unique_ptr<Work> work) : engine_(engine), work_(std::move(work)) {}

  Next Step() override {
    BANDB_ASSERT(work_ != nullptr);
    work_->BeginStep();
    if (engine_->lifecycle_.RefusesWrites()) {
      // OK if Resume came in between: then go on.
      if (const absl::Status stopped = engine_->lifecycle_.MayWrite(); !stopped.ok()) return End(stopped);
      work_->BeginStep();
    }
    if (const absl::Status replaced = work_->CheckState(); !replaced.ok()) return End(replaced);
    PendingEdit edit;
    const absl::StatusOr<bool> done = work_->Step(&edit);
    if (!done.ok()) return End(done.status());
    if (!*done) return Next::kAgain;
    edit.source = std::move(work_);
    if (edit.edit.log_number) {
      engine_->ApplyFlush(std::move(edit));
    } else {
      engine_->versions_.Apply(std::move(edit));
    }
    return Next::kDone;
  }

 private:
  Next End(const absl::Status& status) {
    std::exchange(work_, nullptr)->Installed(status);
    return Next::kDone;
  }

  Engine* const engine_;
  std::unique_ptr<Work> work_;
};

// Writes what all frozen memtables hold into one table of level 0.
class Engine::FlushWork final : public Work {
 public:
  // `position`: of a replica, how far the memtables go.
  FlushWork(Engine* engine, std::vector<std::shared_ptr<Memtable>> memtables, MergeInputs inputs, MergeOutputs outputs,
            uint64_t next_log, std::optional<ReplicaPosition> position)
      : Work(engine),
        memtables_(std::move(memtables)),
        next_log_(next_log),
        position_(std::move(position)),
        merge_(std::make_unique<TableMerge>(std::move(inputs), std::move(outputs))) {
    BANDB_ASSERT(!memtables_.empty());
    BANDB_ASSERT(memtables_.back()->log_number() < next_log_);
  }

  absl::StatusOr<bool> Step(PendingEdit* edit) override {
    const absl::StatusOr<bool> done = merge_->Step(kStepBytes);
    if (!done.ok()) may_pass_ = MayPass(*merge_, done.status());
    if (!done.ok() || !*done) return done;
    std::vector<TableInfo> tables = merge_->TakeTables();
    BANDB_ASSERT(tables.size() <= 1);
    info_.entries = merge_->input_entries();
    if (!tables.empty()) {
      info_.table_number = tables[0].number;
      info_.table_bytes = tables[0].file_bytes;
    }
    edit->edit.log_number = next_log_;
    edit->edit.last_sequence = memtables_.back()->largest_sequence();
    if (position_) {
      // Its last entries need not have written anything.
      edit->edit.last_sequence = position_->last_sequence;
      edit->edit.applied = position_->applied;
      edit->edit.commit_time_ms = position_->commit_time_ms;
      edit->edit.membership = position_->membership;
    }
    AddTables(std::move(tables), 0, edit);
    info_.duration = Elapsed();
    return true;
  }

  absl::Status Prepare(const ManifestState& present, PendingEdit* edit) override {
    engine_->KeepLogs(present, &edit->edit);
    return Work::Prepare(present, edit);
  }

  void Installed(const absl::Status& status) override {
    merge_.reset();
    engine_->FinishFlush(End(status), info_);
  }

 private:
  // Kept while their cursors are read.
  const std::vector<std::shared_ptr<Memtable>> memtables_;
  const uint64_t next_log_;
  const std::optional<ReplicaPosition> position_;
  FlushInfo info_;
  std::unique_ptr<TableMerge> merge_;
};

// Merges the tables of a compaction, or moves them.
class Engine::CompactionWork final : public Work {
 public:
  CompactionWork(Engine* engine, Compaction compaction, SnapshotHorizon horizon, std::shared_ptr<const Version> version,
                 MergeOutputs outputs, uint64_t take_backs)
      : Work(engine),
        take_backs_(take_backs),
        compaction_(std::move(compaction)),
        horizon_(std::move(horizon)),
        version_(std::move(version)),
        outputs_(std::move(outputs)) {
    BANDB_ASSERT(!compaction_.inputs.empty());
    BANDB_ASSERT(compaction_.Rewrites() || compaction_.output_inputs.empty());
  }

  absl::StatusOr<bool> Step(PendingEdit* edit) override {
    if (!failure_.ok()) return LookForDamage();
    if (compaction_.Rewrites()) {
      const absl::StatusOr<bool> merged = Merge();
      if (!merged.ok()) {
        const bool reading = merge_ == nullptr || merge_->failure() == TableMerge::Failure::kReading;
        may_pass_ = reading || MayPass(*merge_, merged.status());
        if (!reading || storage::MayPass(merged.status())) return merged;
        failure_ = merged.status();
        merge_.reset();
      }
      if (!merged.ok() || !*merged) return false;
    }
    FillEdit(edit);
    return true;
  }

  void Installed(const absl::Status& status) override {
    // Whoever waits for the end of a CompactRange waits for the end of the inputs, too.
    merge_.reset();
    version_.reset();
    // An edit that does not fit comes of inputs that are not what the manifest says of them.
    if (status.code() == absl::StatusCode::kDataLoss && damaged_.empty()) BlameAll(status);
    engine_->SetAside(damaged_, generation_, take_backs_);
    JobEnd end = End(status);
    end.damage_set_aside = !damaged_.empty();
    engine_->FinishCompaction(std::move(compaction_), end, info_);
  }

 private:
  absl::StatusOr<bool> Merge() {
    if (merge_ == nullptr) BANDB_RETURN_IF_ERROR(BeginMerge());
    return merge_->Step(kStepBytes);
  }

  // Reads the inputs one by one, to tell which of them made the merge fail: all of them may be
  // read again by now. Never true: the failure is the end.
  absl::StatusOr<bool> LookForDamage() {
    const size_t inputs = compaction_.inputs.size();
    if (looked_at_ == inputs + compaction_.output_inputs.size()) return failure_;
    const bool is_input = looked_at_ < inputs;
    const TablePtr& table = is_input ? compaction_.inputs[looked_at_] : compaction_.output_inputs[looked_at_ - inputs];
    ++looked_at_;
    const absl::StatusOr<const TableReader*> reader = table->Reader();
    const absl::Status verified = reader.ok() ? (*reader)->VerifyChecksums() : reader.status();
    if (storage::MayPass(verified)) return verified;
    if (!verified.ok()) Blame(*table, is_input ? compaction_.level : compaction_.output_level, verified);
    return false;
  }

  void Blame(const LiveTable& table, int level, const absl::Status& status) {
    damaged_.push_back({.table_number = table.info().number, .level = level, .status = status});
  }
  void BlameAll(const absl::Status& status) {
    for (const TablePtr& table : compaction_.inputs) Blame(*table, compaction_.level, status);
    for (const TablePtr& table : compaction_.output_inputs) Blame(*table, compaction_.output_level, status);
  }

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
      cursors.push_back(NewLevelCursor(&compaction_.inputs, options));
    }
    if (!compaction_.output_inputs.empty()) cursors.push_back(NewLevelCursor(&compaction_.output_inputs, options));
    for (const std::vector<TablePtr>* tables : {&compaction_.inputs, &compaction_.output_inputs}) {
      for (const TablePtr& table : *tables) {
        if (table->info().range_tombstones == 0) continue;
        BANDB_ASSIGN_OR_RETURN(const TableReader* reader, table->Reader());
        const std::vector<RangeTombstone>& more = reader->tombstones().tombstones();
        inputs.tombstones.insert(inputs.tombstones.end(), more.begin(), more.end());
      }
    }
    inputs.cursor = NewMergingCursor(std::move(cursors));
    inputs.horizon = std::move(horizon_);
    // Within level 0 an older table may hold what an entry hides.
    if (compaction_.output_level > 0) inputs.version = std::move(version_);
    inputs.output_level = compaction_.output_level;
    inputs.grandparents = compaction_.grandparents;
    merge_ = std::make_unique<TableMerge>(std::move(inputs), std::move(outputs_));
    return absl::OkStatus();
  }

  void FillEdit(PendingEdit* edit) {
    for (const TablePtr& table : compaction_.inputs) {
      edit->edit.deleted.push_back({compaction_.level, table->info().number});
      if (!compaction_.is_move) continue;
      edit->edit.added.push_back({compaction_.output_level, table->info()});
      edit->added.push_back(table);
    }
    for (const TablePtr& table : compaction_.output_inputs) {
      edit->edit.deleted.push_back({compaction_.output_level, table->info().number});
    }
    if (merge_ != nullptr) {
      std::vector<TableInfo> tables = merge_->TakeTables();
      for (const TableInfo& info : tables) info_.output_bytes += info.file_bytes;
      info_.output_tables = tables.size();
      AddTables(std::move(tables), compaction_.output_level, edit);
    }
    info_.input_level = compaction_.level;
    info_.output_level = compaction_.output_level;
    info_.input_tables = compaction_.inputs.size() + compaction_.output_inputs.size();
    info_.input_bytes = compaction_.InputBytes();
    info_.moved = compaction_.is_move;
    info_.duration = Elapsed();
  }

  // From before it began: what it finds damaged after another may be whole again.
  const uint64_t take_backs_;
  Compaction compaction_;
  SnapshotHorizon horizon_;
  std::shared_ptr<const Version> version_;
  MergeOutputs outputs_;
  CompactionInfo info_;
  std::unique_ptr<TableMerge> merge_;
  // What the merge failed of, how many inputs were read since, and what was found.
  absl::Status failure_;
  size_t looked_at_ = 0;
  std::vector<TableDamage> damaged_;
};

MergeOutputs Engine::OutputsFor(uint64_t table_bytes) {
  MergeOutputs outputs;
  outputs.files = env_.files;
  outputs.engine_dir = engine_dir_;
  outputs.database_id = database_id_;
  outputs.table_options = {.block_bytes = options_.block_bytes,
                           .bloom_bits_per_key = options_.bloom_bits_per_key,
                           .compression = options_.compression,
                           .partition_index_bytes = PartitionIndexBytes(options_.table_bytes),
                           .creation_time_ms = NowMs()};
  outputs.table_bytes = table_bytes;
  outputs.new_file_number = [this]() { return versions_.NewFileNumber(); };
  outputs.random = job_random_.Fork();
  outputs.memory_bytes = tables_->cache()->working_bytes();
  return outputs;
}

void Engine::MaybeScheduleWork() {
  using Kind = CompactionSchedule::Work::Kind;
  if (lifecycle_.phase() != Lifecycle::Phase::kRunning) return;
  const std::shared_ptr<const Version> version = versions_.version();
  // A snapshot that goes after this look brings about another one.
  waits_for_snapshot_.store(true, std::memory_order_seq_cst);
  // As the compaction will have it: what it could not drop must not be picked.
  const uint64_t now_ms = EditTimeMs();
  const SnapshotHorizon horizon = snapshots_->Horizon(now_ms);
  while (true) {
    CompactionSchedule::Work work =
        schedule_.Next({.version = version.get(),
                        .may_flush = !flush_back_off_.waiting() && FlushableMemtables() != 0,
                        .may_compact = !compaction_back_off_.waiting(),
                        .next_file_number = versions_.next_file_number(),
                        .horizon = &horizon,
                        .now_ms = now_ms});
    if (work.kind == Kind::kNothing) return AwaitSpace(now_ms);
    // Closing begins under the mutex, so it has not begun.
    const bool entered = lifecycle_.Enter();
    BANDB_ASSERT(entered);
    switch (work.kind) {
      case Kind::kFlush:
        StartFlush();
        break;
      case Kind::kCompaction:
        StartCompaction(std::move(work.compaction));
        break;
      case Kind::kManualDone:
        // Once what was compacted is gone from the disk.
        env_.executor->Post(base::Priority::kNormal, [this, done = std::move(work.done), status = work.status]() {
          tables_->WhenRemoved([this, done, status]() {
            done(status);
            lifecycle_.Leave();
          });
        });
        break;
      case Kind::kNothing:
        BANDB_UNREACHABLE();
    }
  }
}

void Engine::StartFlush() {
  BANDB_ASSERT(!frozen_.empty());
  MergeInputs inputs;
  std::vector<std::unique_ptr<Cursor>> cursors;
  const size_t count = FlushableMemtables();
  BANDB_ASSERT(count > 0);
  const std::vector<std::shared_ptr<Memtable>> memtables(frozen_.begin(),
                                                         frozen_.begin() + static_cast<std::ptrdiff_t>(count));
  const uint64_t next_log = count < frozen_.size() ? frozen_[count]->log_number() : memtable_->log_number();
  std::optional<ReplicaPosition> position;
  if (is_replica_) position = frozen_positions_.at(memtables.back()->log_number());
  for (const std::shared_ptr<Memtable>& memtable : memtables) {
    cursors.push_back(memtable->NewCursor());
    memtable->tombstones().Collect(kSequenceMax, &inputs.tombstones);
  }
  inputs.cursor = NewMergingCursor(std::move(cursors));
  inputs.horizon = snapshots_->Horizon(position ? position->commit_time_ms : NowMs());
  auto work = std::make_unique<FlushWork>(this, memtables, std::move(inputs), OutputsFor(UINT64_MAX), next_log,
                                          std::move(position));
  env_.executor->Start(base::Priority::kHigh, std::make_unique<WorkJob>(this, std::move(work)));
}

void Engine::StartCompaction(Compaction compaction) {
  SnapshotHorizon horizon = snapshots_->Horizon(EditTimeMs());
  // Tables of level 0 share no sequences, so what is merged there is one table.
  const uint64_t table_bytes = compaction.output_level == 0 ? UINT64_MAX : options_.table_bytes;
  auto work = std::make_unique<CompactionWork>(this, std::move(compaction), std::move(horizon), versions_.version(),
                                               OutputsFor(table_bytes), schedule_.take_backs());
  env_.executor->Start(base::Priority::kLow, std::make_unique<WorkJob>(this, std::move(work)));
}

void Engine::CountIterator() {
  if (!read_allowance_.Take()) return;
  base::MutexLock lock(&mutex_);
  schedule_.WantLevel0();
  MaybeScheduleWork();
}

FileHeader Engine::NewHeader(FileType type) {
  base::MutexLock lock(&mutex_);
  return Header(type, &job_random_);
}

void Engine::InstallEdit(PendingEdit* edit) {
  ViewHolder::Retired retired;
  std::vector<TablePtr> obsolete;
  std::vector<Done> abandoned;
  {
    base::MutexLock lock(&mutex_);
    const std::vector<VersionEdit::DeletedTable>& deleted = edit->edit.deleted;
    const bool level0_is_new =
        versions_.version()->level(0).empty() ||
        std::any_of(deleted.begin(), deleted.end(), [](const auto& gone) { return gone.level == 0; });
    obsolete = versions_.Install(edit);
    if (edit->replaces_all) ReplaceState(edit->edit, &abandoned);
    // What was in logs below this one is in tables now.
    const uint64_t log_number = edit->edit.log_number.value_or(0);
    BANDB_ASSERT(log_number <= memtable_->log_number());
    while (!frozen_.empty() && frozen_.front()->log_number() < log_number) frozen_.pop_front();
    frozen_positions_.erase(frozen_positions_.begin(), frozen_positions_.lower_bound(log_number));
    InstallView(&retired);
    if (level0_is_new) read_allowance_.Renew(schedule_.RenewAllowance(*versions_.version()));
  }
  for (Done& done : abandoned) {
    done(base::Error(absl::StatusCode::kAborted, "another state was installed meanwhile"));
  }
  if (!edit->edit.log_number) return;
  logs_.NoteDurable(edit->edit.last_sequence.value_or(0));
  RemoveLogs(feed_.LetGo(*edit->edit.log_number));
  feed_gate_->durable.Tell();
}

}  // namespace bandb::storage
