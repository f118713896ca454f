#include "grpc/poller.h"

#include <grpc/support/time.h>

#include <utility>

#include "base/assert.h"
#include "grpc/call.h"

namespace bandb::grpc {

namespace {

// Calls that wait for clients: what comes at once finds as many places without a step in between.
constexpr size_t kAccepts = 64;
constexpr int64_t kSweepNanos = 500'000'000;

}  // namespace

Poller::Poller(Parts parts) : parts_(std::move(parts)) {}

void Poller::Start() {
  for (size_t i = 0; i < kAccepts; ++i) AcceptOne();
  thread_ = std::make_unique<base::Thread>([this] { Run(); });
}

void Poller::Close() {
  {
    base::MutexLock lock(&mutex_);
    closes_ = true;
    Wake();
  }
  thread_->Join();
}

void Poller::Run() {
  void* tag = nullptr;
  bool ok = false;
  while (parts_.queue->Next(&tag, &ok)) static_cast<Event*>(tag)->Run(ok);
}

void Poller::AcceptOne() {
  ++accepts_;
  (new Call(this))->Accept();
}

void Poller::Accepted(Call* call) {
  --accepts_;
  AcceptOne();
  call->place = calls_.insert(calls_.end(), call);
  ScheduleSweep();
}

void Poller::Gone(Call* call, bool was_accepted) {
  if (was_accepted) {
    calls_.erase(call->place);
  } else {
    --accepts_;
  }
  delete call;
  CloseIfDone();
}

void Poller::TakeFreePlace(Call* call) {
  if (free_calls_.size() >= parts_.calls_max / 4) {
    Call* const oldest = free_calls_.front();
    free_calls_.pop_front();
    oldest->GiveWay();
  }
  call->free_place = free_calls_.insert(free_calls_.end(), call);
}

void Poller::LeaveFreePlace(Call* call) { free_calls_.erase(call->free_place); }

void Poller::Ended(Call* call) {
  base::MutexLock lock(&mutex_);
  ended_.push_back(call);
  Wake();
}

void Poller::BeginDrain() {
  base::MutexLock lock(&mutex_);
  draining_ = true;
  Wake();
}

void Poller::Wake() {
  if (woken_ || closed_) return;
  woken_ = true;
  wake_alarm_.Set(parts_.queue.get(), gpr_inf_past(GPR_CLOCK_MONOTONIC), &on_wake_);
}

void Poller::OnWake(bool) {
  std::vector<Call*> ended;
  {
    base::MutexLock lock(&mutex_);
    woken_ = false;
    ended.swap(ended_);
    if (draining_) serving_ = false;
  }
  for (Call* call : ended) call->OnEnded();
  if (!serving_) {
    for (Call* call : calls_) call->OnDrain();
  }
  CloseIfDone();
}

// The alarms are under way no longer than calls are.
void Poller::ScheduleSweep() {
  if (std::exchange(sweeps_, true)) return;
  sweep_alarm_.Set(parts_.queue.get(),
                   gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(kSweepNanos, GPR_TIMESPAN)),
                   &on_sweep_);
}

void Poller::OnSweep(bool) {
  sweeps_ = false;
  const int64_t now_nanos = NowNanos();
  for (Call* call : calls_) call->OnSweep(now_nanos);
  if (!calls_.empty()) ScheduleSweep();
}

void Poller::CloseIfDone() {
  if (accepts_ > 0 || !calls_.empty()) return;
  base::MutexLock lock(&mutex_);
  // What woke it comes first.
  if (!closes_ || woken_ || std::exchange(closed_, true)) return;
  sweep_alarm_.Cancel();
  parts_.queue->Shutdown();
}

}  // namespace bandb::grpc
