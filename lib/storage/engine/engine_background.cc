// The engine's background work: flushes, and what is begun when.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/engine/engine.h"
#include "storage/engine/engine_work.h"
#include "storage/read/merging_cursor.h"

namespace bandb::storage {

base::Job::Next Engine::WorkJob::Step() {
  BANDB_ASSERT(work_ != nullptr);
  work_->BeginStep();
  if (engine_->lifecycle_.RefusesWrites()) {
    // OK if Resume came in between: then go on. So does what gives room.
    const absl::Status stopped = engine_->lifecycle_.MayWrite();
    const bool gives_room = work_->is_drop() && absl::IsResourceExhausted(stopped);
    if (!stopped.ok() && !gives_room) return End(stopped);
    work_->BeginStep();
  }
  if (const absl::Status replaced = work_->CheckState(); !replaced.ok()) return End(replaced);
  if (!engine_->pace_.MayStep(work_->is_flush(), work_->Writes())) {
    const bool is_flush = work_->is_flush();
    const bool writes = work_->Writes();
    engine_->pace_.Park(is_flush, std::make_unique<WorkJob>(engine_, std::move(work_)), writes);
    return Next::kDone;
  }
  PendingEdit edit;
  const absl::StatusOr<bool> done = work_->Step(&edit);
  if (!done.ok()) return End(done.status());
  if (!*done) return Next::kAgain;
  edit.gives_room = work_->is_drop();
  edit.source = std::move(work_);
  if (edit.edit.log_number) {
    engine_->ApplyFlush(std::move(edit));
  } else {
    engine_->versions_.Apply(std::move(edit));
  }
  return Next::kDone;
}

base::Job::Next Engine::WorkJob::End(const absl::Status& status) {
  std::exchange(work_, nullptr)->Installed(status);
  return Next::kDone;
}

// Writes what all frozen memtables hold into one table of level 0.
class Engine::FlushWork final : public Work {
 public:
  // `position`: of a replica, how far the memtables go.
  FlushWork(Engine* engine, std::vector<std::shared_ptr<Memtable>> memtables, MergeInputs inputs, MergeOutputs outputs,
            uint64_t next_log, std::optional<ReplicaPosition> position)
      : Work(engine, true, inputs.horizon.now_ms, inputs.horizon.now_ms),
        memtables_(std::move(memtables)),
        next_log_(next_log),
        position_(std::move(position)),
        merge_(std::make_unique<TableMerge>(std::move(inputs), std::move(outputs))) {
    BANDB_ASSERT(!memtables_.empty());
    BANDB_ASSERT(memtables_.back()->log_number() < next_log_);
  }

  absl::StatusOr<bool> Step(PendingEdit* edit) override {
    const absl::StatusOr<bool> done = StepMerge(merge_.get());
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
      edit->edit.user_sequence = position_->user_sequence;
      edit->edit.applied = position_->applied;
      edit->edit.commit_time_ms = position_->commit_time_ms;
      edit->edit.membership = position_->membership;
    }
    BANDB_ASSERT(tables.empty() || tables[0].largest_sequence <= *edit->edit.last_sequence);
    AddTables(std::move(tables), 0, edit);
    info_.duration = Elapsed();
    return true;
  }

  absl::Status Prepare(const ManifestState& present, PendingEdit* edit) override {
    if (!position_) {
      Sequence& last = edit->edit.user_sequence.emplace(present.LastUserSequence());
      for (const auto& memtable : memtables_) last = std::max(last, memtable->largest_user_sequence());
    }
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

MergeOutputs Engine::OutputsFor(int level) {
  MergeOutputs outputs;
  outputs.files = env_.files;
  outputs.engine_dir = engine_dir_;
  outputs.database_id = database_id_;
  outputs.table_options = {.block_bytes = options_.block_bytes,
                           .bloom_bits_per_key = options_.bloom_bits_per_key,
                           .compression = level == kLevels - 1
                                              ? options_.compression_last_level.value_or(options_.compression)
                                              : options_.compression,
                           .partition_index_bytes = PartitionIndexBytes(options_.table_bytes),
                           .creation_time_ms = NowMs()};
  // Tables of level 0 share no sequences, so what is merged there is one table.
  outputs.table_bytes = level == 0 ? UINT64_MAX : options_.table_bytes;
  outputs.new_file_number = [this]() { return versions_.NewFileNumber(); };
  outputs.random = job_random_.Fork();
  outputs.memory_bytes = tables_->cache()->working_bytes();
  return outputs;
}

void Engine::MaybeScheduleWork() {
  using Kind = CompactionSchedule::Work::Kind;
  const bool only_drops = IsFullBuffer();
  if (!only_drops && lifecycle_.phase() != Lifecycle::Phase::kRunning) return;
  const std::shared_ptr<const Version> version = versions_.version();
  // A snapshot that goes after this look brings about another one.
  waits_for_snapshot_.store(true, std::memory_order_seq_cst);
  // As the compaction will have it: what it could not drop must not be picked.
  const uint64_t now_ms = EditTimeMs();
  const SnapshotHorizon horizon = snapshots_->Horizon(now_ms);
  while (true) {
    CompactionSchedule::Work work =
        schedule_.Next({.version = version.get(),
                        .may_flush = !only_drops && !flush_back_off_.waiting() && FlushableMemtables() != 0,
                        .may_compact = !compaction_back_off_.waiting() && !pace_.IsPaused(),
                        .only_drops = only_drops,
                        .next_file_number = versions_.next_file_number(),
                        .horizon = &horizon,
                        .now_ms = now_ms});
    snapshots_->SetForgettingDue(schedule_.space_outlook().forgets);
    if (work.kind == Kind::kNothing) return AwaitSpace(now_ms);
    // Closing begins under the mutex, so it has not begun.
    const bool entered = lifecycle_.Enter();
    BANDB_ASSERT(entered);
    switch (work.kind) {
      case Kind::kFlush:
        StartFlush();
        break;
      case Kind::kCompaction:
        StartCompaction(std::move(work.compaction), now_ms);
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
  auto work =
      std::make_unique<FlushWork>(this, memtables, std::move(inputs), OutputsFor(0), next_log, std::move(position));
  env_.executor->Start(base::Priority::kHigh, std::make_unique<WorkJob>(this, std::move(work)));
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
  std::vector<uint64_t> gone;
  // Before anybody sees its last sequence: a reader that then asks for what comes after the one
  // before must find no log that ends there.
  if (edit->publishes) gone = SkipLogs(edit->edit);
  BANDB_ASSERT(edit->edit.added.size() == edit->added.size());
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
    BANDB_ASSERT(frozen_positions_.size() == (is_replica_ ? frozen_.size() : 0));
    InstallView(&retired);
    if (edit->publishes) PublishIngest(edit->edit);
    if (level0_is_new) read_allowance_.Renew(schedule_.RenewAllowance(*versions_.version()));
  }
  for (Done& done : abandoned) {
    done(base::Error(absl::StatusCode::kAborted, "another state was installed meanwhile"));
  }
  if (!edit->edit.log_number) return;
  logs_.NoteDurable(edit->edit.last_sequence.value_or(0));
  if (!edit->publishes) gone = feed_.LetGo(*edit->edit.log_number);
  RemoveLogs(gone);
  feed_gate_->durable.Tell();
  if (edit->publishes) feed_gate_->committed.Tell();
}

}  // namespace bandb::storage
