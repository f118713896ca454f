// Another replica's state in place of the engine's own.
//
// The order: the tables are durable under temporary names when they have been received; they get
// their names, and are read; then one edit of the manifest takes out all tables and puts in these,
// with the position. That edit is the moment: a crash before it leaves the old state and files that
// the next open removes, a crash after it the new state. Memory follows under the mutex, so that
// nobody sees a part of each. Jobs that work on the old state are not waited for: each edit is
// asked whether its state is still the present one, and what a job does beside its edit counts for
// its own generation alone.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/engine/engine_replica.h"

namespace bandb::storage {

void Engine::ReplaceState(const VersionEdit& edit, std::vector<Done>* abandoned) {
  BANDB_ASSERT(is_replica_);
  BANDB_ASSERT(edit.applied);
  BANDB_ASSERT(edit.last_sequence);
  BANDB_ASSERT(edit.log_number);
  generation_->fetch_add(1, std::memory_order_release);
  schedule_.StartOver(abandoned);
  const ManifestState state = versions_.state();
  applied_ = {.applied = *state.applied,
              .last_sequence = state.last_sequence,
              .user_sequence = state.LastUserSequence(),
              .commit_time_ms = state.commit_time_ms,
              .membership = state.membership.value_or(std::string())};
  durable_log_index_ = std::max(durable_log_index_, applied_.applied.index);
  // Everything in memory is of entries that the tables hold.
  BANDB_ASSERT(installed_memtable_ != nullptr);
  BANDB_ASSERT(installed_memtable_->log_number() == *edit.log_number);
  memtable_ = std::exchange(installed_memtable_, nullptr);
  frozen_.clear();
  // Before the view: a reader that sees the new tables sees them at their last sequence.
  logs_.NoteAppended(applied_.last_sequence, true);
  last_commit_time_ms_.store(applied_.commit_time_ms, std::memory_order_release);
  last_sequence_.store(applied_.last_sequence, std::memory_order_release);
}

// Ends an install, with or without an edit.
class EngineReplica::InstallSource final : public EditSource {
 public:
  InstallSource(EngineReplica* replica, std::unique_ptr<IncomingState> state, Engine::Done done)
      : replica_(replica), state_(std::move(state)), done_(std::move(done)) {}

  IncomingState& state() { return *state_; }

  absl::Status Prepare(const ManifestState& present, PendingEdit* edit) override {
    for (int level = 0; level < kLevels; ++level) {
      for (const TablePtr& table : present.version->level(level)) {
        edit->edit.deleted.push_back({level, table->info().number});
      }
    }
    state_->AddTo(edit);
    // Once the edit is durable nothing may fail.
    Engine& engine = *replica_->engine_;
    BANDB_ASSIGN_OR_RETURN(engine.installed_memtable_,
                           Memtable::Make(engine.env_.regions, engine.memtable_bytes_, *edit->edit.log_number));
    return absl::OkStatus();
  }

  void Installed(const absl::Status& status) override {
    state_.reset();
    replica_->engine_->installed_memtable_.reset();
    replica_->FinishInstall(status, std::move(done_));
  }

 private:
  EngineReplica* const replica_;
  std::unique_ptr<IncomingState> state_;
  Engine::Done done_;
};

// Takes over one table a step.
class EngineReplica::InstallJob final : public base::Job {
 public:
  InstallJob(EngineReplica* replica, std::unique_ptr<InstallSource> source)
      : engine_(replica->engine_.get()), source_(std::move(source)) {}

  Next Step() override {
    absl::Status status = engine_->lifecycle_.MayWrite();
    if (status.ok() && next_ < source_->state().table_count()) {
      status = source_->state().Adopt(next_++);
      if (status.ok()) return Next::kAgain;
    }
    if (!status.ok()) {
      std::exchange(source_, nullptr)->Installed(status);
      return Next::kDone;
    }
    const ReplicaPosition& position = source_->state().position();
    PendingEdit edit;
    edit.edit.log_number = engine_->versions_.NewFileNumber();
    edit.edit.applied = position.applied;
    edit.edit.last_sequence = position.last_sequence;
    edit.edit.user_sequence = position.user_sequence;
    edit.edit.commit_time_ms = position.commit_time_ms;
    edit.edit.membership = position.membership;
    edit.replaces_all = true;
    edit.source = std::move(source_);
    engine_->versions_.Apply(std::move(edit));
    return Next::kDone;
  }

 private:
  Engine* const engine_;
  std::unique_ptr<InstallSource> source_;
  size_t next_ = 0;
};

PinnedState EngineReplica::PinState() const {
  return {engine_->files_, engine_->engine_dir_, engine_->database_id_, engine_->versions_.state()};
}

namespace {

// Whether a state at `next` may take the place of one at `before`.
absl::Status CheckGoesOn(const ReplicaPosition& before, const ReplicaPosition& next) {
  if (next.applied.index < before.applied.index) {
    return base::Error(absl::StatusCode::kInvalidArgument, "a state at entry {} is behind the present one, at {}",
                       next.applied.index, before.applied.index);
  }
  const bool same_entry = next.applied.index == before.applied.index;
  const bool goes_on = next.applied.term >= before.applied.term && next.last_sequence >= before.last_sequence &&
                       next.commit_time_ms >= before.commit_time_ms;
  const bool is_same = next.applied.term == before.applied.term && next.last_sequence == before.last_sequence &&
                       next.commit_time_ms == before.commit_time_ms && next.membership == before.membership;
  if (same_entry ? is_same : goes_on) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDataLoss,
                     "a state at entry {} of term {}, sequence {}, does not come of the one at entry {} of term {}, "
                     "sequence {}",
                     next.applied.index, next.applied.term, next.last_sequence, before.applied.index,
                     before.applied.term, before.last_sequence);
}

}  // namespace

absl::StatusOr<std::unique_ptr<IncomingState>> EngineReplica::Receive(const ReplicaState& state) {
  if (engine_->lifecycle_.IsClosing()) return ClosedError();
  // It could not be installed: before all of it is sent.
  if (engine_->lifecycle_.RefusesWrites()) BANDB_RETURN_IF_ERROR(engine_->lifecycle_.MayWrite());
  BANDB_RETURN_IF_ERROR(CheckState(state));
  if (!(state.database_id == engine_->database_id_)) {
    return base::Error(absl::StatusCode::kInvalidArgument, "a state of database {}, not of {}",
                       ToString(state.database_id), ToString(engine_->database_id_));
  }
  BANDB_RETURN_IF_ERROR(CheckGoesOn(durable(), state.position));
  const IncomingState::Target target{.files = engine_->files_,
                                     .engine_dir = engine_->engine_dir_,
                                     .tables = engine_->tables_,
                                     .version = engine_->versions_.version(),
                                     .new_file_number = [this]() { return engine_->versions_.NewFileNumber(); }};
  return std::make_unique<IncomingState>(target, state);
}

absl::Status EngineReplica::CheckInstalls(const IncomingState& state) const {
  BANDB_RETURN_IF_ERROR(MayApply());
  BANDB_RETURN_IF_ERROR(CheckGoesOn(applied(), state.position()));
  if (state.IsComplete()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInvalidArgument, "tables of the state are missing");
}

void EngineReplica::Install(std::unique_ptr<IncomingState> state, Engine::Done done) {
  absl::Status may = CheckInstalls(*state);
  if (may.ok() && !engine_->lifecycle_.Enter()) may = ClosedError();
  if (!may.ok()) {
    state.reset();
    done(may);
    return;
  }
  installing_.store(true, std::memory_order_release);
  auto source = std::make_unique<InstallSource>(this, std::move(state), std::move(done));
  engine_->env_.executor->Start(base::Priority::kNormal, std::make_unique<InstallJob>(this, std::move(source)));
}

void EngineReplica::FinishInstall(const absl::Status& status, Engine::Done done) {
  // Ours alone: what it leads to may be the end of its caller.
  const Engine::Done tell = std::move(done);
  std::vector<Engine::Done> flushed;
  if (status.ok()) {
    {
      base::MutexLock lock(&engine_->mutex_);
      engine_->TakeFlushWaiters(&flushed);
      engine_->MaybeScheduleWork();
    }
    engine_->UpdateStall();
    engine_->Unpark();
  }
  installing_.store(false, std::memory_order_release);
  for (Engine::Done& waiter : flushed) waiter(absl::OkStatus());
  tell(status);
  engine_->lifecycle_.Leave();
}

}  // namespace bandb::storage
