// What the change feed has of the engine: logs that are kept, and cursors that are written down.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/engine/engine.h"
#include "storage/file/file_names.h"
#include "storage/file/refused_read.h"

namespace bandb::storage {

namespace {

// Acknowledgements of so long are written down together.
constexpr int64_t kCursorsNanos = 1'000'000'000;
// Readers have a sync made this often at the most; and so seldom that the log is hardly ever being
// synced, for that slows down threads that append to it: they have the rest of so many times as
// long.
constexpr int64_t kReaderSyncNanos = 100'000'000;
constexpr int64_t kReaderSyncShare = 50;

}  // namespace

Engine* FeedGate::Enter() {
  // Before the mutex, which another thread may have held when the process forked.
  if (base::Forks() != forks_) return nullptr;
  base::MutexLock lock(&mutex_);
  return engine_ != nullptr && engine_->Enter() ? engine_ : nullptr;
}

void Engine::StartFeed(const RecoveredDatabase& recovered, ManifestState* state) {
  for (const KeptLog& log : recovered.kept_logs) logs_.AddRecovered(log, false);
  for (const KeptLog& log : recovered.needed_logs) logs_.AddRecovered(log, true);
  const Sequence last = last_sequence_.load(std::memory_order_relaxed);
  logs_.NoteAppended(last, true);
  if (is_replica_) return;
  if (!feed_.keeps_logs()) state->kept_logs.clear();
  const Sequence oldest = feed_.keeps_logs() ? logs_.OldestSequence() : state->last_sequence + 1;
  EngineFeed::ForgetEpochs(oldest, last, &state->epochs);
  state->epochs.push_back({.number = epoch_, .branch = commit_random_.Next(), .begin = last});
  feed_.Start(database_id_, state->epochs);
  feed_.NoteFlushed({.user = state->LastUserSequence(), .last = state->last_sequence});
}

EngineFeed::Flushed Engine::FlushedSequences() const {
  const ManifestState state = versions_.state();
  return {.user = state.LastUserSequence(), .last = state.last_sequence};
}

bool Engine::MayHaveCursors() const {
  const auto begins_with_system = [](const TablePtr& table) {
    return static_cast<Space>(table->info().smallest.front()) == Space::kSystem;
  };
  const std::shared_ptr<const Version> version = versions_.version();
  for (int level = 0; level < kLevels; ++level) {
    const std::vector<TablePtr>& tables = version->level(level);
    if (std::any_of(tables.begin(), tables.end(), begins_with_system)) return true;
  }
  return false;
}

absl::Status Engine::ReadCursors() {
  const std::unique_ptr<Iterator> system = NewIteratorIn(Space::kSystem, ReadOptions());
  for (system->Seek(changes::kCursorPrefix); system->Valid(); system->Next()) {
    if (system->key().substr(0, changes::kCursorPrefix.size()) != changes::kCursorPrefix) break;
    BANDB_RETURN_IF_ERROR(feed_.LoadCursor(system->key(), system->value()));
  }
  return system->status();
}

void Engine::LoadCursors(bool recovered_some) {
  if (is_replica_) return;
  absl::Status read;
  if (recovered_some || MayHaveCursors()) read = ReadCursors();
  // Damage is the answer to those that ask for what is damaged, and keeps nobody from opening.
  if (!read.ok()) {
    env_.logger->Log(base::LogLevel::kError, "{}: the cursors of the change feed cannot be read: {}", dir_,
                     read.ToString());
  }
  feed_.CursorsLoaded(ForReader(MustBeThere(read)));
  if (!read_only_) RemoveLogs(feed_.LetGo(0));
}

void Engine::RemoveLogs(const std::vector<uint64_t>& numbers) {
  // A cursor that was moved in memory alone would be lost at the next open.
  if (feed_.AnyMoved()) WriteCursorsSoon();
  // What cannot be removed now is found at the next open.
  for (const uint64_t number : numbers) {
    env_.files->Remove(base::JoinPath(engine_dir_, LogName(number))).IgnoreError();
  }
}

absl::StatusOr<uint64_t> Engine::FreeBytesOf(uint64_t wanted_bytes) {
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const uint64_t free_bytes, env_.files->FreeBytes(engine_dir_));
    if (free_bytes >= wanted_bytes) return free_bytes;
    const std::vector<uint64_t> numbers = feed_.LetOldestGo();
    if (numbers.empty()) return free_bytes;
    RemoveLogs(numbers);
    env_.logger->Log(base::LogLevel::kWarning, "{}: the disk is full: a log of the change feed was given up", dir_);
  }
}

void Engine::KeepLogs(const ManifestState& present, VersionEdit* edit) const {
  BANDB_ASSERT(edit->log_number.has_value());
  if (is_replica_) return;
  if (!feed_.keeps_logs()) {
    if (!present.kept_logs.empty()) edit->kept_from = *edit->log_number;
    return;
  }
  const std::vector<KeptLog> logs = logs_.Describe(*edit->log_number);
  edit->kept_from = logs.empty() ? *edit->log_number : logs.front().number;
  for (const KeptLog& log : logs) {
    if (log.number >= present.log_number) edit->kept_logs.push_back(log);
  }
}

// The edit of a flush that waits until the logs it makes unneeded survive power loss: else there
// could be a hole in the feed.
class Engine::DurableLogs final : public WriteRequest {
 public:
  DurableLogs(Engine* engine, PendingEdit edit) : engine_(engine), edit_(std::move(edit)) {}

  // Destroys it.
  void Complete(absl::Status outcome) override {
    Engine* const engine = engine_;
    PendingEdit edit = std::move(edit_);
    delete this;
    // A thread that syncs must not wait for the manifest.
    engine->env_.executor->Post(base::Priority::kHigh, [engine, edit = std::move(edit), outcome]() mutable {
      if (outcome.ok()) return engine->versions_.Apply(std::move(edit));
      edit.source->Installed(base::Error(absl::StatusCode::kInternal, "{}", base::Message(outcome)));
    });
  }

 private:
  Engine* const engine_;
  PendingEdit edit_;
};

void Engine::ApplyFlush(PendingEdit edit) {
  if (is_replica_ || !feed_.keeps_logs()) return versions_.Apply(std::move(edit));
  logs_.AddWaiter(std::make_unique<DurableLogs>(this, std::move(edit)).release());
  SyncInBackground();
}

// Has the present end of the log made durable for readers.
class Engine::ReaderSync final : public WriteRequest {
 public:
  explicit ReaderSync(Engine* engine) : engine_(engine), begin_nanos_(engine->env_.clock->MonotonicNanos()) {}
  // Destroys it. A failure is reported to writers.
  void Complete(absl::Status /*outcome*/) override {
    Engine* const engine = engine_;
    const int64_t begin_nanos = begin_nanos_;
    delete this;
    {
      base::MutexLock lock(&engine->mutex_);
      const int64_t now_nanos = engine->env_.clock->MonotonicNanos();
      engine->reader_sync_due_nanos_ =
          now_nanos + std::max(kReaderSyncNanos, kReaderSyncShare * (now_nanos - begin_nanos));
    }
    engine->lifecycle_.Leave();
  }

 private:
  Engine* const engine_;
  const int64_t begin_nanos_;
};

int64_t Engine::SyncForReaders() {
  {
    base::MutexLock lock(&mutex_);
    const int64_t now_nanos = env_.clock->MonotonicNanos();
    if (now_nanos < reader_sync_due_nanos_) return std::min(reader_sync_due_nanos_ - now_nanos, kReaderSyncNanos);
    if (lifecycle_.RefusesWrites() || !lifecycle_.Enter()) return kReaderSyncNanos;
    // Until it has ended; see ReaderSync.
    reader_sync_due_nanos_ = INT64_MAX;
  }
  logs_.AddWaiter(std::make_unique<ReaderSync>(this).release());
  SyncInBackground();
  return kReaderSyncNanos;
}

// Writes down cursors that have moved.
class Engine::CursorWrite final : public WriteRequest {
 public:
  CursorWrite(Engine* engine, WriteBatch batch, std::vector<changes::CursorTable::Underway> taken)
      : engine_(engine), batch_(std::move(batch)), taken_(std::move(taken)) {
    operations = WriteBatchAccess::Operations(batch_);
    conditions = WriteBatchAccess::Conditions(batch_);
    operation_count = WriteBatchAccess::OperationCount(batch_);
    payload_bytes = operations.size();
    system = true;
  }

  // Destroys it. Where writes are stopped, it is tried again after a Resume, or with the next
  // acknowledgement; where a cursor was dropped meanwhile, the others go without it.
  void Complete(absl::Status outcome) override {
    Engine* const engine = engine_;
    engine->feed_.Written(taken_, outcome.ok());
    delete this;
    engine->CursorsWritten(outcome.ok() || outcome.code() == absl::StatusCode::kAborted);
    engine->lifecycle_.Leave();
  }

 private:
  Engine* const engine_;
  const WriteBatch batch_;
  const std::vector<changes::CursorTable::Underway> taken_;
};

void Engine::WriteCursorsSoon() {
  base::MutexLock lock(&mutex_);
  if (std::exchange(cursors_due_, true)) return;
  env_.executor->PostAfter(kCursorsNanos, [wake_up = wake_up_]() { wake_up->Run(WakeUp::kWriteCursors); });
}

void Engine::WriteCursors() {
  if (!lifecycle_.Enter()) return;
  env_.executor->Post(base::Priority::kNormal, [this]() {
    std::vector<changes::CursorTable::Underway> taken;
    WriteBatch batch = feed_.TakeMoved(&taken);
    if (!taken.empty()) {
      SubmitUnwaiting(std::make_unique<CursorWrite>(this, std::move(batch), std::move(taken)).release());
      return;
    }
    CursorsWritten(false);
    lifecycle_.Leave();
  });
}

void Engine::CursorsWritten(bool again) {
  {
    base::MutexLock lock(&mutex_);
    cursors_due_ = false;
  }
  if (again && feed_.AnyMoved()) WriteCursorsSoon();
}

}  // namespace bandb::storage
