#include "server/write_collector.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "kv/limits.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "proto/response.h"

namespace bandb::server {

namespace {

// A group stays far below the limit on batches of any store, and a request larger than this has a
// group of its own.
constexpr size_t kGroupBytesMax = 1 << 20;
constexpr size_t kRequestOverheadBytes = 64;
// What an operation counts in a group besides its bytes. Batches are limited in operations as well,
// and a request that is beyond that limit must not take others along.
constexpr size_t kOperationBytes = 64;
constexpr size_t kFreeGroupsMax = 8;
// Two: one is being synced while the next is on its way to the store's thread. One leaves the disk
// idle in between (a quarter fewer writes a second from 50 clients); more would only make groups
// smaller.
constexpr int kGroupsInFlightMax = 2;
// What may wait: a group at least, and what the store takes in this time.
constexpr size_t kQueueBytesMin = 1 << 20;
constexpr double kQueueSeconds = 0.1;
// Of the last group in the average.
constexpr double kLastGroupWeight = 0.2;

// The bounds that do not depend on the store; see kv::Limits.
absl::Status CheckKey(std::string_view key) { return kv::CheckKey(kv::Limits(), key.size()); }

absl::Status CheckOperation(const proto::BatchOperation& operation) {
  BANDB_RETURN_IF_ERROR(CheckKey(operation.key));
  if (operation.kind != proto::BatchKind::kRangeDelete) return kv::CheckValue(kv::Limits(), operation.value.size());
  if (operation.value.empty()) {
    return base::Error(absl::StatusCode::kInvalidArgument, "a range delete needs a limit");
  }
  return CheckKey(operation.value);
}

void AddOperation(const proto::BatchOperation& operation, WriteBatch* batch) {
  switch (operation.kind) {
    case proto::BatchKind::kDelete:
      return batch->Delete(operation.key);
    case proto::BatchKind::kPut:
      return batch->Put(operation.key, operation.value);
    case proto::BatchKind::kPutWithTtl:
      if (operation.ttl_ms > static_cast<uint64_t>(INT64_MAX)) return batch->Put(operation.key, operation.value);
      return batch->PutWithTtl(operation.key, operation.value,
                               absl::Milliseconds(static_cast<int64_t>(operation.ttl_ms)));
    case proto::BatchKind::kRangeDelete:
      return batch->DeleteRange(operation.key, operation.value);
  }
}

void AddCondition(const proto::BatchCondition& condition, WriteBatch* batch) {
  switch (condition.check) {
    case proto::BatchCheck::kHasValue:
      return batch->RequireValue(condition.key, condition.value);
    case proto::BatchCheck::kPresent:
      return batch->RequirePresent(condition.key);
    case proto::BatchCheck::kAbsent:
      return batch->RequireAbsent(condition.key);
  }
}

// What there is to know of a BATCH before anything of it is done.
struct BatchInspection {
  bool well_formed = false;
  bool conditional = false;
  size_t operations = 0;
  absl::Status status;
};

BatchInspection Inspect(std::string_view payload) {
  BatchInspection inspection;
  proto::BatchCursor cursor(payload);
  inspection.conditional = cursor.conditions_left() > 0;
  proto::BatchCondition condition;
  while (cursor.NextCondition(&condition)) {
    if (inspection.status.ok()) inspection.status = CheckKey(condition.key);
  }
  proto::BatchOperation operation;
  while (cursor.NextOperation(&operation)) {
    ++inspection.operations;
    if (inspection.status.ok()) inspection.status = CheckOperation(operation);
  }
  inspection.well_formed = cursor.Complete();
  return inspection;
}

}  // namespace

struct WriteCollector::Group {
  WriteCollector* collector = nullptr;
  WriteBatch batch;
  std::vector<net::Ticket> tickets;
  size_t bytes = 0;
  bool alone = false;
  int64_t since_nanos = 0;      // when its first request came
  int64_t submitted_nanos = 0;  // when the store got it
  absl::Status status;
};

WriteCollector::WriteCollector(Store* store, base::EventLoop* loop, const AnswerContext& context,
                               const Options& options)
    : store_(store), loop_(loop), context_(context), options_(options) {}

WriteCollector::~WriteCollector() {
  BANDB_ASSERT(in_flight_ == 0);
  loop_->Cancel(expiry_timer_);
}

bool WriteCollector::IsOpen() const {
  return queued_bytes_ < std::max(kQueueBytesMin, static_cast<size_t>(bytes_per_second_ * kQueueSeconds));
}

WriteBatch* WriteCollector::Join(net::Call& call, size_t bytes, size_t operations, bool alone) {
  const size_t weight_bytes = bytes + operations * kOperationBytes;
  alone = alone || weight_bytes > kGroupBytesMax;
  if (current_ != nullptr && (alone || current_->alone || current_->bytes + weight_bytes > kGroupBytesMax)) {
    CloseCurrent();
  }
  if (current_ == nullptr) {
    if (free_.empty()) {
      current_ = std::make_unique<Group>();
      current_->collector = this;
    } else {
      current_ = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (current_->tickets.empty()) current_->since_nanos = loop_->NowNanos();
  current_->alone = alone;
  current_->bytes += weight_bytes;
  queued_bytes_ += weight_bytes;
  current_->tickets.push_back(call.Defer(bytes + kRequestOverheadBytes));
  context_.counters->write_operations.Add();
  return &current_->batch;
}

void WriteCollector::Put(net::Call& call, std::string_view key, std::string_view value) {
  absl::Status status = CheckKey(key);
  if (status.ok()) status = kv::CheckValue(kv::Limits(), value.size());
  if (!status.ok()) return AnswerStatus(call, status, context_.counters);
  Join(call, key.size() + value.size(), 1, false)->Put(key, value);
}

void WriteCollector::Delete(net::Call& call, std::string_view key) {
  const absl::Status status = CheckKey(key);
  if (!status.ok()) return AnswerStatus(call, status, context_.counters);
  Join(call, key.size(), 1, false)->Delete(key);
}

void WriteCollector::Batch(net::Call& call, std::string_view payload) {
  // A count that the payload has no room for is malformed.
  const proto::BatchCursor counts(payload);
  const uint64_t announced = uint64_t{counts.conditions_left()} + counts.operations_left();
  if (announced > options_.operations_max && announced <= payload.size() / proto::kBatchEntryBytesMin) {
    return AnswerError(call, ToCode(proto::ErrorCode::kTooLarge),
                       fmt::format("a batch of more than {} operations and conditions", options_.operations_max));
  }
  const BatchInspection inspection = Inspect(payload);
  if (!inspection.well_formed) return AnswerMalformed(call, context_.counters);
  if (!inspection.status.ok()) return AnswerStatus(call, inspection.status, context_.counters);
  WriteBatch* batch = Join(call, payload.size(), inspection.operations, inspection.conditional);
  proto::BatchCursor cursor(payload);
  proto::BatchCondition condition;
  while (cursor.NextCondition(&condition)) AddCondition(condition, batch);
  proto::BatchOperation operation;
  while (cursor.NextOperation(&operation)) AddOperation(operation, batch);
}

void WriteCollector::CloseCurrent() {
  if (current_ == nullptr) return;
  queue_.push_back(std::move(current_));
  Pump();
}

void WriteCollector::Pump() {
  while (in_flight_ < kGroupsInFlightMax && !queue_.empty()) {
    Group* group = queue_.front().release();
    queue_.pop_front();
    in_flight_++;
    queued_bytes_ -= group->bytes;
    group->submitted_nanos = loop_->NowNanos();
    context_.counters->write_groups.Add();
    store_->WriteAsync(std::move(group->batch), {.sync = options_.sync}, [group](absl::Status status) {
      group->status = std::move(status);
      group->collector->loop_->Post([group] { group->collector->Finish(group); });
    });
  }
}

void WriteCollector::EndTurn() {
  Pump();
  if (in_flight_ < kGroupsInFlightMax) CloseCurrent();
  ScheduleExpiry();
}

void WriteCollector::ScheduleExpiry() {
  if (expiry_timer_ != base::kNoTimer || options_.stall_timeout_nanos == net::kNoTimeout) return;
  if (queue_.empty() && current_ == nullptr) return;
  const int64_t since_nanos = queue_.empty() ? current_->since_nanos : queue_.front()->since_nanos;
  const int64_t wait_nanos = since_nanos + options_.stall_timeout_nanos - loop_->NowNanos();
  expiry_timer_ = loop_->After(std::max<int64_t>(0, wait_nanos), [this] {
    expiry_timer_ = base::kNoTimer;
    Expire();
  });
}

void WriteCollector::Expire() {
  const int64_t before_nanos = loop_->NowNanos() - options_.stall_timeout_nanos;
  if (current_ != nullptr && current_->since_nanos <= before_nanos) CloseCurrent();
  while (!queue_.empty() && queue_.front()->since_nanos <= before_nanos) {
    std::unique_ptr<Group> group = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= group->bytes;
    group->status = base::Error(absl::StatusCode::kUnavailable, "writes are stalled: not done, try again later");
    Answer(*group);
    Recycle(std::move(group));
  }
}

void WriteCollector::Measure(const Group& group) {
  const int64_t now_nanos = loop_->NowNanos();
  const int64_t took_nanos = now_nanos - std::max(group.submitted_nanos, finished_nanos_);
  finished_nanos_ = now_nanos;
  const double rate = static_cast<double>(group.bytes) * 1e9 / static_cast<double>(std::max<int64_t>(took_nanos, 1000));
  bytes_per_second_ += (rate - bytes_per_second_) * kLastGroupWeight;
}

void WriteCollector::Finish(Group* group) {
  std::unique_ptr<Group> owned(group);
  in_flight_--;
  Measure(*group);
  Answer(*group);
  Recycle(std::move(owned));
}

void WriteCollector::Answer(const Group& group) {
  std::string error;
  uint16_t code = 0;
  const bool ok = group.status.ok();
  if (!ok) {
    if (group.status.code() == absl::StatusCode::kUnavailable) {
      context_.counters->overloaded.Add(group.tickets.size());
    }
    code = FailureCode(group.status);
    proto::AppendError(&error, code, base::Message(group.status));
  }
  const std::string_view reply = ok ? proto::OkFrame() : std::string_view(error);
  for (const net::Ticket& ticket : group.tickets) {
    // A connection that is gone needs no reply.
    context_.completions->Complete(ticket, {.head = reply, .ok = ok, .code = code}).IgnoreError();
  }
}

void WriteCollector::Recycle(std::unique_ptr<Group> group) {
  if (free_.size() >= kFreeGroupsMax || group->bytes > kGroupBytesMax) return;
  group->batch.Clear();
  group->tickets.clear();
  group->bytes = 0;
  group->alone = false;
  group->status = absl::OkStatus();
  free_.push_back(std::move(group));
}

}  // namespace bandb::server
