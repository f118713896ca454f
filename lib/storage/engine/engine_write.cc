// The engine's write path: what a leader of the commit queue does with a group.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/engine/engine.h"

namespace bandb::storage {

namespace {

// Level 0 with this many times its trigger slows writers down, and with this many stops them.
constexpr int kSlowdownTriggers = 3;
constexpr int kStopTriggers = 8;
// At full pressure a writer waits this long for each byte: 8 MiB/s.
constexpr double kNanosPerByteAtFullPressure = 1e9 / (8 << 20);

void CompleteAll(const CommitQueue::Group& group, const absl::Status& status) {
  for (WriteRequest* request : group) request->Complete(status);
}

// After all of it was done. An empty batch that is to be durable is so once all before it is: what survives is a prefix
// of the commit order that contains it.
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

void Engine::Submit(WriteRequest* request, bool in_background) {
  if (in_background) {
    queue_.SubmitInBackground(request);
  } else {
    queue_.Submit(request);
  }
}

void Engine::SyncWaiting() {
  {
    base::MutexLock lock(&mutex_);
    if (at_rest_) return;
    BeginActivity();
  }
  bool again = true;
  while (again) {
    const absl::Status synced = logs_.SyncWaiting();
    if (!synced.ok()) {
      StopWrites(base::Error(absl::StatusCode::kInternal, "the log could not be synced: {}", base::Message(synced)));
    }
    // Whoever syncs while the database closes serves all who are left: nobody comes after him.
    base::MutexLock lock(&mutex_);
    again = closing_ && logs_.SyncNeeded();
  }
  EndActivity();
}

void Engine::SyncInBackground() {
  if (!logs_.SyncNeeded()) return;
  base::MutexLock lock(&mutex_);
  if (sync_posted_ || at_rest_) return;
  sync_posted_ = true;
  BeginActivity();
  env_.executor->Post(base::Priority::kHigh, [this]() {
    {
      base::MutexLock posted(&mutex_);
      sync_posted_ = false;
    }
    while (logs_.SyncNeeded()) SyncWaiting();
    EndActivity();
  });
}

int64_t Engine::WriteDelayNanos(uint64_t bytes) const {
  const uint32_t pressure = pressure_permille_.load(std::memory_order_relaxed);
  if (pressure == 0) return 0;
  return static_cast<int64_t>(static_cast<double>(bytes) * kNanosPerByteAtFullPressure * pressure / 1000);
}

void Engine::CountStall(int64_t nanos) {
  counters_.stalls.fetch_add(1, std::memory_order_relaxed);
  counters_.stall_micros.fetch_add(static_cast<uint64_t>(nanos / 1000), std::memory_order_relaxed);
}

void Engine::UpdateStall() {
  StallState before, now = StallState::kNone;
  {
    base::MutexLock lock(&mutex_);
    const int tables = static_cast<int>(state_.version->level(0).size());
    const int slow = settings_.level0_tables * kSlowdownTriggers;
    const int stop = settings_.level0_tables * kStopTriggers;
    const int pressure = std::clamp((tables - slow) * 1000 / (stop - slow), 0, 1000);
    pressure_permille_.store(static_cast<uint32_t>(pressure), std::memory_order_relaxed);
    level0_full_.store(tables >= stop, std::memory_order_relaxed);
    if (pressure > 0) now = tables >= stop ? StallState::kStopped : StallState::kSlowed;
    before = std::exchange(stall_, now);
  }
  if (before != now && options_.listener != nullptr) options_.listener->OnStallChanged(before, now);
  if (now != StallState::kStopped) queue_.Unpark();
}

Engine::Room Engine::MakeRoom(uint64_t operations, uint64_t payload_bytes, absl::Status* failure) {
  if (memtable_->HasRoomFor(operations, payload_bytes)) return Room::kYes;
  const size_t capacity = std::max(memtable_bytes_, Memtable::CapacityFor(operations, payload_bytes));
  if (memtable_->Empty()) {
    // Too small for this batch, and nothing is lost by growing it.
    memtable_ = std::make_shared<Memtable>(capacity, memtable_->log_number());
    ViewHolder::Retired retired;
    base::MutexLock lock(&mutex_);
    active_ = memtable_;
    InstallView(&retired);
    return Room::kYes;
  }
  return FreezeIfRoom(capacity, failure);
}

Engine::Room Engine::FreezeIfRoom(size_t capacity, absl::Status* failure) {
  if (level0_full_.load(std::memory_order_relaxed)) return Room::kStalled;
  {
    base::MutexLock lock(&mutex_);
    size_t frozen_bytes = 0;
    for (const std::shared_ptr<Memtable>& frozen : frozen_) frozen_bytes += frozen->MemoryBytes();
    const size_t budget = std::max<size_t>(options_.write_buffer_bytes, 2 * memtable_bytes_);
    if (!frozen_.empty() && frozen_bytes + memtable_->MemoryBytes() + memtable_bytes_ > budget) return Room::kStalled;
  }
  *failure = Freeze(capacity);
  return failure->ok() ? Room::kYes : Room::kFailed;
}

absl::Status Engine::Freeze(size_t capacity_bytes) {
  BANDB_ASSERT(!memtable_->Empty());
  const uint64_t number = NewFileNumber();
  const RecordHead end{.type = RecordType::kEnd,
                       .term = epoch_,
                       .first_sequence = last_sequence_.load(std::memory_order_relaxed) + 1,
                       .commit_time_ms = last_commit_time_ms_.load(std::memory_order_relaxed)};
  BANDB_RETURN_IF_ERROR(logs_.Begin(number, RandomUuid(&commit_random_), end));
  std::shared_ptr<Memtable> full = std::exchange(memtable_, std::make_shared<Memtable>(capacity_bytes, number));
  ViewHolder::Retired retired;
  base::MutexLock lock(&mutex_);
  frozen_.push_back(std::move(full));
  active_ = memtable_;
  InstallView(&retired);
  MaybeScheduleWork();
  return absl::OkStatus();
}

bool Engine::CommitGroup(const CommitQueue::Group& group) {
  if (stopped_.load(std::memory_order_acquire)) {
    // OK if Resume came in between: then go on, for nothing is written yet.
    if (const absl::Status stopped = StopStatus(); !stopped.ok()) {
      CompleteAll(group, stopped);
      return true;
    }
  }
  uint64_t operations = 0, payload_bytes = 0;
  for (const WriteRequest* request : group) {
    operations += request->operation_count;
    payload_bytes += request->payload_bytes;
  }
  absl::Status failure;
  Room room = Room::kYes;
  if (!group.front()->freeze) {
    room = MakeRoom(operations, payload_bytes, &failure);
  } else if (!memtable_->Empty()) {
    room = FreezeIfRoom(memtable_bytes_, &failure);
  }
  if (room == Room::kStalled) return false;
  if (room == Room::kFailed) {
    StopWrites(failure);
    CompleteAll(group, failure);
    return true;
  }
  if (!group.front()->conditions.empty()) {
    if (const absl::Status held = CheckConditions(group.front()->conditions); !held.ok()) {
      CompleteAll(group, held);
      return true;
    }
  }
  if (operations == 0) {
    AnswerGroup(group, &logs_);
    return true;
  }
  const Sequence first = last_sequence_.load(std::memory_order_relaxed) + 1;
  const uint64_t now_ms = NowMs();
  const RecordHead head{.type = RecordType::kWrite, .term = epoch_, .first_sequence = first, .commit_time_ms = now_ms};
  if (absl::Status reserved = logs_.current()->Reserve(payload_bytes); !reserved.ok()) {
    StopWrites(reserved);
    CompleteAll(group, reserved);
    return true;
  }
  if (const absl::Status appended = AppendToLog(group, head); !appended.ok()) {
    StopWrites(base::Error(absl::StatusCode::kInternal, "the log could not be written: {}", base::Message(appended)));
    CompleteAll(group,
                base::Error(absl::StatusCode::kUnknown, "the log could not be written, so the outcome is unknown: {}",
                            base::Message(appended)));
    return true;
  }
  logs_.NoteAppended(first + operations - 1);
  last_commit_time_ms_.store(now_ms, std::memory_order_relaxed);
  InsertGroup(group, first, now_ms);
  last_sequence_.store(first + operations - 1, std::memory_order_release);
  AnswerGroup(group, &logs_);
  return true;
}

absl::Status Engine::AppendToLog(const CommitQueue::Group& group, const RecordHead& head) {
  LogWriter* log = logs_.current();
  const uint64_t before_bytes = log->Size();
  log->Begin(head);
  std::string* payload = log->payload();
  uint64_t user_bytes = 0;
  for (const WriteRequest* request : group) {
    if (request->single != nullptr) {
      BANDB_ASSERT(!request->has_time_to_live);
      kv::AppendOperation(payload, *request->single);
    } else if (!request->has_time_to_live) {
      payload->append(request->operations);
    } else {
      kv::OperationCursor cursor(request->operations);
      kv::Operation operation;
      while (cursor.Next(&operation)) {
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
  Sequence sequence = first;
  for (const WriteRequest* request : group) {
    if (request->single != nullptr) {
      memtable_->Add(sequence++, Space::kUser, *request->single);
      continue;
    }
    kv::OperationCursor cursor(request->operations);
    kv::Operation operation;
    while (cursor.Next(&operation)) {
      if (operation.kind == Kind::kPutWithExpiry) operation.expiry_ms = kv::ExpiryAt(now_ms, operation.expiry_ms);
      memtable_->Add(sequence++, Space::kUser, operation);
    }
    // A WriteBatch encodes itself; its bytes never come from outside.
    BANDB_ASSERT(cursor.ok());
  }
  memtable_->EndGroup(now_ms);
  counters_.operations.fetch_add(sequence - first, std::memory_order_relaxed);
  counters_.batches.fetch_add(group.size(), std::memory_order_relaxed);
}

absl::Status Engine::CheckConditions(std::string_view conditions) {
  kv::ConditionCursor cursor(conditions);
  kv::Condition condition;
  PinnedValue value;
  while (cursor.Next(&condition)) {
    const absl::Status found = Get(condition.key, ReadOptions{}, &value);
    if (!found.ok() && found.code() != absl::StatusCode::kNotFound) return found;
    const bool holds = condition.check == kv::Check::kAbsent    ? !found.ok()
                       : condition.check == kv::Check::kPresent ? found.ok()
                                                                : found.ok() && value.value() == condition.value;
    if (!holds) return base::Error(absl::StatusCode::kAborted, "a condition of the batch does not hold");
  }
  BANDB_ASSERT(cursor.ok());
  return absl::OkStatus();
}

}  // namespace bandb::storage
