#include "server/write_collector.h"

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

// A group stays far below the limit on batches of any store, and a request larger than this stands alone.
constexpr size_t kGroupBytesMax = 1 << 20;
constexpr size_t kRequestOverheadBytes = 64;
// What an operation counts in a group besides its bytes. Batches are limited in operations as well, and a request that
// is beyond that limit must not take others along.
constexpr size_t kOperationBytes = 64;
constexpr size_t kFreeGroupsMax = 8;
// Two: one is being synced while the next is on its way to the store's thread. One leaves the disk idle in between (a
// quarter fewer writes a second from 50 clients); more would only make groups smaller.
constexpr int kGroupsInFlightMax = 2;

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
  absl::Status status;
};

WriteCollector::WriteCollector(Store* store, base::EventLoop* loop, const AnswerContext& context, bool sync)
    : store_(store), loop_(loop), context_(context), options_{.sync = sync} {}

WriteCollector::~WriteCollector() { BANDB_ASSERT(in_flight_ == 0); }

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
  current_->alone = alone;
  current_->bytes += weight_bytes;
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
    context_.counters->write_groups.Add();
    store_->WriteAsync(std::move(group->batch), options_, [group](absl::Status status) {
      group->status = std::move(status);
      group->collector->loop_->Post([group] { group->collector->Finish(group); });
    });
  }
}

void WriteCollector::EndTurn() {
  Pump();
  if (in_flight_ < kGroupsInFlightMax) CloseCurrent();
}

void WriteCollector::Finish(Group* group) {
  std::unique_ptr<Group> owned(group);
  in_flight_--;
  std::string error;
  uint16_t code = 0;
  const bool ok = group->status.ok();
  if (!ok) {
    if (group->status.code() == absl::StatusCode::kUnavailable) {
      context_.counters->overloaded.Add(group->tickets.size());
    }
    code = proto::CodeFor(group->status);
    proto::AppendError(&error, code, base::Message(group->status));
  }
  const std::string_view reply = ok ? proto::OkFrame() : std::string_view(error);
  for (const net::Ticket& ticket : group->tickets) {
    // Who is gone needs no reply.
    context_.completions->Complete(ticket, {.head = reply, .ok = ok, .code = code}).IgnoreError();
  }
  if (free_.size() < kFreeGroupsMax) {
    group->batch.Clear();
    group->tickets.clear();
    group->bytes = 0;
    group->alone = false;
    group->status = absl::OkStatus();
    free_.push_back(std::move(owned));
  }
}

}  // namespace bandb::server
