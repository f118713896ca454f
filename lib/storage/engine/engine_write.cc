// The engine's write path: what a leader of the commit queue does with a group.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/compaction/write_pressure.h"
#include "storage/engine/engine.h"
#include "storage/engine/engine_ingest.h"
#include "storage/engine/write_buffer.h"

namespace bandb::storage {

namespace {

void CompleteAll(const CommitQueue::Group& group, const absl::Status& status) {
  for (WriteRequest* request : group) request->Complete(status);
}

absl::Status ConditionFailed() {
  return base::Error(absl::StatusCode::kAborted, "a condition of the batch does not hold");
}

// After all of it was done. An empty batch that is to be durable is so once all before it is: what
// survives is a prefix of the commit order that contains it.
void AnswerGroup(const CommitQueue::Group& group, LogSet* logs) {
  for (WriteRequest* request : group) {
    if (request->sync) {
      logs->AddWaiter(request);
    } else {
      request->Complete(absl::OkStatus());
    }
  }
}

}  // namespace

void Engine::SyncWaiting() {
  if (!lifecycle_.EnterUntilRest()) return;
  do {
    const absl::Status synced = logs_.SyncWaiting();
    feed_gate_->durable.Tell();
    if (!synced.ok()) {
      StopWrites(base::Error(absl::StatusCode::kInternal, "the log could not be synced: {}", base::Message(synced)),
                 lifecycle_.resumes());
    }
    // A sync while the database closes serves all that are left: no other thread comes after this
    // one.
  } while (lifecycle_.IsClosing() && logs_.SyncNeeded());
  lifecycle_.Leave();
}

void Engine::SyncInBackground() {
  if (!logs_.SyncNeeded()) return;
  base::MutexLock lock(&mutex_);
  if (sync_posted_ || !lifecycle_.EnterUntilRest()) return;
  sync_posted_ = true;
  env_.executor->Post(base::Priority::kHigh, [this]() {
    {
      base::MutexLock posted(&mutex_);
      BANDB_ASSERT(sync_posted_);
      sync_posted_ = false;
    }
    while (logs_.SyncNeeded()) SyncWaiting();
    lifecycle_.Leave();
  });
}

int64_t Engine::WriteDelayNanos(uint64_t bytes) const {
  const uint32_t pressure = pressure_permille_.load(std::memory_order_relaxed);
  return pressure == 0 ? 0 : storage::WriteDelayNanos(pressure, bytes);
}

void Engine::CountStall(int64_t nanos) {
  counters_.stalls.fetch_add(1, std::memory_order_relaxed);
  counters_.stall_micros.fetch_add(static_cast<uint64_t>(nanos / 1000), std::memory_order_relaxed);
}

void Engine::UpdateStall() {
  StallState before, now = StallState::kNone;
  {
    base::MutexLock lock(&mutex_);
    const WritePressure pressure = schedule_.Pressure(*versions_.version());
    pressure_permille_.store(pressure.permille, std::memory_order_relaxed);
    level0_full_.store(pressure.stops, std::memory_order_relaxed);
    if (pressure.permille > 0) now = pressure.stops ? StallState::kStopped : StallState::kSlowed;
    before = std::exchange(stall_, now);
  }
  if (before != now) TellListener([&](EventListener* listener) { listener->OnStallChanged(before, now); });
  if (now != StallState::kStopped) Unpark();
}

bool Engine::HasRoomFor(uint64_t operations, uint64_t payload_bytes) const {
  if (!memtable_->HasRoomFor(operations, payload_bytes)) return false;
  // The log of an empty memtable is empty, too.
  return is_replica_ || memtable_->empty() || logs_.current()->Size() + payload_bytes <= log_bytes_max_;
}

Engine::Room Engine::MakeRoom(uint64_t operations, uint64_t payload_bytes, absl::Status* failure) {
  BANDB_ASSERT(memtable_ != nullptr);
  if (HasRoomFor(operations, payload_bytes)) return Room::kYes;
  const size_t capacity = std::max(memtable_bytes_, Memtable::CapacityFor(operations, payload_bytes));
  if (memtable_->empty()) {
    // Too small for this batch, and nothing is lost by growing it.
    absl::StatusOr<std::shared_ptr<Memtable>> larger = Memtable::Make(env_.regions, capacity, memtable_->log_number());
    if (!larger.ok()) {
      *failure = larger.status();
      return Room::kRefused;
    }
    BANDB_ASSERT((*larger)->HasRoomFor(operations, payload_bytes));
    ViewHolder::Retired retired;
    base::MutexLock lock(&mutex_);
    memtable_ = *std::move(larger);
    InstallView(&retired);
    return Room::kYes;
  }
  return FreezeIfRoom(capacity, false, failure);
}

bool Engine::MayFreeze(bool is_asked) const {
  // While compactions are paused nothing makes room there: a caller that asks for a flush would
  // wait forever.
  const bool passes_level0 = is_asked && pace_.IsPaused();
  if (level0_full_.load(std::memory_order_relaxed) && !passes_level0) return false;
  size_t bytes = memtable_->memory_bytes() + memtable_bytes_;
  for (const std::shared_ptr<Memtable>& frozen : frozen_) bytes += frozen->memory_bytes();
  return frozen_.empty() || bytes <= MemtablesBytesMax(options_);
}

Engine::Room Engine::FreezeIfRoom(size_t capacity, bool is_asked, absl::Status* failure) {
  BANDB_ASSERT(capacity >= memtable_bytes_);
  BANDB_ASSERT(failure->ok());
  {
    base::MutexLock lock(&mutex_);
    if (!MayFreeze(is_asked)) return Room::kStalled;
  }
  return Freeze(capacity, failure);
}

Engine::Room Engine::Freeze(size_t capacity_bytes, absl::Status* failure) {
  BANDB_ASSERT(is_replica_ || !memtable_->empty());
  const uint64_t number = versions_.NewFileNumber();
  BANDB_ASSERT(number > memtable_->log_number());
  const RecordHead end{.type = RecordType::kEnd,
                       .term = epoch_,
                       .first_sequence = last_sequence_.load(std::memory_order_relaxed) + 1,
                       .commit_time_ms = last_commit_time_ms_.load(std::memory_order_relaxed)};
  // Before there is a new log: one without a memtable could be written to by nobody.
  absl::StatusOr<std::shared_ptr<Memtable>> next = Memtable::Make(env_.regions, capacity_bytes, number);
  if (!next.ok()) {
    *failure = next.status();
    return Room::kRefused;
  }
  if (!is_replica_) {
    bool unmade = false;
    *failure = logs_.StartLog(number, Header(FileType::kLog, &commit_random_), end, &unmade);
    if (!failure->ok()) return unmade ? Room::kRefused : Room::kFailed;
  }
  ViewHolder::Retired retired;
  base::MutexLock lock(&mutex_);
  if (is_replica_) frozen_positions_.emplace(memtable_->log_number(), applied_);
  frozen_.push_back(std::exchange(memtable_, *std::move(next)));
  InstallView(&retired);
  MaybeScheduleWork();
  return Room::kYes;
}

absl::Status Engine::FlushFailure() const {
  base::MutexLock lock(&mutex_);
  return flush_failure_;
}

bool Engine::MayBlock(const CommitQueue::Group& group) {
  BANDB_ASSERT(!group.empty());
  // A few milliseconds of work.
  constexpr uint64_t kUnwaitingOperationsMax = 2048;
  uint64_t operations = 0, payload_bytes = 0;
  for (const WriteRequest* request : group) {
    operations += request->operation_count;
    payload_bytes += request->payload_bytes;
  }
  // A condition may have to be read, and the end of a memtable is the end of a log.
  return !group.front()->conditions.empty() || group.front()->freeze || group.front()->ingest != nullptr ||
         operations > kUnwaitingOperationsMax || !HasRoomFor(operations, payload_bytes);
}

bool Engine::CommitGroup(const CommitQueue::Group& group) {
  BANDB_ASSERT(!group.empty());
  if (group.front()->ingest != nullptr) return EngineIngest(this).Commit(group.front());
  if (lifecycle_.RefusesWrites()) {
    // OK if Resume came in between: then go on, for nothing is written yet.
    if (const absl::Status stopped = lifecycle_.MayWrite(); !stopped.ok()) {
      CompleteAll(group, stopped);
      return true;
    }
  }
  // What goes wrong from here on is newer than any Resume that has answered.
  const uint64_t resumes_seen = lifecycle_.resumes();
  uint64_t operations = 0, payload_bytes = 0;
  for (const WriteRequest* request : group) {
    // These come alone.
    BANDB_ASSERT(group.size() == 1 || (request->conditions.empty() && !request->freeze && !request->system));
    operations += request->operation_count;
    payload_bytes += request->payload_bytes;
  }
  absl::Status failure;
  Room room = Room::kYes;
  if (!group.front()->freeze) {
    room = MakeRoom(operations, payload_bytes, &failure);
  } else if (!memtable_->empty()) {
    room = FreezeIfRoom(memtable_bytes_, true, &failure);
  }
  if (room == Room::kStalled) {
    failure = FlushFailure();
    if (failure.ok()) return false;
  }
  if (room != Room::kYes) {
    if (room == Room::kFailed) StopWrites(failure, resumes_seen);
    CompleteAll(group, failure);
    return true;
  }
  const bool system = group.front()->system;
  const absl::StatusOr<uint64_t> commit_ms =
      CommitTime(system ? Space::kSystem : Space::kUser, group.front()->conditions);
  if (!commit_ms.ok()) {
    CompleteAll(group, commit_ms.status());
    return true;
  }
  if (operations == 0) {
    AnswerGroup(group, &logs_);
    return true;
  }
  const Sequence first = last_sequence_.load(std::memory_order_relaxed) + 1;
  const RecordHead head{.type = system ? RecordType::kSystemWrite : RecordType::kWrite,
                        .term = epoch_,
                        .first_sequence = first,
                        .commit_time_ms = *commit_ms};
  if (absl::Status reserved = logs_.current()->Reserve(payload_bytes); !reserved.ok()) {
    StopWrites(reserved, resumes_seen);
    CompleteAll(group, reserved);
    return true;
  }
  if (const absl::Status appended = AppendToLog(group, head); !appended.ok()) {
    StopWrites(base::Error(absl::StatusCode::kInternal, "the log could not be written: {}", base::Message(appended)),
               resumes_seen);
    CompleteAll(group,
                base::Error(absl::StatusCode::kUnknown, "the log could not be written, so the outcome is unknown: {}",
                            base::Message(appended)));
    return true;
  }
  PublishGroup(group, first, first + operations - 1, *commit_ms);
  AnswerGroup(group, &logs_);
  return true;
}

void Engine::PublishGroup(const CommitQueue::Group& group, Sequence first, Sequence last, uint64_t now_ms) {
  logs_.NoteAppended(last);
  last_commit_time_ms_.store(now_ms, std::memory_order_relaxed);
  InsertGroup(group, first, now_ms);
  BANDB_ASSERT(memtable_->largest_sequence() == last);
  if (group.front()->system) {
    feed_.NoteSystem(first, last);
  } else {
    logs_.CountCommit();
  }
  // See News::Tell.
  last_sequence_.store(last, std::memory_order_seq_cst);
  feed_gate_->committed.Tell();
}

absl::Status Engine::AppendToLog(const CommitQueue::Group& group, const RecordHead& head) {
  BANDB_ASSERT(logs_.number() == memtable_->log_number());
  LogWriter* log = logs_.current();
  const uint64_t before_bytes = log->Size();
  log->StartRecord(head);
  std::string* payload = log->payload();
  uint64_t user_bytes = 0;
  for (const WriteRequest* request : group) {
    if (request->single != nullptr) {
      BANDB_ASSERT(!request->has_time_to_live);
      kv::AppendOperation(payload, *request->single);
    } else if (!request->has_time_to_live) {
      payload->append(request->operations);
    } else {
      kv::OperationReader reader(request->operations);
      kv::Operation operation;
      while (reader.Next(&operation)) {
        if (operation.kind == Kind::kPutWithExpiry) {
          operation.expiry_ms = kv::ExpiryAt(head.commit_time_ms, operation.expiry_ms);
        }
        kv::AppendOperation(payload, operation);
      }
    }
    user_bytes += request->payload_bytes;
  }
  BANDB_RETURN_IF_ERROR(log->Finish());
  counters_.log_bytes.fetch_add(log->Size() - before_bytes, std::memory_order_relaxed);
  counters_.user_bytes.fetch_add(user_bytes, std::memory_order_relaxed);
  return absl::OkStatus();
}

void Engine::InsertGroup(const CommitQueue::Group& group, Sequence first, uint64_t now_ms) {
  BANDB_ASSERT(first > memtable_->largest_sequence());
  Sequence sequence = first;
  const Space space = group.front()->system ? Space::kSystem : Space::kUser;
  for (const WriteRequest* request : group) {
    if (request->single != nullptr) {
      memtable_->Add(sequence++, space, *request->single);
      continue;
    }
    kv::OperationReader reader(request->operations);
    kv::Operation operation;
    while (reader.Next(&operation)) {
      if (operation.kind == Kind::kPutWithExpiry) operation.expiry_ms = kv::ExpiryAt(now_ms, operation.expiry_ms);
      memtable_->Add(sequence++, space, operation);
    }
    // A WriteBatch encodes itself; its bytes never come from outside.
    BANDB_ASSERT(reader.ok());
  }
  memtable_->EndGroup(now_ms);
  counters_.operations.fetch_add(sequence - first, std::memory_order_relaxed);
  counters_.batches.fetch_add(group.size(), std::memory_order_relaxed);
}

absl::StatusOr<bool> Engine::HoldsNow(Space space, const kv::Condition& condition, absl::Time* until) {
  if (condition.check == kv::Check::kEmptyRange) {
    ViewRef view = views_.Acquire();
    if (!view) return ClosedError();
    ReadOptions options;
    options.lower_bound = condition.key;
    options.upper_bound = condition.value;
    const Sequence sequence = last_sequence_.load(std::memory_order_acquire);
    const std::unique_ptr<Iterator> keys = NewIteratorAt(std::move(view), space, sequence, NowMs(), options);
    keys->SeekToFirst();
    if (!keys->Valid()) BANDB_RETURN_IF_ERROR(keys->status());
    return !keys->Valid();
  }
  PinnedValue value;
  const absl::Status found = GetIn(space, condition.key, ReadOptions{}, &value);
  if (!found.ok() && found.code() != absl::StatusCode::kNotFound) return found;
  const bool holds =
      kv::Holds(condition, found.ok() ? std::make_optional(value.value()) : std::nullopt, value.version());
  // What holds for want of a value does so until the next write.
  if (holds && found.ok()) *until = std::min(*until, value.expiry());
  return holds;
}

absl::StatusOr<uint64_t> Engine::CommitTime(Space space, std::string_view conditions) {
  absl::Time until = absl::InfiniteFuture();
  kv::ConditionReader reader(conditions);
  kv::Condition condition;
  while (reader.Next(&condition)) {
    BANDB_ASSIGN_OR_RETURN(const bool holds, HoldsNow(space, condition, &until));
    if (!holds) return ConditionFailed();
  }
  BANDB_ASSERT(reader.ok());
  // Each was judged at a time of its own: what holds by a value has to hold still.
  const uint64_t now_ms = NowMs();
  if (until <= absl::FromUnixMillis(static_cast<int64_t>(now_ms))) return ConditionFailed();
  return now_ms;
}

}  // namespace bandb::storage
