#include "storage/commit/write_requests.h"

#include <type_traits>

#include "base/assert.h"
#include "kv/host_code.h"
#include "kv/write_outcome.h"

namespace bandb::storage {

namespace {

void FillFromBatch(WriteRequest* request, const WriteBatch& batch) {
  request->operations = WriteBatchAccess::Operations(batch);
  request->conditions = WriteBatchAccess::Conditions(batch);
  request->operation_count = WriteBatchAccess::OperationCount(batch);
  request->payload_bytes = request->operations.size();
  request->has_time_to_live = WriteBatchAccess::HasTimeToLive(batch);
}

}  // namespace

void BlockingWrite::FromOperation(const kv::Operation* operation) {
  single = operation;
  operation_count = 1;
  payload_bytes = kv::EncodedBytes(*operation);
}

void BlockingWrite::FromBatch(const WriteBatch& batch) { FillFromBatch(this, batch); }

void BlockingWrite::OwnBytes() {
  if (single != nullptr) {
    kv::AppendOperation(&owned_operations_, *single);
    single = nullptr;
  } else {
    owned_operations_.assign(operations);
  }
  owned_conditions_.assign(conditions);
  operations = owned_operations_;
  conditions = owned_conditions_;
}

void BlockingWrite::Complete(absl::Status outcome) {
  outcome_ = std::move(outcome);
  // From the exchange on the caller may destroy the request, unless the caller sleeps.
  switch (state_.exchange(State::kComplete, std::memory_order_acq_rel)) {
    case State::kPending:
      break;
    case State::kWaiting:
      event_.Set();
      break;
    case State::kAbandoned:
      delete this;
      break;
    case State::kComplete:
      BANDB_UNREACHABLE();
  }
}

bool BlockingWrite::Wait(base::Executor* executor, int64_t timeout_nanos) {
  State pending = State::kPending;
  if (!state_.compare_exchange_strong(pending, State::kWaiting, std::memory_order_acq_rel) &&
      pending == State::kComplete) {
    return true;
  }
  return executor->Wait(&event_, timeout_nanos);
}

bool BlockingWrite::Abandon() {
  State waiting = State::kWaiting;
  if (state_.compare_exchange_strong(waiting, State::kAbandoned, std::memory_order_acq_rel)) return true;
  // Complete is about to set the event, and touches the request until it has.
  BANDB_ASSERT(waiting == State::kComplete);
  while (!event_.BlockUntilSet(base::kForever)) {
  }
  return false;
}

template <typename Callback>
AsyncWrite<Callback>::AsyncWrite(WriteBatch batch, const WriteOptions& options, int64_t delay_nanos, Callback callback,
                                 base::Executor* executor, std::function<void(bool threw)> finished)
    : batch_(std::move(batch)),
      delay_nanos_(delay_nanos),
      callback_(std::move(callback)),
      executor_(executor),
      finished_(std::move(finished)) {
  FillFromBatch(this, batch_);
  sync = options.sync;
  fail_if_stalled = options.timeout <= absl::ZeroDuration();
}

template <typename Callback>
void AsyncWrite<Callback>::Tell(absl::Status outcome) {
  if constexpr (std::is_same_v<Callback, WriteCallback>) {
    std::move(callback_)(std::move(outcome));
  } else {
    // Nothing refers to its bytes any more.
    WriteBatch given = kv::WasNotDone(outcome) ? std::move(batch_) : WriteBatch();
    std::move(callback_)(std::move(outcome), std::move(given));
  }
}

template <typename Callback>
void AsyncWrite<Callback>::Complete(absl::Status outcome) {
  base::Task tell = [this, outcome = std::move(outcome)]() mutable {
    finished_(!kv::RunContained([&]() { Tell(std::move(outcome)); }));
    delete this;
  };
  if (delay_nanos_ > 0) {
    executor_->PostAfter(delay_nanos_, std::move(tell));
  } else {
    executor_->Post(base::Priority::kHigh, std::move(tell));
  }
}

template class AsyncWrite<WriteCallback>;
template class AsyncWrite<ReturningWriteCallback>;

}  // namespace bandb::storage
