#include "storage/db.h"

#include <algorithm>
#include <atomic>
#include <type_traits>
#include <utility>

#include "base/assert.h"
#include "base/file_system.h"
#include "base/fork.h"
#include "base/status.h"
#include "base/system_env.h"
#include "base/thread_executor.h"
#include "kv/host_code.h"
#include "kv/host_logger.h"
#include "kv/options.h"
#include "storage/commit/write_requests.h"
#include "storage/db_feed.h"
#include "storage/db_ingest.h"
#include "storage/engine/engine.h"

namespace bandb::storage {

namespace {

// Delays that back-pressure asks of writers are saved up until they are worth a sleep.
constexpr int64_t kDelayNanosWorthWaiting = 1'000'000;

// Closing waits for answers on their way.
constexpr int64_t kAsyncDelayNanosMax = 500'000'000;

// An asynchronous write counts as so much besides its batch.
constexpr uint64_t kAsyncOverheadBytes = 512;
constexpr uint64_t kAsyncBytesMin = 1 << 20;

int64_t Nanos(absl::Duration duration) {
  if (duration >= absl::Hours(24 * 365)) return base::kForever;
  return std::max<int64_t>(absl::ToInt64Nanoseconds(duration), 0);
}

// A directory as the engine takes it: with no slash at its end, and longer than the path of the one
// that holds it, so that a walk upward knows where to stop.
absl::StatusOr<std::string> DirectoryPath(std::string path) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return base::Error(absl::StatusCode::kInvalidArgument, "the path of a directory is empty or holds a zero byte");
  }
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (path == "/") return std::string("/.");
  return path.size() == 1 ? base::JoinPath(".", path) : path;
}

// What a database that is not given an environment brings along.
struct OwnWorld {
  explicit OwnWorld(const Options& options) : OwnWorld(options, std::make_unique<kv::HostLogger>(options.logger)) {}
  OwnWorld(const Options& options, std::unique_ptr<kv::HostLogger> given)
      : logger(given.get()),
        env(base::SystemEnvOptions{.threads = options.background_threads}, std::move(given)),
        callbacks(1) {}

  // Owned by env.
  const kv::HostLogger* const logger;
  base::SystemEnv env;
  // Callbacks have a thread of their own: one that waits for a write keeps no flush from running
  // that the write is waiting for.
  base::ThreadExecutor callbacks;
};

class DbImpl final : public Db {
 public:
  DbImpl(std::unique_ptr<OwnWorld> own_world, const base::Env& env, const Options& options,
         std::unique_ptr<Engine> engine)
      : own_world_(std::move(own_world)),
        executor_(env.executor),
        callbacks_(own_world_ != nullptr ? &own_world_->callbacks : env.executor),
        clock_(env.clock),
        async_bytes_max_(std::max(options.write_buffer_bytes, kAsyncBytesMin)),
        engine_(std::move(engine)),
        feed_(
            engine_.get(), [this](const WriteBatch& batch) { return WriteSystem(batch); },
            [this]() { return CheckProcess(); }) {}

  // In a forked child neither the threads nor the files are its own: all is left as it is.
  ~DbImpl() override {
    Close().IgnoreError();
    if (!InForkedChild()) return;
    (void)engine_.release();
    (void)own_world_.release();
  }

  absl::Status Flush() override;
  absl::Status CompactRange(std::string_view begin, std::string_view limit) override;
  absl::Status PauseCompactions() override;
  absl::Status ContinueCompactions() override;
  absl::Status CreateCheckpoint(const std::filesystem::path& dir) override;
  absl::Status VerifyChecksums() override { return engine_->VerifyChecksums(); }
  absl::Status Resume() override;
  absl::Status AcceptClock() override;
  Stats GetStats() const override;
  absl::Status Close() override ABSL_LOCKS_EXCLUDED(close_mutex_);
  Engine* engine() { return engine_.get(); }

 private:
  absl::Status DoCheckpoint(const std::filesystem::path& dir, internal::CheckpointSink* sink) override;
  absl::StatusOr<uint64_t> DoIngest(IngestSource next, const IngestOptions& options) override;
  absl::StatusOr<RangeFigures> DoApproximate(std::string_view begin, std::string_view limit) const override;
  absl::Status DoPut(std::string_view key, std::string_view value, const WriteOptions& options) override;
  absl::Status DoDelete(std::string_view key, const WriteOptions& options) override;
  absl::Status DoWrite(const WriteBatch& batch, const WriteOptions& options) override;
  void DoWriteAsync(WriteBatch batch, const WriteOptions& options, WriteCallback done) override {
    SubmitAsync(std::move(batch), options, std::move(done));
  }
  void DoWriteAsyncOrReturn(WriteBatch batch, const WriteOptions& options, ReturningWriteCallback done) override {
    SubmitAsync(std::move(batch), options, std::move(done));
  }
  absl::Status DoGet(std::string_view key, PinnedValue* value, const ReadOptions& options) override {
    return engine_->Get(key, options, value);
  }
  std::vector<absl::StatusOr<std::string>> DoMultiGet(absl::Span<const std::string_view> keys,
                                                      const ReadOptions& options) override {
    return engine_->MultiGet(keys, options);
  }
  std::unique_ptr<Iterator> DoNewIterator(const ReadOptions& options) override { return engine_->NewIterator(options); }
  Snapshot DoGetSnapshot() override { return engine_->GetSnapshot(); }
  void DoReadBarrierAsync(const ReadOptions& options, ReadCallback ready) override;
  internal::ChangeFeed* DoChangeFeed() override { return &feed_; }

  // Of cursors: synced.
  absl::Status WriteSystem(const WriteBatch& batch);
  // Submits the request and waits for its outcome, a given time at the most.
  template <typename Fill>
  absl::Status WriteAndWait(const WriteOptions& options, const Fill& fill);
  absl::Status AwaitOutcome(BlockingWrite* write, int64_t timeout_nanos, bool* abandoned);
  // Slows a caller down, for `nanos_max` at the most. Returns how long.
  int64_t Throttle(uint64_t bytes, int64_t nanos_max);
  // What Throttle is for callers who wait: an asynchronous write is answered so much later.
  int64_t AsyncDelayNanos(uint64_t bytes);
  // Waits for something that ends in a Done.
  absl::Status WaitForDone(const std::function<void(Engine::Done)>& start);

  template <typename Callback>
  void SubmitAsync(WriteBatch batch, const WriteOptions& options, Callback done);
  template <typename Callback>
  void Refuse(WriteBatch batch, Callback done, absl::Status refused);
  // Of a callback that is run outside an AsyncWrite; `given` is what it gets.
  template <typename Callback, typename... Given>
  void Call(Callback done, Given... given);

  bool InForkedChild() const { return base::Forks() != forks_; }
  // Errors: kFailedPrecondition in a forked child, which has no part in the database.
  absl::Status CheckProcess() const;

  const uint64_t forks_ = base::Forks();
  // Null in an environment of somebody else's. Destroyed after the engine.
  std::unique_ptr<OwnWorld> own_world_;
  base::Executor* const executor_;
  base::Executor* const callbacks_;
  base::Clock* const clock_;
  // Of asynchronous writes whose callback has not returned: how much there is, and may be.
  const uint64_t async_bytes_max_;
  std::atomic<uint64_t> async_bytes_{0};
  std::unique_ptr<Engine> engine_;
  DbFeed feed_;
  IngestTurn ingest_turn_;
  std::atomic<int64_t> delay_nanos_{0};
  std::atomic<int64_t> async_slow_until_nanos_{0};
  base::Mutex close_mutex_;
  bool closed_ ABSL_GUARDED_BY(close_mutex_) = false;
};

absl::Status DbImpl::CheckProcess() const {
  if (!InForkedChild()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kFailedPrecondition, "the database was opened before a fork, by the parent");
}

absl::Status DbImpl::Resume() {
  BANDB_RETURN_IF_ERROR(CheckProcess());
  return engine_->Resume();
}

absl::Status DbImpl::PauseCompactions() {
  BANDB_RETURN_IF_ERROR(CheckProcess());
  return engine_->PauseCompactions();
}

absl::Status DbImpl::ContinueCompactions() {
  BANDB_RETURN_IF_ERROR(CheckProcess());
  return engine_->ContinueCompactions();
}

absl::Status DbImpl::AcceptClock() {
  BANDB_RETURN_IF_ERROR(CheckProcess());
  return WaitForDone([this](Engine::Done done) { engine_->AcceptClock(std::move(done)); });
}

Stats DbImpl::GetStats() const {
  Stats stats = engine_->GetStats();
  if (own_world_ != nullptr) stats.exceptions += own_world_->logger->exceptions();
  return stats;
}

absl::Status DbImpl::DoPut(std::string_view key, std::string_view value, const WriteOptions& options) {
  BANDB_RETURN_IF_ERROR(kv::CheckKey(engine_->limits(), key.size()));
  BANDB_RETURN_IF_ERROR(kv::CheckValue(engine_->limits(), value.size()));
  const kv::Operation operation{.kind = kv::Kind::kPut, .key = key, .value = value};
  return WriteAndWait(options, [&](BlockingWrite* write) { write->FromOperation(&operation); });
}

absl::Status DbImpl::DoDelete(std::string_view key, const WriteOptions& options) {
  BANDB_RETURN_IF_ERROR(kv::CheckKey(engine_->limits(), key.size()));
  const kv::Operation operation{.kind = kv::Kind::kDelete, .key = key, .value = {}};
  return WriteAndWait(options, [&](BlockingWrite* write) { write->FromOperation(&operation); });
}

absl::Status DbImpl::DoWrite(const WriteBatch& batch, const WriteOptions& options) {
  BANDB_RETURN_IF_ERROR(kv::CheckBatch(engine_->limits(), batch));
  return WriteAndWait(options, [&](BlockingWrite* write) { write->FromBatch(batch); });
}

absl::Status DbImpl::WriteSystem(const WriteBatch& batch) {
  BANDB_RETURN_IF_ERROR(CheckProcess());
  BlockingWrite write;
  write.FromBatch(batch);
  write.system = true;
  write.sync = true;
  bool abandoned = false;
  return AwaitOutcome(&write, base::kForever, &abandoned);
}

int64_t DbImpl::Throttle(uint64_t bytes, int64_t nanos_max) {
  const int64_t delay = engine_->WriteDelayNanos(bytes);
  if (delay == 0) return 0;
  if (delay_nanos_.fetch_add(delay, std::memory_order_relaxed) + delay < kDelayNanosWorthWaiting) return 0;
  const int64_t owed = delay_nanos_.exchange(0, std::memory_order_relaxed);
  const int64_t wait = std::min(owed, nanos_max);
  // The rest is for the next caller.
  if (wait < owed) delay_nanos_.fetch_add(owed - wait, std::memory_order_relaxed);
  if (wait <= 0) return 0;
  base::Event never;
  executor_->Wait(&never, wait);
  engine_->CountStall(wait);
  return wait;
}

int64_t DbImpl::AsyncDelayNanos(uint64_t bytes) {
  const int64_t delay = engine_->WriteDelayNanos(bytes);
  if (delay == 0) return 0;
  // One after the other, or several on their way would share one delay.
  const int64_t now_nanos = clock_->MonotonicNanos();
  int64_t until = async_slow_until_nanos_.load(std::memory_order_relaxed);
  int64_t next = 0;
  do {
    next = std::max(until, now_nanos) + delay;
  } while (!async_slow_until_nanos_.compare_exchange_weak(until, next, std::memory_order_relaxed));
  const int64_t wait = std::min(next - now_nanos, kAsyncDelayNanosMax);
  if (wait < kDelayNanosWorthWaiting) return 0;
  engine_->CountStall(wait);
  return wait;
}

template <typename Fill>
absl::Status DbImpl::WriteAndWait(const WriteOptions& options, const Fill& fill) {
  BANDB_RETURN_IF_ERROR(CheckProcess());
  const int64_t timeout_nanos = Nanos(options.timeout);
  bool abandoned = false;
  if (timeout_nanos == base::kForever) {
    BlockingWrite write;
    fill(&write);
    write.sync = options.sync;
    Throttle(write.payload_bytes, base::kForever);
    return AwaitOutcome(&write, base::kForever, &abandoned);
  }
  // The caller may leave before the outcome is there, and the request must not refer to what
  // belongs to the caller.
  auto write = std::make_unique<BlockingWrite>();
  fill(write.get());
  write->OwnBytes();
  write->sync = options.sync;
  // Half of the time is left for the write itself.
  const int64_t slowed_nanos = Throttle(write->payload_bytes, timeout_nanos / 2);
  absl::Status outcome = AwaitOutcome(write.get(), timeout_nanos - slowed_nanos, &abandoned);
  if (abandoned) (void)write.release();
  return outcome;
}

absl::Status DbImpl::AwaitOutcome(BlockingWrite* write, int64_t timeout_nanos, bool* abandoned) {
  engine_->Submit(write);
  if (write->sync && !write->IsComplete()) engine_->SyncWaiting();
  // Writes that we committed but did not sync are synced in the background, before we wait for
  // anything ourselves.
  engine_->SyncInBackground();
  if (!write->IsComplete()) {
    const int64_t begin_nanos = clock_->MonotonicNanos();
    const bool stalled = engine_->Stalled();
    const bool complete = write->Wait(executor_, timeout_nanos);
    if (stalled) engine_->CountStall(clock_->MonotonicNanos() - begin_nanos);
    if (!complete) {
      if (engine_->Cancel(write)) {
        return base::Error(absl::StatusCode::kDeadlineExceeded, "writes are stalled; given up before it was submitted");
      }
      if (write->Abandon()) {
        *abandoned = true;
        return base::Error(absl::StatusCode::kUnknown, "given up while the write was on its way to disk");
      }
    }
  }
  return write->TakeOutcome();
}

template <typename Callback, typename... Given>
void DbImpl::Call(Callback done, Given... given) {
  if (!kv::RunContained([&]() { std::move(done)(std::move(given)...); })) engine_->NoteException("a callback");
}

template <typename Callback>
void DbImpl::Refuse(WriteBatch batch, Callback done, absl::Status refused) {
  auto task = [this, batch = std::move(batch), done = std::move(done), refused = std::move(refused)]() mutable {
    if constexpr (std::is_same_v<Callback, WriteCallback>) {
      Call(std::move(done), std::move(refused));
    } else {
      Call(std::move(done), std::move(refused), std::move(batch));
    }
    engine_->Leave();
  };
  callbacks_->Post(base::Priority::kHigh, std::move(task));
}

template <typename Callback>
void DbImpl::SubmitAsync(WriteBatch batch, const WriteOptions& options, Callback done) {
  // Nothing runs on the executor any more, or it is another process's: the callback runs here.
  absl::Status gone = CheckProcess();
  if (gone.ok() && !engine_->Enter()) gone = ClosedError();
  if (!gone.ok()) {
    if constexpr (std::is_same_v<Callback, WriteCallback>) {
      return Call(std::move(done), std::move(gone));
    } else {
      return Call(std::move(done), std::move(gone), std::move(batch));
    }
  }
  if (absl::Status refused = kv::CheckBatch(engine_->limits(), batch); !refused.ok()) {
    return Refuse(std::move(batch), std::move(done), std::move(refused));
  }
  const uint64_t bytes = batch.ByteSize() + kAsyncOverheadBytes;
  const uint64_t others = async_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  // One alone may be as large as a batch may be.
  if (others != 0 && others + bytes > async_bytes_max_) {
    async_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    return Refuse(std::move(batch), std::move(done),
                  base::Error(absl::StatusCode::kUnavailable,
                              "overloaded: {} bytes of asynchronous writes are on their way", others));
  }
  engine_->working_bytes()->fetch_add(bytes, std::memory_order_relaxed);
  auto* write = new AsyncWrite<Callback>(std::move(batch), options, AsyncDelayNanos(bytes), std::move(done), callbacks_,
                                         [this, bytes](bool threw) {
                                           if (threw) engine_->NoteException("a callback");
                                           async_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
                                           engine_->working_bytes()->fetch_sub(bytes, std::memory_order_relaxed);
                                           engine_->Leave();
                                         });
  engine_->SubmitUnwaiting(write);
  engine_->SyncInBackground();
}

void DbImpl::DoReadBarrierAsync(const ReadOptions&, ReadCallback ready) {
  // Every read of a single node is linearizable.
  if (absl::Status process = CheckProcess(); !process.ok()) return Call(std::move(ready), std::move(process));
  if (!engine_->Enter()) {
    return Call(std::move(ready), ClosedError());
  }
  callbacks_->Post(base::Priority::kHigh, [this, ready = std::move(ready)]() mutable {
    Call(std::move(ready), absl::OkStatus());
    engine_->Leave();
  });
}

absl::Status DbImpl::WaitForDone(const std::function<void(Engine::Done)>& start) {
  base::Event event;
  absl::Status outcome;
  start([&](absl::Status status) {
    outcome = std::move(status);
    event.Set();
  });
  while (!executor_->Wait(&event, base::kForever)) {
  }
  return outcome;
}

absl::Status DbImpl::Flush() {
  BANDB_RETURN_IF_ERROR(CheckProcess());
  BlockingWrite freeze;
  freeze.freeze = true;
  bool abandoned = false;
  BANDB_RETURN_IF_ERROR(AwaitOutcome(&freeze, base::kForever, &abandoned));
  return WaitForDone([this](Engine::Done done) { engine_->WhenFlushed(std::move(done)); });
}

absl::Status DbImpl::CompactRange(std::string_view begin, std::string_view limit) {
  BANDB_RETURN_IF_ERROR(Flush());
  return WaitForDone([&](Engine::Done done) { engine_->CompactRange(begin, limit, std::move(done)); });
}

absl::Status DbImpl::CreateCheckpoint(const std::filesystem::path& dir) { return DoCheckpoint(dir, nullptr); }

absl::Status DbImpl::DoCheckpoint(const std::filesystem::path& dir, internal::CheckpointSink* sink) {
  BANDB_ASSIGN_OR_RETURN(const std::string path, DirectoryPath(dir.string()));
  // Before what is in the copy is known: what comes later is of no earlier time.
  const uint64_t cut_ms = engine_->NowMs();
  BANDB_RETURN_IF_ERROR(Flush());
  return engine_->CreateCheckpoint(path, sink, cut_ms);
}

absl::StatusOr<uint64_t> DbImpl::DoIngest(IngestSource next, const IngestOptions& options) {
  BANDB_RETURN_IF_ERROR(CheckProcess());
  return IngestTables(engine_.get(), &ingest_turn_, next, options, [this](IngestCommit* ingest) {
    // While writers wait, what was written since then is flushed, and no more than that.
    BANDB_RETURN_IF_ERROR(Flush());
    BlockingWrite write;
    write.ingest = ingest;
    bool abandoned = false;
    return AwaitOutcome(&write, base::kForever, &abandoned);
  });
}

absl::StatusOr<Db::RangeFigures> DbImpl::DoApproximate(std::string_view begin, std::string_view limit) const {
  BANDB_ASSIGN_OR_RETURN(const Engine::RangeFigures figures, engine_->Approximate(begin, limit));
  return RangeFigures{.bytes = figures.bytes, .keys = figures.keys};
}

absl::Status DbImpl::Close() {
  // Before the mutex, which another thread may have held when the process forked.
  BANDB_RETURN_IF_ERROR(CheckProcess());
  base::MutexLock lock(&close_mutex_);
  if (closed_) return absl::OkStatus();
  closed_ = true;
  feed_.WriteCursors();
  WaitForDone([this](Engine::Done done) { engine_->BeginClose(std::move(done)); }).IgnoreError();
  const absl::Status finished = engine_->FinishClose();
  // No task of the engine's is left; its last one may still be returning.
  if (own_world_ != nullptr) {
    own_world_->env.Shutdown();
    own_world_->callbacks.Shutdown();
  }
  return finished;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Db>> OpenDb(const base::Env& env, const std::string& dir, const Options& options) {
  BANDB_RETURN_IF_ERROR(kv::Validate(options));
  BANDB_ASSIGN_OR_RETURN(const std::string path, DirectoryPath(dir));
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, Engine::Open(env, path, options));
  return std::unique_ptr<Db>(std::make_unique<DbImpl>(nullptr, env, options, std::move(engine)));
}

absl::StatusOr<std::unique_ptr<Db>> OpenDbReadOnly(const base::Env& env, const std::string& dir,
                                                   const Options& options) {
  BANDB_RETURN_IF_ERROR(kv::Validate(options));
  BANDB_ASSIGN_OR_RETURN(const std::string path, DirectoryPath(dir));
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, Engine::OpenReadOnly(env, path, options));
  return std::unique_ptr<Db>(std::make_unique<DbImpl>(nullptr, env, options, std::move(engine)));
}

absl::Status CheckInvariants(Db* db) { return static_cast<DbImpl*>(db)->engine()->CheckInvariants(); }

void SetLogBytesMax(Db* db, uint64_t bytes) { static_cast<DbImpl*>(db)->engine()->SetLogBytesMax(bytes); }

// Opens by `begin`, Engine::Open or OpenReadOnly, in a world of the database's own.
template <typename Begin>
absl::StatusOr<std::unique_ptr<Db>> OpenProductionDb(const std::string& dir, const Options& options,
                                                     const Begin& begin) {
  BANDB_RETURN_IF_ERROR(kv::Validate(options));
  BANDB_ASSIGN_OR_RETURN(const std::string path, DirectoryPath(dir));
  auto own_world = std::make_unique<OwnWorld>(options);
  const base::Env env = own_world->env.env();
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, begin(env, path, options));
  return std::unique_ptr<Db>(std::make_unique<DbImpl>(std::move(own_world), env, options, std::move(engine)));
}

}  // namespace bandb::storage

namespace bandb {

absl::StatusOr<std::unique_ptr<Db>> Db::Open(const std::filesystem::path& dir, const Options& options) {
  return storage::OpenProductionDb(dir.string(), options,
                                   [](const base::Env& env, const std::string& path, const Options& given) {
                                     return storage::Engine::Open(env, path, given);
                                   });
}

absl::StatusOr<std::unique_ptr<Db>> Db::OpenReadOnly(const std::filesystem::path& dir, const Options& options) {
  // Nothing is done in the background.
  Options reading = options;
  reading.background_threads = 1;
  return storage::OpenProductionDb(dir.string(), reading, &storage::Engine::OpenReadOnly);
}

}  // namespace bandb
