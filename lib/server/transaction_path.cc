#include "server/transaction_path.h"

#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/status.h"
#include "proto/message_id.h"
#include "server/durable_replies.h"

namespace bandb::server {

namespace {

// What takes more steps is run on a reader's thread.
constexpr size_t kLoopStepsMax = 256;
// Likewise what copies more than this.
constexpr size_t kLoopBytesMax = 1 << 20;
// Runs that see what is on its way; and runs in all, after which others are in the way for good.
constexpr int kHopefulRuns = 3;
constexpr int kRunsMax = 1000;

int64_t ExpiryMillis(const PinnedValue& value) {
  return value.expiry() == absl::InfiniteFuture() ? kNeverExpires : absl::ToUnixMillis(value.expiry());
}

}  // namespace

bool PendingWrites::Find(std::string_view key, EntryState* state) const {
  const auto found = keys_.find(key);
  if (found != keys_.end()) {
    *state = found->second.state;
    return true;
  }
  state->reset();
  return deletions_ > 0;
}

void PendingWrites::Add(const Transaction& transaction) {
  if (transaction.deleted_all()) {
    ++deletions_;
    for (auto& [key, pending] : keys_) pending.state.reset();
  }
  for (const auto& [key, written] : transaction.written()) {
    Pending& pending = keys_[key];
    pending.state = written.state;
    pending.writes++;
  }
}

void PendingWrites::Remove(const Transaction& transaction) {
  if (transaction.deleted_all()) deletions_--;
  for (const auto& [key, written] : transaction.written()) {
    const auto found = keys_.find(key);
    BANDB_ASSERT(found != keys_.end());
    if (--found->second.writes == 0) keys_.erase(found);
  }
}

// The store, from a thread that may wait or from one that may not.
class TransactionPath::StoreSource : public EntrySource {
 public:
  StoreSource(Store* store, const TransactionCommand& command, bool may_wait) : store_(store), may_wait_(may_wait) {
    has_snapshot_ = command.walks || command.many;
    if (has_snapshot_) snapshot_ = store->GetSnapshot();
  }

  absl::Status Read(std::string_view key, EntryState* state) override {
    PinnedValue value;
    bool undurable = false;
    const absl::Status status = store_->GetPinned(key, &value,
                                                  {.snapshot = has_snapshot_ ? &snapshot_ : nullptr,
                                                   .only_cached = !may_wait_,
                                                   .saw_undurable = &undurable,
                                                   .consistency = consistency()});
    if (status.ok() && !may_wait_ && value.value().size() > kLoopBytesMax) return TooLongForLoop();
    if (status.ok() || status.code() == absl::StatusCode::kNotFound) saw_undurable_ |= undurable;
    if (status.ok()) *state = StoredEntry{std::string(value.value()), ExpiryMillis(value)};
    return status.code() == absl::StatusCode::kNotFound ? absl::OkStatus() : status;
  }

  std::unique_ptr<Iterator> Walk(std::string_view begin) override {
    if (!may_wait_) return nullptr;
    bool undurable = false;
    ReadOptions options{.snapshot = has_snapshot_ ? &snapshot_ : nullptr,
                        .lower_bound = std::string(begin),
                        .skips_max = kKeysPerStep,
                        .fill_cache = false,
                        .saw_undurable = &undurable,
                        .consistency = Consistency::kLocal};
    std::unique_ptr<Iterator> it = store_->NewIterator(options);
    saw_undurable_ |= undurable;
    return it;
  }

  bool saw_undurable() const { return saw_undurable_; }

 protected:
  static absl::Status TooLongForLoop() { return absl::UnavailableError("it is copied by a thread that has time"); }

 private:
  // Who may wait has waited before; who may not, reads what is up to date without, or is told so.
  Consistency consistency() const { return may_wait_ ? Consistency::kLocal : Consistency::kLinearizable; }

  Store* const store_;
  const bool may_wait_;
  Snapshot snapshot_;
  bool has_snapshot_ = false;
  bool saw_undurable_ = false;
};

// With what is on its way seen before it.
class TransactionPath::LoopSource final : public StoreSource {
 public:
  LoopSource(Store* store, const TransactionCommand& command, const PendingWrites* pending)
      : StoreSource(store, command, false), pending_(pending) {}

  absl::Status Read(std::string_view key, EntryState* state) override {
    if (pending_ == nullptr || !pending_->Find(key, state)) return StoreSource::Read(key, state);
    if (state->has_value() && (*state)->value.size() > kLoopBytesMax) return TooLongForLoop();
    saw_pending_ = true;
    return absl::OkStatus();
  }
  bool saw_pending() const { return saw_pending_; }

 private:
  const PendingWrites* const pending_;
  bool saw_pending_ = false;
};

// A request on its way. Source and transaction are of one run, of one or several steps.
struct TransactionPath::Running {
  TransactionCommand command;
  Origin origin() const { return {connection, peer, user == nullptr ? std::string_view() : user->name}; }
  uint64_t connection = 0;
  std::string peer;
  std::shared_ptr<const User> user;
  size_t payload_bytes_max = 0;
  Pending pending;
  int runs = 0;
  std::unique_ptr<StoreSource> source;
  std::unique_ptr<Transaction> transaction;
  std::string reply;
  bool saw_undurable = false;
  bool saw_pending = false;
  ModifiedBytes modified;
  BatchCommand made;  // of what the transaction wrote, and of `modified`
  WriteBatch batch;
  int64_t batch_bytes = 0;  // on the account
  bool is_pending = false;  // others of this loop see what it writes
  bool has_turn = false;
  int64_t kept_bytes = 0;  // of its last step: what its session may keep of it
  absl::Status failure;    // of the last step

  size_t MadeBytes() const {
    size_t bytes = 0;
    for (const Condition& condition : made.conditions) bytes += condition.key.size() + condition.value.size();
    for (const Operation& operation : made.operations) bytes += operation.ByteSize();
    return bytes;
  }

  void MakeBatch() {
    batch.Clear();
    for (const Condition& condition : made.conditions) AddTo(condition, &batch);
    for (const Operation& operation : made.operations) AddTo(operation, &batch);
    made = {};
    modified.clear();
  }

  bool has_paused() const { return transaction != nullptr && transaction->paused(); }

  void Begin(std::unique_ptr<StoreSource> from, int64_t now_ms, size_t bytes_max, const Transaction::Bounds& bounds) {
    ++runs;
    saw_pending = false;
    reply.clear();
    transaction = std::make_unique<Transaction>(from.get(), now_ms, bytes_max, user.get(), bounds);
    source = std::move(from);
  }

  void RunBody() {
    command.body(transaction.get(), &reply);
    transaction->HasRoomFor(reply.size());
    kept_bytes = static_cast<int64_t>(transaction->bytes());
    saw_undurable = source->saw_undurable();
  }
};

TransactionPath::TransactionPath(Store* store, base::EventLoop* loop, base::Clock* clock, const RequestContext& context,
                                 const Options& options)
    : store_(store), loop_(loop), clock_(clock), context_(context), options_(options) {}

TransactionPath::~TransactionPath() { BANDB_ASSERT(in_flight_ == 0); }

void TransactionPath::Run(Request& request, TransactionCommand* command) {
  if (!command->writes) context_.counters->reads.Add();
  auto running = std::make_unique<Running>();
  running->command = std::move(*command);
  const Origin origin = request.origin();
  running->connection = origin.connection;
  running->peer = origin.peer;
  running->user = request.codec().session().user();
  running->payload_bytes_max = request.codec().payload_bytes_max();
  const size_t bytes = running->command.bytes + sizeof(Running);
  request.SetOperations(running->command.reads);
  running->pending = request.Defer(bytes);
  running->pending.done = std::move(running->command.done);
  ++in_flight_;
  RunSomewhere(std::move(running));
}

void TransactionPath::RunSomewhere(std::unique_ptr<Running> running) {
  if (running->command.walks || running->command.steps > kLoopStepsMax || !RunOnLoop(running.get())) {
    return RunOnReader(std::move(running));
  }
  GoOn(std::move(running));
}

// A snapshot is of what this node has, however old that is.
bool TransactionPath::MayReadNow(const Running& running) const {
  const std::vector<Operation>& reads = running.command.reads;
  PinnedValue value;
  const ReadOptions options{.only_cached = true};
  return !absl::IsUnavailable(store_->GetPinned(reads.empty() ? "" : reads[0].key, &value, options));
}

bool TransactionPath::RunOnLoop(Running* running) {
  if (running->command.many && !MayReadNow(*running)) return false;
  const bool hopeful = running->command.writes && running->runs < kHopefulRuns && !pending_.empty();
  auto source = std::make_unique<LoopSource>(store_, running->command, hopeful ? &pending_ : nullptr);
  const LoopSource* const looked_at = source.get();
  running->Begin(std::move(source), clock_->WallMillis(), options_.bytes_max,
                 {.work_max = kLoopBytesMax,
                  .may_pause = false,
                  .quota = context_.quota,
                  .memory_bytes_max = context_.memory_bytes_max,
                  .stored_names = &running->command.stored_names,
                  .is_judged = context_.hooks->JudgeOperations()});
  running->RunBody();
  running->saw_pending = looked_at->saw_pending();
  return running->transaction->status().code() != absl::StatusCode::kUnavailable;
}

void TransactionPath::RunOnReader(std::unique_ptr<Running> running) {
  // What it holds of a run on the loop is of no use.
  running->transaction.reset();
  Running* const started = running.release();
  store_->ReadBarrierAsync({.timeout = context_.store_timeout}, [this, started](absl::Status barrier) {
    loop_->Post([this, started, barrier = std::move(barrier)] {
      std::unique_ptr<Running> back(started);
      if (!barrier.ok()) return End(std::move(back), {.failure = ToFailureOfAll(barrier)});
      AwaitTurn(std::move(back));
    });
  });
}

bool TransactionPath::TakesTurns(const Running& running) const {
  return running.command.walks || running.command.steps > kLookupsPerStep || running.has_paused();
}

bool TransactionPath::IsInVain(const Running& running) const {
  if (closed_ && TakesTurns(running)) return true;
  const net::Ticket& ticket = running.pending.ticket;
  const bool names_writes = running.command.writes && !running.command.walks;
  if (!running.command.writes && context_.completions->CodecOf(ticket) == nullptr) return true;
  return TakesTurns(running) && !names_writes && !waiting_.empty() && context_.completions->HasEnded(ticket);
}

void TransactionPath::AwaitTurn(std::unique_ptr<Running> running) {
  if (TakesTurns(*running)) {
    waiting_.push_back(std::move(running));
    return NextTurn();
  }
  StartStep(std::move(running));
}

void TransactionPath::NextTurn() {
  while (!turn_is_taken_ && !waiting_.empty()) {
    std::unique_ptr<Running> next = std::move(waiting_.front());
    waiting_.pop_front();
    StartStep(std::move(next));
  }
}

void TransactionPath::Close() {
  closed_ = true;
  NextTurn();
}

void TransactionPath::StartStep(std::unique_ptr<Running> running) {
  if (IsInVain(*running)) {
    // No "overloaded": nothing was wanting, and nobody is told.
    const absl::Status vain = base::Error(absl::StatusCode::kCancelled, "not done: its client has gone");
    return End(std::move(running), {.failure = ToFailureOfAll(vain)});
  }
  running->has_turn = TakesTurns(*running);
  if (running->has_turn) turn_is_taken_ = true;
  context_.readers->Post(base::Priority::kNormal, [this, started = running.release()] {
    RunStep(started);
    loop_->Post([this, started] { FinishStep(std::unique_ptr<Running>(started)); });
  });
}

void TransactionPath::RunStep(Running* running) {
  if (context_.MemoryIsFull()) {
    running->failure = base::Error(absl::StatusCode::kUnavailable, "the server is short of memory");
    return;
  }
  if (running->has_paused()) {
    running->transaction->Resume();
  } else {
    running->Begin(std::make_unique<StoreSource>(store_, running->command, true), clock_->WallMillis(),
                   options_.bytes_max,
                   {.work_per_lookup = kWorkPerKey * kKeysPerStep / kLookupsPerStep,
                    .quota = context_.quota,
                    .memory_bytes_max = context_.memory_bytes_max,
                    .stored_names = &running->command.stored_names,
                    .is_judged = context_.hooks->JudgeOperations()});
  }
  running->RunBody();
  // What was read is no condition of anything, and would be read again as it was. What a session
  // keeps of it stays on the account.
  if (!running->command.writes && running->pending.done == nullptr) running->transaction->ForgetReads();
  if (running->has_paused()) return;
  // A snapshot is let go of where that may take time.
  running->source.reset();
}

void TransactionPath::FinishStep(std::unique_ptr<Running> running) {
  if (std::exchange(running->has_turn, false)) turn_is_taken_ = false;
  if (!running->failure.ok()) {
    const absl::Status failure = running->failure;
    End(std::move(running), {.failure = ToFailureOfAll(failure)});
  } else if (running->has_paused() && running->transaction->status().ok()) {
    AwaitTurn(std::move(running));
  } else {
    GoOn(std::move(running));
  }
  NextTurn();
}

void TransactionPath::GoOn(std::unique_ptr<Running> running) {
  const absl::Status status = running->transaction->status();
  if (!status.ok()) return End(std::move(running), {.failure = ToFailureOfAll(status)});
  // What was decided by what is on its way must wait for it, and see that it arrives.
  if (running->transaction->writes() || running->saw_pending) return Commit(std::move(running));
  // What it does to its session once it has succeeded may keep what it read.
  const int64_t kept_bytes = running->pending.done == nullptr ? 0 : running->kept_bytes;
  Outcome outcome;
  outcome.answer = EntriesAnswer{std::move(running->reply)};
  if (running->saw_undurable && context_.durable != nullptr) {
    --in_flight_;
    return context_.durable->Hold(std::move(running->pending), std::move(outcome), kept_bytes);
  }
  End(std::move(running), std::move(outcome));
}

bool TransactionPath::Judge(Running* running, Outcome* outcome) {
  const Transaction& transaction = *running->transaction;
  running->modified.clear();
  // Before anything is made of them: of very many that would take the loop too long.
  if (transaction.commit_size() > options_.keys_max) {
    outcome->failure = ToFailure(base::Error(absl::StatusCode::kInvalidArgument,
                                             "more than {} keys to read and write at once", options_.keys_max));
    return false;
  }
  // It may come to more than what the client sent for it.
  Command command = BatchCommand{.conditions = transaction.Conditions(),
                                 .operations = transaction.Writes(),
                                 .bytes_max = options_.bytes_max,
                                 .conditions_shown = true};
  BatchCommand& made = std::get<BatchCommand>(command);
  for (const Operation& operation : made.operations) made.bytes += operation.ByteSize();
  const bool goes_on = context_.hooks->RunBefore(running->origin(), {running->payload_bytes_max, options_.keys_max},
                                                 &command, &running->modified, outcome);
  running->pending.mark.hook_nanos += context_.hooks->TakeSpentNanos();
  if (!goes_on) return false;
  absl::Status status = transaction.CheckReads(made.operations);
  if (!status.ok()) {
    outcome->failure = ToFailure(status);
    return false;
  }
  outcome->failure = CheckKeys(running->user.get(), made);
  if (outcome->failure.code != 0) return false;
  for (const Operation& operation : made.operations) {
    if (status.ok()) status = CheckOperation(operation);
  }
  if (!status.ok()) {
    outcome->failure = ToFailure(status);
    return false;
  }
  std::vector<Operation> told = running->command.reads;
  told.insert(told.end(), made.operations.begin(), made.operations.end());
  running->pending.record = context_.hooks->MakeRecord(running->origin(), {}, told);
  running->made = std::get<BatchCommand>(std::move(command));
  return true;
}

void TransactionPath::Commit(std::unique_ptr<Running> running) {
  Outcome outcome;
  if (!Judge(running.get(), &outcome)) {
    // As for every request that a pre-hook ended.
    running->pending.record = nullptr;
    return End(std::move(running), std::move(outcome));
  }
  Account(running.get(), running->MadeBytes());
  if (running->MadeBytes() <= kLoopBytesMax) {
    running->MakeBatch();
    running->is_pending = true;
    return Submit(std::move(running));
  }
  // It comes to the store after others that began later, so they are not shown what it writes.
  context_.readers->Post(base::Priority::kNormal, [this, started = running.release()] {
    started->MakeBatch();
    loop_->Post([this, started] { Submit(std::unique_ptr<Running>(started)); });
  });
}

void TransactionPath::Account(Running* running, size_t bytes) {
  context_.quota->AddMemory(static_cast<int64_t>(bytes) - running->batch_bytes);
  running->batch_bytes = static_cast<int64_t>(bytes);
}

void TransactionPath::Submit(std::unique_ptr<Running> running) {
  context_.counters->write_operations.Add();
  context_.counters->write_groups.Add();
  if (running->is_pending) pending_.Add(*running->transaction);
  const size_t told_bytes = running->pending.record == nullptr ? 0 : running->pending.record->bytes.size();
  Account(running.get(), running->batch.ByteSize() + told_bytes);
  Running* const started = running.release();
  store_->WriteAsync(std::move(started->batch), {.sync = options_.sync, .timeout = context_.store_timeout},
                     [this, started](absl::Status status) {
                       loop_->Post([this, started, status = std::move(status)] {
                         Committed(std::unique_ptr<Running>(started), status);
                       });
                     });
}

void TransactionPath::Committed(std::unique_ptr<Running> running, const absl::Status& status) {
  if (std::exchange(running->is_pending, false)) pending_.Remove(*running->transaction);
  Account(running.get(), 0);
  const bool may_be_done = status.ok() || status.code() == absl::StatusCode::kUnknown;
  if (may_be_done && running->transaction->deleted_all()) {
    context_.Record({.what = "keys deleted",
                     .user = std::string(running->origin().user),
                     .address = running->peer,
                     .detail = status.ok() ? "" : "outcome unknown"});
  }
  if (status.ok()) {
    Outcome outcome;
    outcome.answer = EntriesAnswer{std::move(running->reply)};
    return End(std::move(running), std::move(outcome));
  }
  if (status.code() != absl::StatusCode::kAborted) {
    return End(std::move(running), {.failure = ToFailureOfAll(status)});
  }
  if (running->runs >= kRunsMax) {
    const absl::Status busy = base::Error(absl::StatusCode::kUnavailable, "others keep changing the same keys");
    return End(std::move(running), {.failure = ToFailureOfAll(busy)});
  }
  // What it did not write post-hooks must not hear of: the next run may write nothing.
  running->pending.record = context_.hooks->MakeRecord(running->origin(), {}, running->command.reads);
  RunSomewhere(std::move(running));
}

void TransactionPath::End(std::unique_ptr<Running> running, Outcome outcome) {
  --in_flight_;
  Complete(context_, running->pending, &outcome);
  // To let go of very many keys takes the loop too long.
  if (running->command.steps > kLookupsPerStep) {
    context_.readers->Post(base::Priority::kNormal, [ended = std::move(running)] {});
  }
}

}  // namespace bandb::server
