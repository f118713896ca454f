#include "storage/engine/engine.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "kv/options.h"
#include "storage/engine/database_directory.h"
#include "storage/file/file_names.h"

namespace bandb::storage {

namespace {

constexpr size_t kMemtableBytesMin = 64 << 10;

CompactionSettings SettingsFrom(const Options& options) {
  return {.level0_tables = options.level0_tables,
          .level_base_bytes = options.level_base_bytes,
          .table_bytes = options.table_bytes};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(const base::Env& env, const std::string& dir,
                                                     const Options& options) {
  BANDB_ASSIGN_OR_RETURN(RecoveredDatabase recovered, RecoverDatabase(env, dir, options));
  RecoveredDatabase rest;
  rest.memtables = std::move(recovered.memtables);
  rest.orphans = std::move(recovered.orphans);
  rest.found_logs = std::move(recovered.found_logs);
  rest.state = recovered.state;
  rest.created = recovered.created;
  base::Env own_env = env;
  own_env.files = recovered.files.get();
  std::unique_ptr<Engine> engine(new Engine(own_env, dir, options, std::move(recovered)));
  BANDB_RETURN_IF_ERROR(engine->Start(&rest));
  return engine;
}

Engine::Engine(const base::Env& env, std::string dir, const Options& options, RecoveredDatabase recovered)
    : env_(env),
      dir_(std::move(dir)),
      engine_dir_(EngineDir(dir_)),
      options_(options),
      limits_(kv::LimitsFor(kv::MemoryBudgetBytes(options))),
      settings_(SettingsFrom(options)),
      database_id_(recovered.database_id),
      files_(std::move(recovered.files)),
      tables_(std::move(recovered.tables)),
      snapshots_(std::make_shared<SnapshotList>()),
      closed_(std::make_shared<std::atomic<bool>>(false)),
      memtable_bytes_(std::max<size_t>(options.write_buffer_bytes / 2, kMemtableBytesMin)),
      epoch_(recovered.state.epoch + 1),
      recovered_records_(recovered.records),
      dropped_log_bytes_(recovered.dropped_bytes),
      next_file_number_(recovered.state.next_file_number),
      last_sequence_(recovered.last_sequence),
      last_commit_time_ms_(recovered.last_commit_time_ms),
      latest_ms_(recovered.last_commit_time_ms),
      logs_(env.files, engine_dir_, database_id_),
      queue_(this, env.executor),
      commit_random_(env.random->Fork()),
      job_random_(env.random->Fork()),
      level_work_(kLevels) {}

Engine::~Engine() = default;

absl::Status Engine::Start(RecoveredDatabase* recovered) {
  ManifestState state = std::move(recovered->state);
  for (const RecoveredDatabase::FoundLog& log : std::exchange(recovered->found_logs, {})) {
    // Those before the first memtable hold nothing that is not in tables.
    if (recovered->memtables.empty() || log.number < recovered->memtables.front()->log_number()) continue;
    BANDB_RETURN_IF_ERROR(RewriteLog(log));
  }
  for (const auto& [number, bytes] : state.log_ends) logs_.AddRecovered(number);
  const uint64_t log_number = NewFileNumber();
  BANDB_RETURN_IF_ERROR(logs_.Begin(log_number, RandomUuid(&commit_random_), RecordHead{}));
  BANDB_RETURN_IF_ERROR(env_.files->SyncDir(engine_dir_));
  memtable_ = std::make_shared<Memtable>(memtable_bytes_, log_number);

  const uint64_t manifest_number = NewFileNumber();
  state.epoch = epoch_;
  state.begun_log = log_number;
  state.commit_time_ms = NowMs();
  state.next_file_number = next_file_number_.load(std::memory_order_relaxed);
  state.log_number = recovered->memtables.empty() ? log_number : recovered->memtables.front()->log_number();
  const std::vector<uint64_t> unneeded = logs_.DropBelow(state.log_number);
  state.log_ends.erase(state.log_ends.begin(), state.log_ends.lower_bound(state.log_number));
  const FileHeader header{
      .type = FileType::kManifest, .database_id = database_id_, .file_id = RandomUuid(&commit_random_)};
  BANDB_ASSIGN_OR_RETURN(manifest_, Manifest::Begin(env_.files, engine_dir_, manifest_number, header, state));
  manifest_limit_bytes_ = ManifestLimit(manifest_->Size());
  if (recovered->created) BANDB_RETURN_IF_ERROR(FinishCreation(env_.files, dir_));

  ViewHolder::Retired retired;
  {
    base::MutexLock lock(&mutex_);
    state_ = std::move(state);
    active_ = memtable_;
    frozen_.assign(recovered->memtables.begin(), recovered->memtables.end());
    InstallView(&retired);
    RenewReadAllowance();
    MaybeScheduleWork();
  }
  for (const uint64_t number : unneeded) recovered->orphans.push_back(LogName(number));
  // Only now does nothing refer to them. What cannot be removed stays until the next open.
  for (const std::string& name : recovered->orphans) {
    env_.files->Remove(base::JoinPath(engine_dir_, name)).IgnoreError();
  }
  env_.logger->Log(dropped_log_bytes_ == 0 ? base::LogLevel::kInfo : base::LogLevel::kWarning,
                   "{}: opened, {} log records replayed, {} bytes of a torn log dropped", dir_, recovered_records_,
                   dropped_log_bytes_);
  return absl::OkStatus();
}

absl::Status Engine::RewriteLog(const RecoveredDatabase::FoundLog& log) {
  if (log.bytes.empty()) return absl::OkStatus();
  return env_.files->WriteOver(base::JoinPath(engine_dir_, LogName(log.number)), log.synced_bytes,
                               std::string_view(log.bytes).substr(log.synced_bytes));
}

void Engine::InstallView(ViewHolder::Retired* retired) {
  auto view = std::make_unique<ReadView>();
  view->memtable = active_;
  view->frozen.assign(frozen_.rbegin(), frozen_.rend());
  view->version = state_.version;
  std::erase_if(viewed_, [](const auto& memtable) { return memtable.expired(); });
  const auto is_known = [this](const std::shared_ptr<const Memtable>& memtable) {
    return std::any_of(viewed_.begin(), viewed_.end(), [&](const auto& known) { return known.lock() == memtable; });
  };
  for (const std::shared_ptr<const Memtable>& memtable : view->frozen) {
    if (!is_known(memtable)) viewed_.emplace_back(memtable);
  }
  if (!is_known(view->memtable)) viewed_.emplace_back(view->memtable);
  *retired = views_.Install(std::move(view));
}

uint64_t Engine::LiveMemtableBytes() const {
  uint64_t bytes = 0;
  for (const std::weak_ptr<const Memtable>& viewed : viewed_) {
    // Dropping the last reference frees a memtable, which takes no lock of ours.
    if (const std::shared_ptr<const Memtable> memtable = viewed.lock()) bytes += memtable->MemoryBytes();
  }
  return bytes;
}

uint64_t Engine::NowMs() const {
  const auto wall = static_cast<uint64_t>(std::max<int64_t>(env_.clock->WallMillis(), 0));
  uint64_t latest = latest_ms_.load(std::memory_order_relaxed);
  while (wall > latest && !latest_ms_.compare_exchange_weak(latest, wall, std::memory_order_relaxed)) {
  }
  return std::max(wall, latest);
}

void Engine::TakeWaiters(std::vector<Done>* waiters) {
  for (FlushWaiter& waiter : flush_waiters_) waiters->push_back(std::move(waiter.done));
  flush_waiters_.clear();
  for (const std::shared_ptr<ManualCompaction>& manual : manual_) {
    if (!manual->running) waiters->push_back(std::move(manual->done));
  }
  std::erase_if(manual_, [](const auto& manual) { return !manual->running; });
}

void Engine::StopWrites(const absl::Status& status) {
  BANDB_ASSERT(!status.ok());
  const bool resumable = status.code() == absl::StatusCode::kResourceExhausted;
  bool news = false;
  std::vector<Done> abandoned;
  {
    base::MutexLock lock(&mutex_);
    // What cannot be resumed outweighs what can.
    news = !stop_.has_value() || (stop_->resumable && !resumable);
    if (news) stop_ = Stop{status, resumable};
    stopped_.store(true, std::memory_order_release);
    TakeWaiters(&abandoned);
  }
  for (Done& done : abandoned) done(status);
  // Those who wait for room would wait for ever.
  queue_.Unpark();
  if (!news) return;
  env_.logger->Log(base::LogLevel::kError, "{}: writes stopped: {}", dir_, status.ToString());
  if (options_.listener != nullptr) options_.listener->OnBackgroundError(status);
}

absl::Status Engine::StopStatus() const {
  base::MutexLock lock(&mutex_);
  return StopStatusLocked();
}

absl::Status Engine::StopStatusLocked() const {
  if (closing_) return base::Error(absl::StatusCode::kFailedPrecondition, "the database is closed");
  if (!stop_) return absl::OkStatus();
  if (stop_->resumable) {
    return base::Error(absl::StatusCode::kResourceExhausted, "writes are stopped until Resume: {}",
                       base::Message(stop_->status));
  }
  return base::Error(absl::StatusCode::kFailedPrecondition, "writes are stopped until the database is reopened: {}",
                     base::Message(stop_->status));
}

absl::Status Engine::Resume() {
  constexpr uint64_t kSpareBytes = 1 << 20;
  {
    base::MutexLock lock(&mutex_);
    if (closing_) return base::Error(absl::StatusCode::kFailedPrecondition, "the database is closed");
    if (!stop_) return absl::OkStatus();
    if (!stop_->resumable) {
      return base::Error(absl::StatusCode::kFailedPrecondition, "only reopening helps: {}",
                         base::Message(stop_->status));
    }
  }
  // Room for what is waiting to be flushed, and to go on.
  BANDB_ASSIGN_OR_RETURN(const uint64_t free_bytes, env_.files->FreeBytes(engine_dir_));
  const uint64_t wanted_bytes = options_.write_buffer_bytes / 2 + kSpareBytes;
  if (free_bytes < wanted_bytes) {
    return base::Error(absl::StatusCode::kResourceExhausted, "{} bytes are free, {} are needed", free_bytes,
                       wanted_bytes);
  }
  base::MutexLock lock(&mutex_);
  if (!stop_ || !stop_->resumable) return absl::OkStatus();
  stop_.reset();
  stopped_.store(closing_, std::memory_order_release);
  MaybeScheduleWork();
  return absl::OkStatus();
}

void Engine::EndActivity() {
  Done done;
  {
    base::MutexLock lock(&mutex_);
    BANDB_ASSERT(activities_ > 0);
    --activities_;
    if (closing_ && activities_ == 0) {
      BANDB_ASSERT(!at_rest_);
      at_rest_ = true;
      done = std::exchange(when_closed_, nullptr);
    }
  }
  if (done) done(absl::OkStatus());
}

bool Engine::Retain() {
  base::MutexLock lock(&mutex_);
  if (closing_) return false;
  BeginActivity();
  return true;
}

void Engine::BeginClose(Done done) {
  std::vector<Done> abandoned;
  {
    base::MutexLock lock(&mutex_);
    BANDB_ASSERT(!closing_);
    closing_ = true;
    when_closed_ = std::move(done);
    stopped_.store(true, std::memory_order_release);
    BeginActivity();
    TakeWaiters(&abandoned);
  }
  for (Done& abandon : abandoned) abandon(StopStatus());
  queue_.Unpark();
  queue_.Close([this]() {
    // Nobody appends any more; those who wait for a sync are still served, here or by who syncs now and then looks.
    SyncWaiting();
    EndActivity();
  });
}

absl::Status Engine::FinishClose() {
  closed_->store(true, std::memory_order_release);
  { const ViewHolder::Retired retired = views_.Install(nullptr); }
  absl::Status status;
  bool damaged = false;
  VersionEdit edit;
  {
    base::MutexLock lock(&mutex_);
    BANDB_ASSERT(activities_ == 0);
    damaged = stop_.has_value();
  }
  // After an error nothing more is written: the next open recovers from what is there.
  if (!damaged) {
    uint64_t bytes = 0;
    const RecordHead seal{.type = RecordType::kSeal,
                          .term = epoch_,
                          .first_sequence = last_sequence_.load() + 1,
                          .commit_time_ms = last_commit_time_ms_.load()};
    // A seal says that all before it is whole. With damage under it no Open would go on, so there is none then, and
    // what to make of the log is the next Open's to find out.
    status = VerifyLogs();
    if (status.ok()) status = logs_.Seal(seal, &bytes);
    if (status.ok()) {
      edit.log_ends.push_back({logs_.number(), bytes});
      edit.commit_time_ms = NowMs();
      status = manifest_->Append(edit);
    }
    if (status.ok()) status = manifest_->Close();
  }
  tables_->Close();
  files_->Unlock();
  return status;
}

}  // namespace bandb::storage
