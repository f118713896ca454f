#include "server/door_queue.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "net/limits.h"
#include "server/frame_codec.h"
#include "server/host_hooks.h"

namespace bandb::server {

namespace {

// What a call holds besides its bytes.
constexpr size_t kCallOverheadBytes = 256;

net::ConnectionId IdOf(uint64_t connection) { return ToConnection(Door::IdOf(connection)); }

bool IsOfDoor(const net::Ticket& ticket) { return ToNumber(ticket.connection) >= Door::kFirstId; }

Failure DeadlinePassed() {
  return ToFailure(base::Error(absl::StatusCode::kDeadlineExceeded, "the deadline passed while it waited: not done"));
}

}  // namespace

// A call while the service handles it.
class DoorQueue::Call final : public net::Call {
 public:
  Call(DoorQueue* queue, DoorCall* call, int64_t since_nanos)
      : queue_(queue),
        call_(call),
        request_{.connection = IdOf(call->connection),
                 .message_id = 0,
                 .payload = {},
                 .peer = call->peer,
                 .user = call->session.name(),
                 .since_nanos = since_nanos} {}

  const net::RequestView& request() const override { return request_; }
  net::Codec* codec() override {
    queue_->codec_.Serve(call_);
    return &queue_->codec_;
  }
  // Calls have no order among themselves.
  bool behind_others() const override { return false; }
  void Answer(net::Reply) override { queue_->Finish(call_); }
  net::Ticket Defer(size_t held_bytes) override {
    held_bytes += kCallOverheadBytes;
    queue_->parts_.quota->AddMemory(static_cast<int64_t>(held_bytes));
    queue_->counters_.in_flight.Add();
    queue_->deferred_.emplace(++queue_->last_sequence_, call_);
    return {request_.connection, queue_->last_sequence_, held_bytes};
  }

 private:
  DoorQueue* const queue_;
  DoorCall* const call_;
  const net::RequestView request_;
};

DoorQueue::~DoorQueue() {
  BANDB_ASSERT(idle());
  parts_.loop->Cancel(timer_);
}

void DoorQueue::SetService(net::Handler* service, const net::Gate* writes) {
  service_ = service;
  writes_ = writes;
}

bool DoorQueue::Enter(DoorCall* call) {
  bool is_first = false;
  {
    base::MutexLock lock(&mutex_);
    if (closed_) return false;
    is_first = entered_.empty();
    entered_.push_back(call);
  }
  if (is_first) parts_.loop->Post([this] { TakeEntered(); });
  return true;
}

void DoorQueue::TakeEntered() {
  std::vector<DoorCall*> entered;
  {
    base::MutexLock lock(&mutex_);
    entered.swap(entered_);
  }
  for (DoorCall* call : entered) StartOrWait(call);
}

void DoorQueue::StartOrWait(DoorCall* call) {
  counters_.calls.Add();
  if (parts_.quota->memory_bytes.load(std::memory_order_relaxed) >= parts_.memory_bytes_max) {
    counters_.overloaded.Add();
    return Refuse(call, ToFailure(net::Refusal::kOverloaded));
  }
  if (call->session.is_nobody() || call->operation.kind == OperationKind::kGet ||
      (waiting_.empty() && writes_->IsOpen()))
    return Start(call, parts_.loop->NowNanos());
  const int64_t now_nanos = parts_.loop->NowNanos();
  const int64_t patience_nanos = std::min(parts_.stall_timeout_nanos, net::kNoTimeout - now_nanos);
  const int64_t give_up_nanos = std::min(now_nanos + patience_nanos, call->deadline_nanos);
  waiting_.emplace(++last_sequence_, Waiting{call, now_nanos, give_up_nanos});
  give_up_.emplace(give_up_nanos, last_sequence_);
  parts_.quota->AddMemory(static_cast<int64_t>(call->operation.ByteSize() + kCallOverheadBytes));
  if (give_up_.begin()->second == last_sequence_) ScheduleGivingUp();
}

void DoorQueue::Start(DoorCall* call, int64_t since_nanos) {
  if (call->deadline_nanos <= parts_.loop->NowNanos()) return Refuse(call, DeadlinePassed());
  codec_.Serve(call);
  if (net::Denial denial = codec_.Admit(0); denial.code != 0) {
    return Refuse(call, {denial.code, std::move(denial.text)});
  }
  Call handled(this, call, since_nanos);
  service_->Handle(handled);
}

void DoorQueue::EndTurn() {
  while (!waiting_.empty() && writes_->IsOpen()) {
    const auto first = waiting_.begin();
    const auto [call, since_nanos, give_up_nanos] = first->second;
    give_up_.erase({give_up_nanos, first->first});
    waiting_.erase(first);
    parts_.quota->AddMemory(-static_cast<int64_t>(call->operation.ByteSize() + kCallOverheadBytes));
    Start(call, since_nanos);
  }
}

void DoorQueue::ScheduleGivingUp() {
  if (give_up_.empty()) return;
  parts_.loop->Cancel(timer_);
  const int64_t wait_nanos = give_up_.begin()->first - parts_.loop->NowNanos();
  timer_ = parts_.loop->After(std::max<int64_t>(0, wait_nanos), [this] {
    timer_ = base::kNoTimer;
    GiveUp();
  });
}

void DoorQueue::GiveUp() {
  const int64_t now_nanos = parts_.loop->NowNanos();
  while (!give_up_.empty() && give_up_.begin()->first <= now_nanos) {
    const auto found = waiting_.find(give_up_.begin()->second);
    DoorCall* const call = found->second.call;
    give_up_.erase(give_up_.begin());
    waiting_.erase(found);
    parts_.quota->AddMemory(-static_cast<int64_t>(call->operation.ByteSize() + kCallOverheadBytes));
    if (call->deadline_nanos <= now_nanos) {
      Refuse(call, DeadlinePassed());
    } else {
      counters_.overloaded.Add();
      Refuse(call,
             ToFailure(base::Error(absl::StatusCode::kUnavailable, "writes are stalled: not done, try again later")));
    }
  }
  ScheduleGivingUp();
}

void DoorQueue::Close() {
  std::vector<DoorCall*> refused;
  {
    base::MutexLock lock(&mutex_);
    closed_ = true;
    refused.swap(entered_);
  }
  for (const auto& [sequence, waiting] : waiting_) {
    parts_.quota->AddMemory(-static_cast<int64_t>(waiting.call->operation.ByteSize() + kCallOverheadBytes));
    refused.push_back(waiting.call);
  }
  waiting_.clear();
  give_up_.clear();
  for (DoorCall* call : refused) Refuse(call, ToFailure(net::Refusal::kShuttingDown));
}

void DoorQueue::Refuse(DoorCall* call, Failure failure) {
  call->outcome = {.failure = std::move(failure)};
  Finish(call);
}

void DoorQueue::Finish(DoorCall* call) {
  counters_.replies.Add();
  if (!call->outcome.ok()) counters_.error_replies.Add();
  call->End();
}

absl::Status DoorQueue::Complete(const net::Ticket& ticket, net::Reply reply) {
  if (!IsOfDoor(ticket)) return parts_.connections->Complete(ticket, std::move(reply));
  const auto found = deferred_.find(ticket.sequence);
  BANDB_ASSERT(found != deferred_.end());
  DoorCall* const call = found->second;
  deferred_.erase(found);
  counters_.in_flight.Subtract(1);
  parts_.quota->AddMemory(-static_cast<int64_t>(ticket.held_bytes));
  Finish(call);
  return absl::OkStatus();
}

void DoorQueue::SetAfter(const net::Ticket& ticket, std::unique_ptr<net::AfterContext> after) {
  if (!IsOfDoor(ticket)) parts_.connections->SetAfter(ticket, std::move(after));
}

net::Codec* DoorQueue::CodecOf(const net::Ticket& ticket) {
  if (!IsOfDoor(ticket)) return parts_.connections->CodecOf(ticket);
  const auto found = deferred_.find(ticket.sequence);
  BANDB_ASSERT(found != deferred_.end());
  codec_.Serve(found->second);
  return &codec_;
}

std::string_view DoorQueue::PeerOf(const net::Ticket& ticket) {
  if (!IsOfDoor(ticket)) return parts_.connections->PeerOf(ticket);
  const auto found = deferred_.find(ticket.sequence);
  BANDB_ASSERT(found != deferred_.end());
  return found->second->peer;
}

bool DoorQueue::HasEnded(const net::Ticket& ticket) {
  return !IsOfDoor(ticket) && parts_.connections->HasEnded(ticket);
}

}  // namespace bandb::server
