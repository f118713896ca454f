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
    deletions_++;
    for (auto& [key, pending] : keys_) pending.state.reset();
  }
  for (const auto& [key, state] : transaction.written()) {
    Pending& pending = keys_[key];
    pending.state = state;
    pending.writes++;
  }
}

void PendingWrites::Remove(const Transaction& transaction) {
  if (transaction.deleted_all()) deletions_--;
  for (const auto& [key, state] : transaction.written()) {
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
    if (status.ok() || status.code() == absl::StatusCode::kNotFound) saw_undurable_ |= undurable;
    if (status.ok()) *state = StoredEntry{std::string(value.value()), ExpiryMillis(value)};
    return status.code() == absl::StatusCode::kNotFound ? absl::OkStatus() : status;
  }

  std::unique_ptr<Iterator> Walk(std::string_view begin) override {
    if (!may_wait_) return nullptr;
    bool undurable = false;
    ReadOptions options{.snapshot = has_snapshot_ ? &snapshot_ : nullptr,
                        .lower_bound = std::string(begin),
                        .fill_cache = false,
                        .saw_undurable = &undurable,
                        .consistency = Consistency::kLocal};
    std::unique_ptr<Iterator> it = store_->NewIterator(options);
    saw_undurable_ |= undurable;
    return it;
  }

  bool saw_undurable() const { return saw_undurable_; }

 private:
  // Who may wait has waited before; who may not, reads what is up to date without, or is told so.
  Consistency consistency() const { return may_wait_ ? Consistency::kLocal : Consistency::kLinearizable; }

  Store* const store_;
  const bool may_wait_;
  Snapshot snapshot_;
  bool has_snapshot_ = false;
  bool saw_undurable_ = false;
};

// With what is on its way in front of it.
class TransactionPath::LoopSource final : public StoreSource {
 public:
  LoopSource(Store* store, const TransactionCommand& command, const PendingWrites* pending)
      : StoreSource(store, command, false), pending_(pending) {}

  absl::Status Read(std::string_view key, EntryState* state) override {
    if (pending_ == nullptr || !pending_->Find(key, state)) return StoreSource::Read(key, state);
    saw_pending_ = true;
    return absl::OkStatus();
  }
  bool saw_pending() const { return saw_pending_; }

 private:
  const PendingWrites* const pending_;
  bool saw_pending_ = false;
};

// A request on its way. The sources are of one run.
struct TransactionPath::Running {
  TransactionCommand command;
  Origin origin() const { return {connection, peer, user == nullptr ? std::string_view() : user->name}; }
  uint64_t connection = 0;
  std::string peer;
  std::shared_ptr<const User> user;
  size_t payload_bytes_max = 0;
  Pending pending;
  int runs = 0;
  std::unique_ptr<Transaction> transaction;
  std::string reply;
  bool saw_undurable = false;
  bool saw_pending = false;
  ModifiedBytes modified;
  int64_t accounted_bytes = 0;  // besides those of the request

  void RunBody(StoreSource* source, int64_t now_ms, size_t bytes_max) {
    runs++;
    saw_pending = false;
    reply.clear();
    transaction = std::make_unique<Transaction>(source, now_ms, bytes_max, user.get());
    command.body(transaction.get(), &reply);
    transaction->HasRoomFor(reply.size());
    saw_undurable = source->saw_undurable();
  }
};

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
  in_flight_++;
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
  LoopSource source(store_, running->command, hopeful ? &pending_ : nullptr);
  running->RunBody(&source, clock_->WallMillis(), options_.bytes_max);
  running->saw_pending = source.saw_pending();
  return running->transaction->status().code() != absl::StatusCode::kUnavailable;
}

void TransactionPath::RunOnReader(std::unique_ptr<Running> running) {
  Running* const started = running.release();
  store_->ReadBarrierAsync({.timeout = context_.store_timeout}, [this, started](absl::Status barrier) {
    context_.readers->Post(base::Priority::kNormal, [this, started, barrier = std::move(barrier)] {
      if (barrier.ok()) {
        StoreSource source(store_, started->command, true);
        started->RunBody(&source, clock_->WallMillis(), options_.bytes_max);
      }
      loop_->Post([this, started, barrier] {
        std::unique_ptr<Running> back(started);
        if (!barrier.ok()) return End(std::move(back), {.failure = ToFailureOfAll(barrier)});
        GoOn(std::move(back));
      });
    });
  });
}

void TransactionPath::GoOn(std::unique_ptr<Running> running) {
  const auto bytes = static_cast<int64_t>(running->transaction->bytes() + running->reply.size());
  context_.quota->AddMemory(bytes - std::exchange(running->accounted_bytes, bytes));
  const absl::Status status = running->transaction->status();
  if (!status.ok()) return End(std::move(running), {.failure = ToFailureOfAll(status)});
  // What was decided by what is on its way must wait for it, and see that it arrives.
  if (running->transaction->writes() || running->saw_pending) return Commit(std::move(running));
  Outcome outcome;
  outcome.answer = EntriesAnswer{std::move(running->reply)};
  if (running->saw_undurable && context_.durable != nullptr && running->command.done == nullptr) {
    in_flight_--;
    context_.quota->AddMemory(-running->accounted_bytes);
    return context_.durable->Hold(std::move(running->pending), std::move(outcome));
  }
  End(std::move(running), std::move(outcome));
}

bool TransactionPath::MakeBatch(Running* running, WriteBatch* batch, Outcome* outcome) {
  const Transaction& transaction = *running->transaction;
  running->modified.clear();
  Command command = BatchCommand{transaction.Conditions(), transaction.Writes(), 0};
  BatchCommand& made = std::get<BatchCommand>(command);
  if (made.conditions.size() + made.operations.size() > options_.keys_max) {
    outcome->failure = ToFailure(base::Error(absl::StatusCode::kInvalidArgument,
                                             "more than {} keys to read and write at once", options_.keys_max));
    return false;
  }
  if (!context_.hooks->RunBefore(running->origin(), running->payload_bytes_max, &command, &running->modified,
                                 outcome)) {
    return false;
  }
  outcome->failure = CheckKeys(running->user.get(), made);
  if (outcome->failure.code != 0) return false;
  absl::Status status;
  for (const Operation& operation : made.operations) {
    if (status.ok()) status = CheckOperation(operation);
  }
  if (!status.ok()) {
    outcome->failure = ToFailure(status);
    return false;
  }
  for (const Condition& condition : made.conditions) AddTo(condition, batch);
  for (const Operation& operation : made.operations) AddTo(operation, batch);
  std::vector<Operation> told = running->command.reads;
  told.insert(told.end(), made.operations.begin(), made.operations.end());
  running->pending.record = context_.hooks->MakeRecord(running->origin(), {}, told);
  return true;
}

void TransactionPath::Commit(std::unique_ptr<Running> running) {
  WriteBatch batch;
  Outcome outcome;
  if (!MakeBatch(running.get(), &batch, &outcome)) {
    // As for every request that a pre-hook ended.
    running->pending.record = nullptr;
    return End(std::move(running), std::move(outcome));
  }
  context_.counters->write_operations.Add();
  context_.counters->write_groups.Add();
  pending_.Add(*running->transaction);
  Running* const started = running.release();
  store_->WriteAsync(std::move(batch), {.sync = options_.sync, .timeout = context_.store_timeout},
                     [this, started](absl::Status status) {
                       loop_->Post([this, started, status = std::move(status)] {
                         Committed(std::unique_ptr<Running>(started), status);
                       });
                     });
}

void TransactionPath::Committed(std::unique_ptr<Running> running, const absl::Status& status) {
  pending_.Remove(*running->transaction);
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
  RunSomewhere(std::move(running));
}

void TransactionPath::End(std::unique_ptr<Running> running, Outcome outcome) {
  in_flight_--;
  context_.quota->AddMemory(-running->accounted_bytes);
  auto* const codec = static_cast<Codec*>(context_.completions->CodecOf(running->pending.ticket));
  if (codec != nullptr && outcome.ok() && running->command.done != nullptr) running->command.done(codec);
  Complete(context_, running->pending, &outcome);
}

}  // namespace bandb::server
