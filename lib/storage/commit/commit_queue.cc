#include "storage/commit/commit_queue.h"

#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

namespace {

absl::Status Stalled() {
  return base::Error(absl::StatusCode::kUnavailable, "writes are stalled until a flush has finished");
}

}  // namespace

void CommitQueue::Push(WriteRequest* request) {
  BANDB_ASSERT(!request->queued_);
  request->queued_ = true;
  request->before_ = back_;
  request->after_ = nullptr;
  (back_ == nullptr ? front_ : back_->after_) = request;
  back_ = request;
}

void CommitQueue::Unlink(WriteRequest* request) {
  BANDB_ASSERT(request->queued_);
  (request->before_ == nullptr ? front_ : request->before_->after_) = request->after_;
  (request->after_ == nullptr ? back_ : request->after_->before_) = request->before_;
  request->queued_ = false;
}

void CommitQueue::TakeGroup(Group* group) {
  group->clear();
  size_t bytes = 0;
  size_t operations = 0;
  while (front_ != nullptr) {
    WriteRequest* request = front_;
    // A request with conditions must see what comes before it applied, so it begins a group. So
    // does one that freezes or ingests, and one of another space.
    const bool alone = !request->conditions.empty() || request->freeze || request->ingest != nullptr || request->system;
    const bool full =
        bytes + request->payload_bytes > kGroupBytesMax || operations + request->operation_count > kGroupOperationsMax;
    if (!group->empty() && (alone || full)) return;
    bytes += request->payload_bytes;
    operations += request->operation_count;
    Unlink(request);
    group->push_back(request);
    if (alone) return;
  }
}

void CommitQueue::PutBack(Group* group) {
  for (auto at = group->rbegin(); at != group->rend(); ++at) {
    WriteRequest* request = *at;
    BANDB_ASSERT(!request->queued_);
    request->queued_ = true;
    request->before_ = nullptr;
    request->after_ = front_;
    (front_ == nullptr ? back_ : front_->before_) = request;
    front_ = request;
  }
  group->clear();
}

void CommitQueue::TakeImpatient(Group* refused) {
  for (WriteRequest* request = front_; request != nullptr;) {
    WriteRequest* after = request->after_;
    if (request->fail_if_stalled) {
      Unlink(request);
      refused->push_back(request);
    }
    request = after;
  }
}

absl::Status CommitQueue::Refusal(const WriteRequest& request) const {
  if (closed_) return base::Error(absl::StatusCode::kFailedPrecondition, "the database is closed");
  return state_ == State::kParked && request.fail_if_stalled ? Stalled() : absl::OkStatus();
}

void CommitQueue::Submit(WriteRequest* request) { SubmitTo(Leader::kCaller, request); }

void CommitQueue::SubmitUnwaiting(WriteRequest* request) { SubmitTo(Leader::kUnwaitingCaller, request); }

void CommitQueue::SubmitTo(Leader leader, WriteRequest* request) {
  absl::Status refused;
  {
    base::MutexLock lock(&mutex_);
    refused = Refusal(*request);
    if (refused.ok()) {
      Push(request);
      if (state_ != State::kIdle) return;
      state_ = State::kLeading;
    }
  }
  if (refused.ok()) {
    Lead(leader);
  } else {
    request->Complete(std::move(refused));
  }
}

bool CommitQueue::Cancel(WriteRequest* request) {
  base::MutexLock lock(&mutex_);
  if (!request->queued_) return false;
  Unlink(request);
  return true;
}

void CommitQueue::Unpark() {
  base::MutexLock lock(&mutex_);
  if (state_ == State::kLeading) unparked_ = true;
  if (state_ != State::kParked) return;
  state_ = State::kLeading;
  PostLead();
}

bool CommitQueue::Parked() const {
  base::MutexLock lock(&mutex_);
  return state_ == State::kParked;
}

void CommitQueue::Close(base::Task then) {
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(!closed_);
  BANDB_ASSERT(when_idle_ == nullptr);
  closed_ = true;
  if (state_ == State::kIdle && front_ == nullptr) {
    executor_->Post(base::Priority::kHigh, std::move(then));
  } else {
    when_idle_ = std::move(then);
  }
}

void CommitQueue::PostLead() {
  executor_->Post(base::Priority::kHigh, [this]() { Lead(Leader::kBackground); });
}

void CommitQueue::Lead(Leader leader) {
  const bool in_background = leader == Leader::kBackground;
  bool told = !in_background;
  for (int groups = 0;; ++groups) {
    {
      base::MutexLock lock(&mutex_);
      BANDB_ASSERT(state_ == State::kLeading);
      unparked_ = false;
      if (groups >= kGroupsLedMax && told) return PostLead();
      TakeGroup(&group_);
      if (group_.empty() && told) {
        BANDB_ASSERT(front_ == nullptr);
        state_ = State::kIdle;
        if (when_idle_) executor_->Post(base::Priority::kHigh, std::exchange(when_idle_, nullptr));
        return;
      }
    }
    if (leader == Leader::kUnwaitingCaller && !group_.empty() && committer_->MayBlock(group_)) {
      base::MutexLock lock(&mutex_);
      PutBack(&group_);
      return PostLead();
    }
    const bool committed = !group_.empty() && committer_->CommitGroup(group_);
    if (committed && (!in_background || groups < kGroupsLedMax)) {
      told = !in_background;
      continue;
    }
    // Told while we lead: once the queue is idle, it may be gone.
    if (in_background) committer_->AfterBackgroundCommits();
    told = true;
    if (!committed && !group_.empty() && Park()) return;
  }
}

bool CommitQueue::Park() {
  Group refused;
  bool parked = false;
  {
    base::MutexLock lock(&mutex_);
    PutBack(&group_);
    TakeImpatient(&refused);
    if (front_ != nullptr && !unparked_) {
      state_ = State::kParked;
      parked = true;
    }
  }
  for (WriteRequest* request : refused) request->Complete(Stalled());
  return parked;
}

}  // namespace bandb::storage
