#include "storage/engine/engine.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "kv/options.h"
#include "storage/engine/database_directory.h"
#include "storage/engine/write_buffer.h"
#include "storage/file/file_names.h"
#include "storage/log/log_reader.h"

namespace bandb::storage {

namespace {

// Open reads the manifest as it reads the logs, so it should be small beside them.
constexpr uint64_t kWriteBuffersInManifest = 64;

CompactionSettings SettingsFrom(const Options& options, bool is_replica) {
  CompactionSettings settings{.level0_tables = options.level0_tables,
                              .level_base_bytes = options.level_base_bytes,
                              .table_bytes = options.table_bytes};
  // A replica that forgets would differ from others.
  if (!is_replica || options.compaction_style != CompactionStyle::kFifo) settings.style = options.compaction_style;
  settings.fifo_bytes_max = options.fifo_bytes_max;
  if (options.fifo_age_max != absl::InfiniteDuration()) {
    settings.fifo_age_max_ms = static_cast<uint64_t>(absl::ToInt64Milliseconds(options.fifo_age_max));
  }
  settings.recompresses_last_level =
      options.compression_last_level.value_or(options.compression) != options.compression;
  return settings;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(const base::Env& env, const std::string& dir,
                                                     const Options& options, const ReplicaStart* replica) {
  BANDB_ASSIGN_OR_RETURN(RecoveredDatabase recovered,
                         RecoverDatabase(env, dir, options, replica == nullptr ? nullptr : &replica->identity));
  base::Env own_env = env;
  own_env.files = recovered.files.get();
  std::unique_ptr<Engine> engine(new Engine(own_env, dir, options, recovered.files, replica != nullptr));
  if (replica != nullptr) engine->StartPosition(*replica, &recovered.state);
  if (const absl::Status started = engine->Start(std::move(recovered)); !started.ok()) {
    // The files would keep the tables, and those the files, and all of them the lock.
    engine->files_->SetDescriptorSource(nullptr);
    return started;
  }
  return engine;
}

Engine::Engine(const base::Env& env, std::string dir, const Options& options, std::shared_ptr<DatabaseFiles> files,
               bool is_replica)
    : is_replica_(is_replica),
      env_(env),
      dir_(std::move(dir)),
      engine_dir_(EngineDir(dir_)),
      options_(options),
      limits_(kv::LimitsFor(kv::MemoryBudgetBytes(options))),
      settings_(SettingsFrom(options, is_replica)),
      memtable_bytes_(MemtableBytes(options)),
      files_(std::move(files)),
      wake_up_(std::make_shared<WakeUp>([this](WakeUp::Timer timer) { Wake(timer); })),
      pace_(env, options.background_bytes_per_second, wake_up_),
      snapshots_(std::make_shared<SnapshotList>([wake_up = wake_up_]() { wake_up->Run(WakeUp::kSnapshotGone); })),
      logs_(env.files, engine_dir_),
      feed_({.files = env.files,
             .engine_dir = engine_dir_,
             .logs = &logs_,
             .last_sequence = &last_sequence_,
             .now_ms = [this]() { return NowMs(); },
             .flushed = [this]() { return FlushedSequences(); },
             .snapshot_sequence = [this](const Snapshot& snapshot) { return SnapshotSequence(snapshot); }},
            options),
      feed_gate_(std::make_shared<FeedGate>(this)),
      queue_(this, env.executor),
      versions_(env.files, engine_dir_, options.write_buffer_bytes / kWriteBuffersInManifest, this),
      commit_random_(env.random->Fork()),
      job_random_(env.random->Fork()),
      schedule_(settings_, std::max(1, options.background_threads - 1)),
      level_work_(kLevels) {}

Engine::~Engine() {
  wake_up_->Cancel();
  feed_gate_->Forget();
}

FileHeader Engine::Header(FileType type, base::Random* random) const {
  return {.type = type,
          .database_id = database_id_,
          .file_id = RandomUuid(random),
          .incompatible_features = type == FileType::kLog ? kSystemRecordsFeature : 0};
}

absl::Status Engine::Start(RecoveredDatabase recovered) {
  BANDB_ASSERT(lifecycle_.phase() == Lifecycle::Phase::kOpening);
  BANDB_ASSERT(recovered.tables != nullptr);
  BANDB_ASSERT(recovered.state.version != nullptr);
  BANDB_ASSERT(files_ != nullptr);
  ManifestState& state = recovered.state;
  database_id_ = recovered.database_id;
  tables_ = std::move(recovered.tables);
  files_->SetDescriptorSource([tables = tables_]() { return tables->GiveUpFile(); });
  epoch_ = state.epoch + 1;
  recovered_records_ = recovered.records;
  dropped_log_bytes_ = recovered.dropped_bytes;
  last_sequence_ = recovered.last_sequence;
  last_commit_time_ms_ = recovered.last_commit_time_ms;
  latest_ms_ = recovered.last_commit_time_ms;
  versions_.SetNextFileNumber(state.next_file_number);
  const uint64_t log_number = versions_.NewFileNumber();
  BANDB_ASSIGN_OR_RETURN(std::shared_ptr<Memtable> memtable, Memtable::Make(env_.regions, memtable_bytes_, log_number));
  for (const RecoveredDatabase::FoundLog& log : std::exchange(recovered.found_logs, {})) {
    // Those before the first memtable hold nothing that is not in tables.
    if (recovered.memtables.empty() || log.number < recovered.memtables.front()->log_number()) continue;
    BANDB_RETURN_IF_ERROR(RewriteLog(log));
  }
  state.epoch = epoch_;
  state.begun_log = is_replica_ ? 0 : log_number;
  state.commit_time_ms = NowMs();
  state.log_number = recovered.memtables.empty() ? log_number : recovered.memtables.front()->log_number();
  StartFeed(recovered, &state);
  BANDB_RETURN_IF_ERROR(StartFiles(log_number, std::move(state), &recovered.orphans));
  if (recovered.created) BANDB_RETURN_IF_ERROR(FinishCreation(env_.files, dir_));
  ViewHolder::Retired retired;
  {
    base::MutexLock lock(&mutex_);
    memtable_ = std::move(memtable);
    frozen_.assign(recovered.memtables.begin(), recovered.memtables.end());
    InstallView(&retired);
    read_allowance_.Renew(schedule_.RenewAllowance(*versions_.version()));
    lifecycle_.Run();
    MaybeScheduleWork();
  }
  SetAside(recovered.damaged_tables, generation_->load(), 0);
  UpdateStall();
  {
    base::MutexLock lock(&mutex_);
    OpenTables(versions_.version()->RangeTombstoneTables());
  }
  LoadCursors(recovered.has_system_records);
  // Only now does nothing refer to them. What cannot be removed stays until the next open.
  for (const std::string& name : recovered.orphans) {
    env_.files->Remove(base::JoinPath(engine_dir_, name)).IgnoreError();
  }
  constexpr uint64_t kAheadMsToTell = 60'000;
  // Of a replica it is the leader's clock that counts, and its node that tells.
  if (const uint64_t ahead_ms = AheadMs(); ahead_ms > kAheadMsToTell && !is_replica_) {
    env_.logger->Log(base::LogLevel::kWarning,
                     "{}: the clock is {} ms behind what it was before; nothing expires until it gets there, or "
                     "AcceptClock is called",
                     dir_, ahead_ms);
  }
  env_.logger->Log(dropped_log_bytes_ == 0 ? base::LogLevel::kInfo : base::LogLevel::kWarning,
                   "{}: opened, {} log records replayed, {} bytes of a torn log dropped", dir_, recovered_records_,
                   dropped_log_bytes_);
  return absl::OkStatus();
}

absl::Status Engine::StartFiles(uint64_t log_number, ManifestState state, std::vector<std::string>* orphans) {
  BANDB_ASSERT(orphans != nullptr);
  BANDB_ASSERT(state.log_number <= log_number);
  // A block for each file, and what the manifest says.
  constexpr uint64_t kRoomBytes = 64 << 10;
  const uint64_t room_bytes = kRoomBytes + EncodeEdit(state.Everything()).size();
  bool unchanged = false;
  absl::Status started;
  if (!is_replica_) {
    started = logs_.StartLog(log_number, Header(FileType::kLog, &commit_random_),
                             RecordHead{.commit_time_ms = last_commit_time_ms_.load(std::memory_order_relaxed)});
  }
  const bool has_log = started.ok() && !is_replica_;
  if (started.ok()) started = env_.files->SyncDir(engine_dir_);
  if (started.ok()) {
    // Those that are only kept for a cursor go once the cursors are known.
    const KeepPolicy all{.keep_bytes = feed_.keeps_logs() ? UINT64_MAX : 0};
    for (const uint64_t number : logs_.LetGo(state.log_number, all)) orphans->push_back(LogName(number));
    state.log_ends.erase(state.log_ends.begin(), state.log_ends.lower_bound(state.log_number));
    started = versions_.Start(std::move(state), Header(FileType::kManifest, &commit_random_), &unchanged);
  } else {
    unchanged = true;
  }
  if (started.ok()) return started;
  // However often it is tried, no more files lie about.
  if (has_log && unchanged) env_.files->Remove(base::JoinPath(engine_dir_, LogName(log_number))).IgnoreError();
  if (started.code() != absl::StatusCode::kResourceExhausted) return started;
  return base::Error(started.code(),
                     "{}: opening takes room for an empty log and a manifest, {} bytes; nothing is lost: {}", dir_,
                     room_bytes, base::Message(started));
}

absl::Status Engine::RewriteLog(const RecoveredDatabase::FoundLog& log) {
  constexpr uint64_t kPieceBytes = 4 << 20;
  const std::string path = base::JoinPath(engine_dir_, LogName(log.number));
  if (!log.bytes.empty()) {
    return env_.files->WriteOver(path, log.synced_bytes, std::string_view(log.bytes).substr(log.synced_bytes));
  }
  if (log.synced_bytes == log.valid_bytes) return absl::OkStatus();
  // Only what was checked just now is written: bytes that were read wrong once would be durable.
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<LogWalk> walk,
                         LogWalk::Begin(env_.files, path, FileType::kLog, log.valid_bytes));
  uint64_t begin = log.synced_bytes;
  std::string piece;
  const auto add = [&](uint64_t offset, std::string_view bytes) {
    const uint64_t next = begin + piece.size();
    if (offset + bytes.size() > next) piece.append(bytes.substr(next - offset));
  };
  add(0, walk->header_bytes());
  ParsedRecord record;
  for (bool more = true; more;) {
    BANDB_ASSIGN_OR_RETURN(more, walk->Next(&record));
    if (more) add(walk->offset(), walk->record_bytes());
    if (more && piece.size() < kPieceBytes) continue;
    if (!piece.empty()) BANDB_RETURN_IF_ERROR(env_.files->WriteOver(path, begin, piece));
    begin += piece.size();
    piece.clear();
  }
  BANDB_ASSERT(begin == log.valid_bytes);
  return absl::OkStatus();
}

// Counts memory that only readers keep.
class Engine::ReadersCharge {
 public:
  ReadersCharge(std::shared_ptr<BlockCache> cache, uint64_t bytes)
      : cache_(std::move(cache)), charge_(cache_->ChargePinned(bytes)) {}

 private:
  const std::shared_ptr<BlockCache> cache_;
  const BlockCache::PinnedCharge charge_;
};

void Engine::InstallView(ViewHolder::Retired* retired) {
  BANDB_ASSERT(memtable_ != nullptr);
  BANDB_ASSERT(frozen_.empty() || frozen_.back()->log_number() <= memtable_->log_number());
  auto view = std::make_unique<ReadView>();
  view->memtable = memtable_;
  view->frozen.assign(frozen_.rbegin(), frozen_.rend());
  view->version = versions_.version();
  view->generation = generation_->load(std::memory_order_relaxed);
  if (is_replica_) view->present_generation = generation_;
  ChargeViewed(*view);
  *retired = views_.Install(std::move(view));
}

void Engine::ChargeViewed(const ReadView& view) {
  std::vector<std::weak_ptr<const Memtable>> viewed(view.frozen.begin(), view.frozen.end());
  viewed.emplace_back(view.memtable);
  for (const std::weak_ptr<const Memtable>& before : std::exchange(viewed_, viewed)) {
    // Dropping the last reference frees a memtable, which takes no lock of ours.
    const std::shared_ptr<const Memtable> memtable = before.lock();
    if (memtable == nullptr || memtable == view.memtable) continue;
    if (std::find(view.frozen.begin(), view.frozen.end(), memtable) != view.frozen.end()) continue;
    // Nobody writes to it any more. The cache lives as long as the memory counts.
    memtable->SetCompanion(std::make_shared<ReadersCharge>(tables_->cache(), memtable->memory_bytes()));
  }
}

uint64_t Engine::EditTimeMs() const { return is_replica_ ? versions_.state().commit_time_ms : NowMs(); }

uint64_t Engine::NowMs() const {
  if (is_replica_) return last_commit_time_ms_.load(std::memory_order_acquire);
  const uint64_t wall = WallMs(env_.clock);
  uint64_t latest = latest_ms_.load(std::memory_order_relaxed);
  while (wall > latest && !latest_ms_.compare_exchange_weak(latest, wall, std::memory_order_relaxed)) {
  }
  return std::max(wall, latest);
}

uint64_t Engine::WallMs(base::Clock* clock) { return static_cast<uint64_t>(std::max<int64_t>(clock->WallMillis(), 0)); }

uint64_t Engine::AheadMs() const {
  const uint64_t latest = (is_replica_ ? last_commit_time_ms_ : latest_ms_).load(std::memory_order_relaxed);
  return latest - std::min(latest, WallMs(env_.clock));
}

void Engine::TakeWaiters(std::vector<Done>* waiters) {
  for (FlushWaiter& waiter : flush_waiters_) waiters->push_back(std::move(waiter.done));
  flush_waiters_.clear();
  schedule_.AbandonManual(waiters);
}

void Engine::StopWrites(const absl::Status& status, uint64_t resumes_seen) {
  BANDB_ASSERT(!status.ok());
  bool news = false;
  std::vector<Done> abandoned;
  {
    base::MutexLock lock(&mutex_);
    if (status.code() == absl::StatusCode::kResourceExhausted && resumes_seen != lifecycle_.resumes()) return;
    news = lifecycle_.Stop(status);
    TakeWaiters(&abandoned);
    if (news) DropSome();
  }
  for (Done& done : abandoned) done(status);
  // Those that wait for room would wait forever.
  Unpark();
  if (!news) return;
  env_.logger->Log(base::LogLevel::kError, "{}: writes stopped: {}", dir_, status.ToString());
  TellListener([&](EventListener* listener) { listener->OnBackgroundError(status); });
}

void Engine::NoteException(std::string_view code) {
  counters_.exceptions.fetch_add(1, std::memory_order_relaxed);
  env_.logger->Log(base::LogLevel::kError, "{}: {} threw an exception, which was dropped", dir_, code);
}

bool Engine::IsFullBuffer() const {
  return options_.compaction_style == CompactionStyle::kFifo && !is_replica_ && lifecycle_.WaitsForResume();
}

void Engine::DropSome() {
  if (!IsFullBuffer()) return;
  schedule_.WantSpace();
  MaybeScheduleWork();
}

absl::Status Engine::Resume() {
  constexpr uint64_t kSpareBytes = 1 << 20;
  BANDB_RETURN_IF_ERROR(lifecycle_.MayResume());
  {
    // What there was no room for may go now, so that there is more the next time.
    base::MutexLock lock(&mutex_);
    DropSome();
  }
  if (!lifecycle_.StopCause().ok()) {
    // Room for what is waiting to be flushed, and to go on.
    const uint64_t wanted_bytes = memtable_bytes_ + kSpareBytes;
    BANDB_ASSIGN_OR_RETURN(const uint64_t free_bytes, FreeBytesOf(wanted_bytes));
    if (free_bytes < wanted_bytes) {
      return base::Error(absl::StatusCode::kResourceExhausted, "{} bytes are free, {} are needed", free_bytes,
                         wanted_bytes);
    }
  }
  {
    base::MutexLock lock(&mutex_);
    // Once more: what came meanwhile may have stopped them for good.
    BANDB_RETURN_IF_ERROR(lifecycle_.MayResume());
    schedule_.TakeBack();
    told_damaged_.clear();
    for (BackOff* const back_off : {&flush_back_off_, &compaction_back_off_, &take_back_back_off_}) back_off->Reset();
    flush_failure_ = absl::OkStatus();
    // What else could be given back was put off.
    if (lifecycle_.Resume()) schedule_.WantSpace();
    MaybeScheduleWork();
  }
  UpdateStall();
  if (feed_.AnyMoved()) WriteCursorsSoon();
  return absl::OkStatus();
}

void Engine::Unpark() {
  queue_.Unpark();
  std::function<void()> waiter;
  {
    base::MutexLock lock(&mutex_);
    waiter = std::exchange(room_waiter_, nullptr);
  }
  if (waiter) waiter();
}

void Engine::BeginClose(Done done) {
  wake_up_->Cancel();
  std::vector<Done> abandoned;
  {
    base::MutexLock lock(&mutex_);
    lifecycle_.BeginClose(std::move(done));
    TakeWaiters(&abandoned);
  }
  pace_.Close();
  feed_gate_->committed.Tell();
  feed_gate_->durable.Tell();
  for (Done& abandon : abandoned) abandon(lifecycle_.MayWrite());
  Unpark();
  queue_.Close([this]() {
    // Nobody appends any more; those who wait for a sync are still served, here or by the thread
    // that syncs now and then looks again.
    SyncWaiting();
    lifecycle_.Leave();
  });
}

absl::Status Engine::FinishClose() {
  lifecycle_.Close();
  {
    base::MutexLock lock(&mutex_);
    BANDB_ASSERT(!schedule_.flush_running());
    BANDB_ASSERT(schedule_.compactions_running() == 0);
    BANDB_ASSERT(flush_waiters_.empty());
  }
  { const ViewHolder::Retired retired = views_.Install(nullptr); }
  absl::Status status;
  // After an error nothing more is written: the next open recovers from what is there. A replica
  // has nothing to write, for what is in no table is in its owner's log.
  if (!is_replica_ && lifecycle_.StopCause().ok()) {
    uint64_t bytes = 0;
    const RecordHead seal{.type = RecordType::kSeal,
                          .term = epoch_,
                          .first_sequence = last_sequence_.load() + 1,
                          .commit_time_ms = last_commit_time_ms_.load()};
    // A seal says that all before it is whole. With damage under it no Open would go on, so there
    // is none then, and what to make of the log is the next Open's to find out.
    status = VerifyLogs(false);
    if (status.ok()) status = logs_.Seal(seal, &bytes);
    if (status.ok()) {
      VersionEdit last;
      last.log_ends.push_back({logs_.number(), bytes});
      last.commit_time_ms = NowMs();
      status = versions_.Close(last);
    }
  }
  tables_->Close();
  files_->SetDescriptorSource(nullptr);
  files_->Unlock();
  return status;
}

absl::Status Engine::CheckMemtables() const {
  const auto violated = [](std::string_view what) {
    return base::Error(absl::StatusCode::kInternal, "the engine: {}", what);
  };
  const Sequence last = last_sequence_.load(std::memory_order_acquire);
  if (!is_replica_ && !read_only_ && memtable_->log_number() != logs_.number()) {
    return violated("the memtable belongs to the log that is written");
  }
  if (memtable_->largest_sequence() > last) return violated("readers may see all that is in the memtable");
  Sequence before = versions_.state().last_sequence;
  uint64_t log_number = versions_.state().log_number;
  if (before > last) return violated("tables hold nothing that readers may not see");
  for (const std::shared_ptr<Memtable>& memtable : frozen_) {
    if (!is_replica_ && memtable->empty()) return violated("what is frozen holds something");
    if (memtable->log_number() < log_number) return violated("the logs of memtables are needed, and in order");
    log_number = memtable->log_number();
    if (memtable->empty()) continue;
    if (memtable->largest_sequence() <= before) return violated("memtables are in the order of their sequences");
    before = memtable->largest_sequence();
  }
  if (memtable_->log_number() < log_number) return violated("the log that is written is the newest");
  if (before > last) return violated("memtables hold nothing that readers may not see");
  return absl::OkStatus();
}

absl::Status Engine::CheckInvariants() {
  const auto violated = [](std::string_view what) {
    return base::Error(absl::StatusCode::kInternal, "the engine: {}", what);
  };
  BANDB_RETURN_IF_ERROR(lifecycle_.CheckInvariants());
  BANDB_RETURN_IF_ERROR(versions_.CheckInvariants());
  BANDB_RETURN_IF_ERROR(logs_.CheckInvariants());
  base::MutexLock lock(&mutex_);
  const std::shared_ptr<const Version> version = versions_.version();
  BANDB_RETURN_IF_ERROR(schedule_.CheckInvariants(*version));
  BANDB_RETURN_IF_ERROR(CheckMemtables());
  if (is_replica_) BANDB_RETURN_IF_ERROR(CheckPositions());
  const WritePressure pressure = schedule_.Pressure(*version);
  if (read_only_ && !lifecycle_.RefusesWrites()) return violated("what is only read is not written");
  if (!read_only_ && pressure.permille != pressure_permille_)
    return violated("the pressure on writers is that of the version");
  if (!read_only_ && pressure.stops != level0_full_) return violated("writers stop for a full level 0, and only then");
  if (lifecycle_.phase() >= Lifecycle::Phase::kAtRest &&
      (schedule_.flush_running() || schedule_.compactions_running() != 0)) {
    return violated("nothing runs at rest");
  }
  if (lifecycle_.phase() == Lifecycle::Phase::kRunning && FlushableMemtables() != 0 && !schedule_.flush_running() &&
      !flush_back_off_.waiting()) {
    return violated("what is frozen is being flushed");
  }
  for (const FlushWaiter& waiter : flush_waiters_) {
    if (frozen_.empty() || waiter.log_number <= frozen_.front()->log_number()) {
      return violated("whose memtables are flushed waits no more");
    }
  }
  const ViewRef view = views_.Acquire();
  if (lifecycle_.IsClosed() != !view) return violated("there is a view until the database is closed");
  if (view && (view->version != version || view->memtable != memtable_ || view->frozen.size() != frozen_.size())) {
    return violated("readers see what there is");
  }
  return absl::OkStatus();
}

}  // namespace bandb::storage
