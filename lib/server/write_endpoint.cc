#include "server/write_endpoint.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

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
// Of a batch that was not done: so many of its conditions are looked at.
constexpr size_t kConditionsLookedAtMax = 64;
// Two: one is being synced while the next is on its way to the store's thread. One leaves the disk
// idle in between (a quarter fewer writes a second from 50 clients); more would only make groups
// smaller.
constexpr int kGroupsInFlightMax = 2;
// What may wait: a group at least, and what the store takes in this time.
constexpr size_t kQueueBytesMin = 1 << 20;
constexpr double kQueueSeconds = 0.1;
// Of the last group in the average.
constexpr double kLastGroupWeight = 0.2;

}  // namespace

struct WriteEndpoint::Group {
  WriteEndpoint* endpoint = nullptr;
  WriteBatch batch;
  std::vector<Pending> requests;
  size_t bytes = 0;
  bool alone = false;
  std::vector<std::string> condition_keys;
  int64_t since_nanos = 0;      // when its first request came
  int64_t submitted_nanos = 0;  // when the store got it; 0: not yet
  absl::Status status;
};

WriteEndpoint::WriteEndpoint(Store* store, base::EventLoop* loop, const RequestContext& context, const Options& options)
    : store_(store), loop_(loop), context_(context), options_(options) {}

WriteEndpoint::~WriteEndpoint() {
  BANDB_ASSERT(in_flight_ == 0);
  loop_->Cancel(expiry_timer_);
}

bool WriteEndpoint::IsOpen() const {
  return queued_bytes_ < std::max(kQueueBytesMin, static_cast<size_t>(bytes_per_second_ * kQueueSeconds));
}

WriteBatch* WriteEndpoint::Join(Request& request, size_t bytes, size_t operations, bool alone) {
  const size_t weight_bytes = bytes + operations * kOperationBytes;
  alone = alone || weight_bytes > kGroupBytesMax;
  if (current_ != nullptr && (alone || current_->alone || current_->bytes + weight_bytes > kGroupBytesMax)) {
    CloseCurrent();
  }
  if (current_ == nullptr) {
    if (free_.empty()) {
      current_ = std::make_unique<Group>();
      current_->endpoint = this;
    } else {
      current_ = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (current_->requests.empty()) current_->since_nanos = loop_->NowNanos();
  current_->alone = alone;
  current_->bytes += weight_bytes;
  queued_bytes_ += weight_bytes;
  current_->requests.push_back(request.Defer(bytes + kRequestOverheadBytes));
  context_.counters->write_operations.Add();
  return &current_->batch;
}

void WriteEndpoint::Write(Request& request, const Operation& operation) {
  const absl::Status status = CheckOperation(operation);
  if (!status.ok()) return request.Answer({.failure = ToFailure(status)});
  AddTo(operation, Join(request, operation.ByteSize(), 1, false));
}

void WriteEndpoint::Write(Request& request, const BatchCommand& batch) {
  absl::Status status;
  for (size_t i = 0; i < batch.conditions.size() && status.ok(); ++i) status = CheckCondition(batch.conditions[i]);
  for (size_t i = 0; i < batch.operations.size() && status.ok(); ++i) status = CheckOperation(batch.operations[i]);
  if (!status.ok()) return request.Answer({.failure = ToFailure(status)});
  WriteBatch* const to = Join(request, batch.bytes, batch.operations.size(), !batch.conditions.empty());
  for (const Condition& condition : batch.conditions) {
    AddTo(condition, to);
    if (context_.durable != nullptr) current_->condition_keys.emplace_back(condition.key);
  }
  for (const Operation& operation : batch.operations) AddTo(operation, to);
}

void WriteEndpoint::CloseCurrent() {
  if (current_ == nullptr) return;
  queue_.push_back(std::move(current_));
  Pump();
}

void WriteEndpoint::Pump() {
  while (in_flight_ < kGroupsInFlightMax && !queue_.empty()) {
    Group* group = queue_.front().release();
    queue_.pop_front();
    ++in_flight_;
    queued_bytes_ -= group->bytes;
    group->submitted_nanos = loop_->NowNanos();
    context_.counters->write_groups.Add();
    store_->WriteAsync(std::move(group->batch), {.sync = options_.sync, .timeout = context_.store_timeout},
                       [group](absl::Status status) {
                         group->status = std::move(status);
                         group->endpoint->loop_->Post([group] { group->endpoint->Finish(group); });
                       });
  }
}

void WriteEndpoint::EndTurn() {
  Pump();
  if (in_flight_ < kGroupsInFlightMax) CloseCurrent();
  ScheduleExpiry();
}

void WriteEndpoint::ScheduleExpiry() {
  if (expiry_timer_ != base::kNoTimer || options_.stall_timeout_nanos == net::kNoTimeout) return;
  if (queue_.empty() && current_ == nullptr) return;
  const int64_t since_nanos = queue_.empty() ? current_->since_nanos : queue_.front()->since_nanos;
  const int64_t wait_nanos = since_nanos + options_.stall_timeout_nanos - loop_->NowNanos();
  expiry_timer_ = loop_->After(std::max<int64_t>(0, wait_nanos), [this] {
    expiry_timer_ = base::kNoTimer;
    Expire();
  });
}

void WriteEndpoint::Expire() {
  const int64_t before_nanos = loop_->NowNanos() - options_.stall_timeout_nanos;
  if (current_ != nullptr && current_->since_nanos <= before_nanos) CloseCurrent();
  while (!queue_.empty() && queue_.front()->since_nanos <= before_nanos) {
    std::unique_ptr<Group> group = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= group->bytes;
    group->status = base::Error(absl::StatusCode::kUnavailable, "writes are stalled: not done, try again later");
    Answer(group.get());
    Recycle(std::move(group));
  }
}

void WriteEndpoint::Measure(const Group& group) {
  const int64_t now_nanos = loop_->NowNanos();
  const int64_t took_nanos = now_nanos - std::max(group.submitted_nanos, finished_nanos_);
  finished_nanos_ = now_nanos;
  const double rate = static_cast<double>(group.bytes) * 1e9 / static_cast<double>(std::max<int64_t>(took_nanos, 1000));
  bytes_per_second_ += (rate - bytes_per_second_) * kLastGroupWeight;
}

void WriteEndpoint::Finish(Group* group) {
  std::unique_ptr<Group> owned(group);
  --in_flight_;
  Measure(*group);
  Answer(group);
  Recycle(std::move(owned));
}

bool WriteEndpoint::SawUndurable(const Group& group) const {
  // Many would take time, and then one sync more does not matter.
  if (group.condition_keys.size() > kConditionsLookedAtMax) return true;
  return std::any_of(group.condition_keys.begin(), group.condition_keys.end(), [this](const std::string& key) {
    PinnedValue value;
    bool undurable = false;
    // What is not in memory is in a table, and durable.
    const absl::Status status = store_->GetPinned(
        key, &value, {.only_cached = true, .saw_undurable = &undurable, .consistency = Consistency::kLocal});
    return !absl::IsUnavailable(status) && undurable;
  });
}

void WriteEndpoint::Answer(Group* group) {
  Outcome outcome;
  if (!group->status.ok()) outcome.failure = ToFailureOfAll(group->status);
  for (Pending& request : group->requests) request.mark.submitted_nanos = group->submitted_nanos;
  // A condition is a read: that it did not hold may tell of a write that may still be lost.
  if (absl::IsAborted(group->status)) {
    for (Pending& request : group->requests) {
      CompleteDurably(context_, std::move(request), {.failure = outcome.failure}, SawUndurable(*group));
    }
    return;
  }
  for (const Pending& request : group->requests) Complete(context_, request, &outcome);
}

void WriteEndpoint::Recycle(std::unique_ptr<Group> group) {
  if (free_.size() >= kFreeGroupsMax || group->bytes > kGroupBytesMax) return;
  group->batch.Clear();
  group->requests.clear();
  group->bytes = 0;
  group->alone = false;
  group->condition_keys.clear();
  group->submitted_nanos = 0;
  group->status = absl::OkStatus();
  free_.push_back(std::move(group));
}

}  // namespace bandb::server
