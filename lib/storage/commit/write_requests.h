// The requests that the façade makes of its callers' writes.
#ifndef BANDB_STORAGE_COMMIT_WRITE_REQUESTS_H_
#define BANDB_STORAGE_COMMIT_WRITE_REQUESTS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "bandb/store.h"
#include "base/executor.h"
#include "storage/commit/commit_queue.h"

namespace bandb::storage {

// A write that its caller waits for. On the caller's stack, unless the caller may give up waiting:
// then on the heap, where it destroys itself if the caller did. Thread safety: Complete by one
// thread, the rest by the caller.
class BlockingWrite final : public WriteRequest {
 public:
  BlockingWrite() = default;

  void FromOperation(const kv::Operation* operation);
  // Refers to the batch.
  void FromBatch(const WriteBatch& batch);
  // Refers to nothing of the caller's any more.
  void OwnBytes();

  void Complete(absl::Status outcome) override;
  bool IsComplete() const { return state_.load(std::memory_order_acquire) == State::kComplete; }
  // True when the outcome is there; false when the time has passed.
  bool Wait(base::Executor* executor, int64_t timeout_nanos);
  // After Wait was false: true if the request now destroys itself when it completes; false if it is
  // complete after all.
  bool Abandon();
  absl::Status TakeOutcome() { return std::move(outcome_); }

 private:
  enum class State : uint8_t { kPending, kWaiting, kAbandoned, kComplete };

  std::atomic<State> state_{State::kPending};
  absl::Status outcome_;
  base::Event event_;
  std::string owned_operations_;
  std::string owned_conditions_;
};

// A write whose outcome a callback gets, on the executor: a WriteCallback, or one that gets the
// batch, too, if it was not done. On the heap; destroys itself.
template <typename Callback>
class AsyncWrite final : public WriteRequest {
 public:
  // The executor runs the callback, `delay_nanos` after the outcome is there; `finished` is run
  // after it, and told whether it threw.
  AsyncWrite(WriteBatch batch, const WriteOptions& options, int64_t delay_nanos, Callback callback,
             base::Executor* executor, std::function<void(bool threw)> finished);
  void Complete(absl::Status outcome) override;

 private:
  void Tell(absl::Status outcome);

  WriteBatch batch_;
  const int64_t delay_nanos_;
  Callback callback_;
  base::Executor* const executor_;
  const std::function<void(bool threw)> finished_;
};

extern template class AsyncWrite<WriteCallback>;
extern template class AsyncWrite<ReturningWriteCallback>;

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_COMMIT_WRITE_REQUESTS_H_
