#include "support/step_executor.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/assert.h"

namespace bandb::test {

namespace {

constexpr int64_t kStepNanosMax = 20'000;

}  // namespace

void StepExecutor::Post(base::Priority priority, base::Task task) {
  BANDB_ASSERT(task != nullptr);
  if (stopped_) return;
  queues_[static_cast<size_t>(priority)].unbegun.push_back(Work{std::move(task), nullptr, queued_++});
}

void StepExecutor::PostAfter(int64_t delay_nanos, base::Task task) {
  BANDB_ASSERT(task != nullptr);
  if (stopped_) return;
  const int64_t now = clock_->MonotonicNanos();
  timers_.emplace(now + std::clamp<int64_t>(delay_nanos, 0, INT64_MAX - now), std::move(task));
}

void StepExecutor::Start(base::Priority priority, std::unique_ptr<base::Job> job) {
  BANDB_ASSERT(job != nullptr);
  if (stopped_) return;
  queues_[static_cast<size_t>(priority)].unbegun.push_back(Work{nullptr, std::move(job), queued_++});
}

bool StepExecutor::Wait(base::Event* event, int64_t timeout_nanos) {
  BANDB_ASSERT(!in_step_);
  const int64_t now = clock_->MonotonicNanos();
  const int64_t deadline = timeout_nanos > INT64_MAX - now ? INT64_MAX : now + timeout_nanos;
  for (uint64_t taken = 0; !event->IsSet(); ++taken) {
    if (clock_->MonotonicNanos() >= deadline) return false;
    if (taken >= kStepsMax) {
      std::fprintf(stderr, "StepExecutor: livelock: an event is not set after %llu steps\n",
                   static_cast<unsigned long long>(taken));
      base::AssertFailed("Wait ends", __FILE__, __LINE__);
    }
    if (RunOne(deadline)) continue;
    if (deadline == INT64_MAX) {
      std::fprintf(stderr, "StepExecutor: deadlock: an event is waited for and nothing is left to run\n");
      base::AssertFailed("Wait ends", __FILE__, __LINE__);
    }
    clock_->Advance(deadline - clock_->MonotonicNanos());
  }
  return true;
}

void StepExecutor::MoveDueTimers() {
  while (!timers_.empty() && timers_.begin()->first <= clock_->MonotonicNanos()) {
    Post(base::Priority::kNormal, std::move(timers_.begin()->second));
    timers_.erase(timers_.begin());
  }
}

StepExecutor::Work StepExecutor::TakeFrom(Queue* queue) {
  // The candidates in the order of queueing: the begun jobs, and the first of what has not begun in
  // its place.
  const size_t begun = queue->begun.size();
  size_t place = begun + 1;
  if (!queue->unbegun.empty()) {
    const auto later = std::find_if(queue->begun.begin(), queue->begun.end(),
                                    [queue](const Work& work) { return work.number > queue->unbegun.front().number; });
    place = static_cast<size_t>(later - queue->begun.begin());
  }
  const size_t chosen = random_.Uniform(begun + (queue->unbegun.empty() ? 0 : 1));
  trace_ = (trace_ ^ chosen) * 0x9e3779b97f4a7c15ull;
  std::deque<Work>* const part = chosen == place ? &queue->unbegun : &queue->begun;
  const auto from = chosen == place ? part->begin() : part->begin() + static_cast<ptrdiff_t>(chosen - (chosen > place));
  Work work = std::move(*from);
  part->erase(from);
  return work;
}

bool StepExecutor::RunReadyOne() {
  BANDB_ASSERT(!in_step_);
  MoveDueTimers();
  std::vector<size_t> waiting;
  for (size_t i = 0; i < queues_.size(); ++i) {
    if (!queues_[i].empty()) waiting.push_back(i);
  }
  if (waiting.empty()) return false;
  const size_t priority = waiting[random_.Uniform(waiting.size())];
  trace_ = (trace_ ^ (priority + 1)) * 0x9e3779b97f4a7c15ull;
  ++steps_;
  clock_->Advance(random_.Between(0, kStepNanosMax));
  Work work = TakeFrom(&queues_[priority]);
  in_step_ = true;
  if (work.job == nullptr) {
    std::move(work.task)();
  } else if (work.job->Step() == base::Job::Next::kAgain && !stopped_) {
    queues_[priority].begun.push_back(Work{nullptr, std::move(work.job), queued_++});
  }
  // Destroyed as a part of the step.
  work = Work();
  in_step_ = false;
  return true;
}

bool StepExecutor::RunOne(int64_t until_nanos) {
  if (RunReadyOne()) return true;
  if (timers_.empty() || timers_.begin()->first > until_nanos) return false;
  clock_->Advance(std::max<int64_t>(0, timers_.begin()->first - clock_->MonotonicNanos()));
  return RunReadyOne();
}

uint64_t StepExecutor::RunReady() {
  uint64_t taken = 0;
  while (RunReadyOne()) {
    BANDB_ASSERT(++taken < kStepsMax);
  }
  return taken;
}

void StepExecutor::RunFor(int64_t nanos) {
  const int64_t until = clock_->MonotonicNanos() + nanos;
  while (clock_->MonotonicNanos() < until && RunOne(until)) {
  }
  clock_->Advance(std::max<int64_t>(0, until - clock_->MonotonicNanos()));
}

void StepExecutor::Shutdown() {
  stopped_ = true;
  // Destroyed after they are out of the queues: a destructor may post.
  const auto queues = std::exchange(queues_, {});
  const auto timers = std::exchange(timers_, {});
}

bool StepExecutor::idle() const {
  return timers_.empty() &&
         std::all_of(queues_.begin(), queues_.end(), [](const auto& queue) { return queue.empty(); });
}

}  // namespace bandb::test
