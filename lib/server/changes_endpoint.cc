#include "server/changes_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "kv/change_feed.h"
#include "proto/message_id.h"

namespace bandb::server {

namespace {

constexpr uint32_t kCommitsDefault = 1000;
constexpr uint32_t kCommitsMax = 65536;
// A reply ends with what it has once it has come so far, wanted or not.
constexpr uint64_t kOperationsMax = 200000;
// Requests that wait are looked at in pieces of this many.
constexpr size_t kPiece = 64;

// A range delete says no more than was asked for, which may be all that its reader may see.
void Clip(std::string_view lower, std::string_view upper, Commit* commit) {
  for (Change& change : commit->changes) {
    if (change.kind != ChangeKind::kDeleteRange) continue;
    change.key = std::max(change.key, lower);
    if (!upper.empty()) change.limit = std::min(change.limit, upper);
  }
}

}  // namespace

// Thread safety: Tell on any thread; `endpoint` on the loop's.
struct ChangesEndpoint::Ear : std::enable_shared_from_this<Ear> {
  explicit Ear(ChangesEndpoint* whose) : endpoint(whose), loop(whose->loop_) {}

  // Lifetime: the loop is there as long as anybody waits.
  void Tell() {
    if (told.exchange(true, std::memory_order_acq_rel)) return;
    loop->Post([ear = shared_from_this()] {
      ear->told.store(false, std::memory_order_release);
      if (ear->endpoint != nullptr) ear->endpoint->LookAgain();
    });
  }

  ChangesEndpoint* endpoint;
  base::EventLoop* const loop;
  std::atomic<bool> told{false};
};

// One request, from the loop to a reader's thread and back, perhaps several times.
struct ChangesEndpoint::Step final : internal::ChangeListener {
  ~Step() {
    if (awaitable != nullptr) awaitable->Forget();
  }

  ChangesEndpoint* endpoint = nullptr;
  uint64_t connection = 0;
  std::string user;  // empty: there are none
  Pending pending;
  ChangesOptions options;
  uint32_t commits_max = 0;
  uint32_t skip = 0;
  std::unique_ptr<CommitWriter> writer;
  int64_t deadline_nanos = 0;
  std::unique_ptr<ChangeReader> reader;
  // The same one, if it can tell that there is more.
  internal::AwaitableReader* awaitable = nullptr;
  // While it waits: to be looked at, at once or at that time.
  std::atomic<bool> told{false};
  int64_t due_nanos = 0;
  Outcome outcome;
  int64_t produced_bytes = 0;
  bool done = false;

  void Run(int64_t now_nanos);
  absl::Status Collect(bool may_wait);
  absl::Status Open();
  absl::Status Next(bool may_wait, Commit* commit) {
    return may_wait && awaitable != nullptr ? awaitable->Look(commit) : reader->Next(commit, absl::ZeroDuration());
  }
  // Of one that waits.
  bool IsDue(int64_t now_nanos) const { return told.load(std::memory_order_acquire) || due_nanos <= now_nanos; }
  // Has itself told once there is more.
  void Await(int64_t now_nanos);
  void HasNews() override {
    told.store(true, std::memory_order_release);
    endpoint->ear_->Tell();
  }
  absl::Status FirstCommit(const Commit& commit, bool* cut);
  void End(bool cut, const std::string& token) {
    outcome.answer = EntriesAnswer{writer->Finish(token, cut)};
    done = true;
  }
};

ChangesEndpoint::ChangesEndpoint(Store* store, base::EventLoop* loop, const RequestContext& context)
    : store_(store), loop_(loop), context_(context), ear_(std::make_shared<Ear>(this)) {}

ChangesEndpoint::~ChangesEndpoint() {
  BANDB_ASSERT(in_flight_ == 0);
  if (timer_ != base::kNoTimer) loop_->Cancel(timer_);
  ear_->endpoint = nullptr;
}

void ChangesEndpoint::Read(Request& request, ChangesCommand* command) {
  context_.counters->reads.Add();
  const ChangesFrom::Place place = command->from.place();
  if (command->skip != 0 && place != ChangesFrom::Place::kToken && place != ChangesFrom::Place::kTime) {
    return request.Answer({.failure = {proto::ToCode(absl::StatusCode::kInvalidArgument),
                                       "changes are skipped after a token or from a time: what comes first at "
                                       "another place may be another commit by now"}});
  }
  if (in_flight_ >= kInFlightMax) {
    return request.Answer({.failure = {ToCode(proto::ErrorCode::kOverloaded), "too many wait for changes"}});
  }
  auto step = std::make_unique<Step>();
  step->connection = request.origin().connection;
  step->user = request.codec().session().name();
  if (!Enter(*step)) {
    return request.Answer({.failure = {ToCode(proto::ErrorCode::kOverloaded),
                                       "too many requests of this client wait for changes: its share is used up"}});
  }
  step->endpoint = this;
  step->options = {.from = std::move(command->from),
                   .lower_bound = std::string(command->range.key),
                   .upper_bound = std::string(command->range.value),
                   .part = command->part,
                   .parts = command->parts,
                   .undurable = command->undurable};
  step->commits_max = std::min(command->commits_max == 0 ? kCommitsDefault : command->commits_max, kCommitsMax);
  step->skip = command->skip;
  step->writer = std::move(command->writer);
  step->deadline_nanos = loop_->NowNanos() + std::min(absl::ToInt64Nanoseconds(command->wait), kWaitNanosMax);
  step->pending = request.Defer(command->range.ByteSize() + step->options.from.text().size() + sizeof(Step));
  Steps steps;
  steps.push_back(std::move(step));
  Start(std::move(steps), false);
}

bool ChangesEndpoint::Enter(const Step& step) {
  const auto connection = of_connection_.find(step.connection);
  const auto user = of_user_.find(step.user);
  if (connection != of_connection_.end() && connection->second >= kOfConnectionMax) return false;
  if (user != of_user_.end() && user->second >= kOfUserMax) return false;
  ++of_connection_[step.connection];
  if (!step.user.empty()) ++of_user_[step.user];
  ++in_flight_;
  return true;
}

void ChangesEndpoint::Leave(const Step& step) {
  --in_flight_;
  if (--of_connection_[step.connection] == 0) of_connection_.erase(step.connection);
  if (!step.user.empty() && --of_user_[step.user] == 0) of_user_.erase(step.user);
}

void ChangesEndpoint::Start(Steps steps, bool again) {
  const int64_t now_nanos = loop_->NowNanos();
  context_.readers->Post(base::Priority::kNormal, [this, steps = std::move(steps), again, now_nanos]() mutable {
    for (const std::unique_ptr<Step>& step : steps) step->Run(now_nanos);
    loop_->Post([this, steps = std::move(steps), again]() mutable { Settle(std::move(steps), again); });
  });
}

// On a reader's thread.
void ChangesEndpoint::Step::Run(int64_t now_nanos) {
  const bool may_wait = now_nanos < deadline_nanos && !endpoint->closed_.load(std::memory_order_relaxed);
  absl::Status status;
  if (endpoint->context_.MemoryIsFull()) {
    status = base::Error(absl::StatusCode::kUnavailable, "the server is short of memory");
  } else {
    status = Collect(may_wait);
  }
  if (!status.ok()) {
    outcome = {.failure = ToFailure(status)};
    done = true;
  }
  if (!done) return Await(now_nanos);
  produced_bytes = static_cast<int64_t>(outcome.ByteSize());
  endpoint->context_.quota->AddMemory(produced_bytes);
}

void ChangesEndpoint::Step::Await(int64_t now_nanos) {
  told.store(false, std::memory_order_relaxed);
  const int64_t again_nanos = awaitable != nullptr ? awaitable->Await(this) : kLookNanos;
  due_nanos = std::min(deadline_nanos, now_nanos + std::min(again_nanos, kWaitNanosMax));
}

absl::Status ChangesEndpoint::Step::Open() {
  if (reader != nullptr) return absl::OkStatus();
  BANDB_ASSIGN_OR_RETURN(reader, endpoint->store_->ReadChanges(options));
  // Another store's reader may be no such, and is looked at now and then.
  awaitable = dynamic_cast<internal::AwaitableReader*>(reader.get());
  return absl::OkStatus();
}

absl::Status ChangesEndpoint::Step::FirstCommit(const Commit& commit, bool* cut) {
  if (skip > commit.changes.size()) {
    return base::Error(absl::StatusCode::kInvalidArgument, "the commit has {} changes, of which {} are to be skipped",
                       commit.changes.size(), skip);
  }
  // Somebody wants to go on without the rest, perhaps because it fits into no reply.
  if (skip == commit.changes.size()) return absl::OkStatus();
  const size_t added = writer->AddSome(commit, skip);
  *cut = skip + added < commit.changes.size();
  if (added > 0) return absl::OkStatus();
  const Change& change = commit.changes[skip];
  outcome.failure = {ToCode(proto::ErrorCode::kTooLarge),
                     fmt::format("a change of {} bytes exceeds the byte limit; ask for more bytes, or skip it, too, "
                                 "to go on without it",
                                 change.key.size() + change.value.size() + change.limit.size())};
  done = true;
  return absl::OkStatus();
}

absl::Status ChangesEndpoint::Step::Collect(bool may_wait) {
  BANDB_RETURN_IF_ERROR(Open());
  std::string token = reader->token();
  Commit commit;
  uint64_t begin_sequence = 0;
  const uint64_t looked_before = awaitable == nullptr ? 0 : awaitable->looked_bytes();
  for (uint32_t count = 0; count < commits_max; ++count) {
    const absl::Status status = Next(may_wait, &commit);
    if (!status.ok()) {
      // What there is goes first: the failure is there again when the client goes on.
      if (count > 0) break;
      return status;
    }
    if (commit.empty()) {
      token = reader->token();
      if (count == 0 && may_wait) return absl::OkStatus();
      break;
    }
    Clip(options.lower_bound, options.upper_bound, &commit);
    if (count == 0) {
      bool cut = false;
      BANDB_RETURN_IF_ERROR(FirstCommit(commit, &cut));
      if (done) return absl::OkStatus();
      if (cut) {
        End(true, token);
        return absl::OkStatus();
      }
      begin_sequence = commit.first_sequence;
    } else if (!writer->Add(commit)) {
      break;
    }
    token = reader->token();
    if (commit.last_sequence - begin_sequence >= kOperationsMax) break;
    // However little of it was wanted.
    if (awaitable != nullptr && awaitable->looked_bytes() - looked_before >= kLookedBytesMax) break;
  }
  End(false, token);
  return absl::OkStatus();
}

void ChangesEndpoint::Settle(Steps steps, bool again) {
  const int64_t now_nanos = loop_->NowNanos();
  bool due = false;
  for (std::unique_ptr<Step>& step : steps) {
    if (!step->done && closed_.load(std::memory_order_relaxed)) step->End(false, step->reader->token());
    if (step->done) {
      Finish(step.get());
      continue;
    }
    due |= step->IsDue(now_nanos);
    WakeAt(std::min(step->due_nanos, now_nanos + kLookNanos));
    waiting_.push_back(std::move(step));
  }
  if (again && --looking_ == 0) {
    const int64_t took_nanos = now_nanos - look_begin_nanos_;
    rest_end_nanos_ = std::min(std::max(rest_end_nanos_, look_begin_nanos_) + 2 * took_nanos, now_nanos + kLookNanos);
    due = true;
  }
  if (due) LookAgain();
}

void ChangesEndpoint::WakeAt(int64_t nanos) {
  if (timer_ != base::kNoTimer) {
    if (timer_nanos_ <= nanos) return;
    loop_->Cancel(timer_);
  }
  timer_nanos_ = nanos;
  timer_ = loop_->After(std::max<int64_t>(nanos - loop_->NowNanos(), 0), [this] {
    timer_ = base::kNoTimer;
    LookAgain();
  });
}

void ChangesEndpoint::LookAgain() {
  // The end of the look, or of the rest, leads here again.
  if (waiting_.empty() || looking_ != 0) return;
  const int64_t now_nanos = loop_->NowNanos();
  if (rest_end_nanos_ > now_nanos + kBurstNanos) return WakeAt(rest_end_nanos_ - kBurstNanos);
  Steps all = std::exchange(waiting_, {});
  std::vector<Steps> pieces;
  int64_t due_nanos = now_nanos + kLookNanos;
  for (std::unique_ptr<Step>& step : all) {
    if (context_.completions->HasEnded(step->pending.ticket)) {
      step->End(false, step->reader->token());
      Finish(step.get());
    } else if (step->IsDue(now_nanos)) {
      if (pieces.empty() || pieces.back().size() == kPiece) pieces.emplace_back();
      pieces.back().push_back(std::move(step));
    } else {
      due_nanos = std::min(due_nanos, step->due_nanos);
      waiting_.push_back(std::move(step));
    }
  }
  if (!waiting_.empty()) WakeAt(due_nanos);
  look_begin_nanos_ = now_nanos;
  looking_ = static_cast<int>(pieces.size());
  for (Steps& piece : pieces) Start(std::move(piece), true);
}

void ChangesEndpoint::Finish(Step* step) {
  Leave(*step);
  // The rights may have changed while it waited.
  auto* const codec = static_cast<Codec*>(context_.completions->CodecOf(step->pending.ticket));
  if (codec != nullptr && step->outcome.ok()) {
    const Operation range{
        .kind = OperationKind::kScan, .key = step->options.lower_bound, .value = step->options.upper_bound};
    const bool is_known = codec->session().Knows();
    if (!is_known) codec->session().CountDenial();
    Failure denied = is_known ? CheckKeys(codec->session().user().get(), range) : NobodyFailure();
    if (denied.code != 0) step->outcome = {.failure = std::move(denied)};
  }
  Complete(context_, step->pending, &step->outcome);
  context_.quota->AddMemory(-step->produced_bytes);
}

void ChangesEndpoint::Close() {
  closed_.store(true, std::memory_order_relaxed);
  if (timer_ != base::kNoTimer) loop_->Cancel(std::exchange(timer_, base::kNoTimer));
  Settle(std::exchange(waiting_, {}), false);
}

}  // namespace bandb::server
