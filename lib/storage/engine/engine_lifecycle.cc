#include "storage/engine/engine_lifecycle.h"

#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

absl::Status ClosedError() { return base::Error(absl::StatusCode::kFailedPrecondition, "the database is closed"); }

Lifecycle::Lifecycle() : closed_(std::make_shared<std::atomic<bool>>(false)) {}

void Lifecycle::MoveTo(Phase phase) {
  BANDB_ASSERT(phase != phase_);
  phase_ = phase;
  refuses_writes_.store(Refuses(), std::memory_order_release);
}

Lifecycle::Phase Lifecycle::phase() const {
  base::MutexLock lock(&mutex_);
  return phase_;
}

void Lifecycle::Run() {
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(phase_ == Phase::kOpening);
  BANDB_ASSERT(!cause_.has_value());
  MoveTo(Phase::kRunning);
}

void Lifecycle::RunReadOnly(const absl::Status& refusal) {
  BANDB_ASSERT(refusal.code() == absl::StatusCode::kFailedPrecondition);
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(phase_ == Phase::kOpening);
  BANDB_ASSERT(!cause_.has_value());
  cause_ = Cause{.status = refusal, .resumable = false, .intended = true};
  MoveTo(Phase::kStopped);
}

bool Lifecycle::Stop(const absl::Status& status) {
  BANDB_ASSERT(!status.ok());
  const bool resumable = status.code() == absl::StatusCode::kResourceExhausted;
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(phase_ != Phase::kOpening);
  BANDB_ASSERT(phase_ != Phase::kClosed);
  // What cannot be resumed outweighs what can.
  const bool news = !cause_.has_value() || (cause_->resumable && !resumable);
  if (news) cause_ = Cause{.status = status, .resumable = resumable};
  if (phase_ == Phase::kRunning) MoveTo(Phase::kStopped);
  return news;
}

bool Lifecycle::WaitsForResume() const {
  base::MutexLock lock(&mutex_);
  return phase_ == Phase::kStopped && cause_->resumable;
}

absl::Status Lifecycle::MayResume() const {
  base::MutexLock lock(&mutex_);
  if (phase_ >= Phase::kClosing) return ClosedError();
  if (!cause_ || cause_->resumable) return absl::OkStatus();
  if (cause_->intended) return cause_->status;
  return base::Error(absl::StatusCode::kFailedPrecondition, "only reopening helps: {}", base::Message(cause_->status));
}

bool Lifecycle::Resume() {
  base::MutexLock lock(&mutex_);
  if (phase_ != Phase::kStopped) return false;
  BANDB_ASSERT(cause_.has_value());
  if (!cause_->resumable) return false;
  cause_.reset();
  resumes_.fetch_add(1, std::memory_order_release);
  MoveTo(Phase::kRunning);
  return true;
}

absl::Status Lifecycle::StopCause() const {
  base::MutexLock lock(&mutex_);
  return cause_ ? cause_->status : absl::OkStatus();
}

absl::Status Lifecycle::MayWrite() const {
  base::MutexLock lock(&mutex_);
  if (phase_ >= Phase::kClosing) return ClosedError();
  if (!cause_) return absl::OkStatus();
  if (cause_->intended) return cause_->status;
  if (cause_->resumable) {
    return base::Error(absl::StatusCode::kResourceExhausted, "writes are stopped until Resume: {}",
                       base::Message(cause_->status));
  }
  return base::Error(absl::StatusCode::kFailedPrecondition, "writes are stopped until the database is reopened: {}",
                     base::Message(cause_->status));
}

absl::Status Lifecycle::MayContinue() const { return IsClosing() ? ClosedError() : absl::OkStatus(); }

bool Lifecycle::Enter() {
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(activities_ >= 0);
  if (phase_ >= Phase::kClosing) return false;
  ++activities_;
  return true;
}

bool Lifecycle::EnterUntilRest() {
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(activities_ >= 0);
  if (phase_ >= Phase::kAtRest) return false;
  ++activities_;
  return true;
}

void Lifecycle::Leave() {
  Done at_rest;
  {
    base::MutexLock lock(&mutex_);
    BANDB_ASSERT(activities_ > 0);
    --activities_;
    if (phase_ >= Phase::kClosing && activities_ == 0) {
      BANDB_ASSERT(phase_ == Phase::kClosing);
      MoveTo(Phase::kAtRest);
      at_rest = std::exchange(at_rest_, nullptr);
    }
  }
  if (at_rest) at_rest(absl::OkStatus());
}

void Lifecycle::BeginClose(Done at_rest) {
  BANDB_ASSERT(at_rest != nullptr);
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(phase_ == Phase::kRunning || phase_ == Phase::kStopped);
  MoveTo(Phase::kClosing);
  at_rest_ = std::move(at_rest);
  ++activities_;
}

bool Lifecycle::IsClosing() const {
  base::MutexLock lock(&mutex_);
  return phase_ >= Phase::kClosing;
}

void Lifecycle::Close() {
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(phase_ == Phase::kAtRest);
  BANDB_ASSERT(activities_ == 0);
  MoveTo(Phase::kClosed);
  closed_->store(true, std::memory_order_release);
}

absl::Status Lifecycle::CheckInvariants() const {
  base::MutexLock lock(&mutex_);
  const bool sound = activities_ >= 0 && (phase_ != Phase::kStopped || cause_.has_value()) &&
                     (phase_ > Phase::kRunning || !cause_.has_value()) &&
                     (phase_ < Phase::kAtRest || activities_ == 0) &&
                     (at_rest_ != nullptr) == (phase_ == Phase::kClosing) && refuses_writes_ == Refuses() &&
                     *closed_ == (phase_ == Phase::kClosed);
  if (sound) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInternal, "phase {} with {} activities", static_cast<int>(phase_), activities_);
}

}  // namespace bandb::storage
