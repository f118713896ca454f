#include "net/quota.h"

#include <algorithm>

#include "base/assert.h"

namespace bandb::net {

namespace {
// After a round that found nobody to close.
constexpr int64_t kPauseNanos = 50 * 1000000;
}  // namespace

void Eviction::Add(base::EventLoop* loop, Candidates* candidates) {
  base::MutexLock lock(&mutex_);
  loops_.push_back({loop, candidates});
}

void Eviction::Remove(Candidates* candidates) {
  base::MutexLock lock(&mutex_);
  for (Loop& loop : loops_) {
    if (loop.candidates == candidates) loop.candidates = nullptr;
  }
}

void Eviction::Choose(int64_t now_nanos) {
  std::vector<Loop> loops;
  {
    base::MutexLock lock(&mutex_);
    if (choosing_ || now_nanos < not_before_nanos_) return;
    choosing_ = true;
    unasked_ = loops_.size();
    largest_bytes_ = 0;
    began_nanos_ = now_nanos;
    loops = loops_;
  }
  for (size_t i = 0; i < loops.size(); ++i) loops[i].loop->Post([this, i] { Ask(i); });
}

void Eviction::Ask(size_t at) {
  Candidates* candidates = nullptr;
  {
    base::MutexLock lock(&mutex_);
    candidates = loops_[at].candidates;
  }
  const int64_t bytes = candidates == nullptr ? 0 : candidates->LargestBytes();
  base::EventLoop* chosen_loop = nullptr;
  size_t chosen = 0;
  {
    base::MutexLock lock(&mutex_);
    BANDB_ASSERT(choosing_);
    BANDB_ASSERT(unasked_ > 0);
    if (bytes > largest_bytes_) {
      largest_bytes_ = bytes;
      largest_at_ = at;
    }
    if (--unasked_ > 0) return;
    if (largest_bytes_ == 0) {
      choosing_ = false;
      not_before_nanos_ = began_nanos_ + kPauseNanos;
      return;
    }
    chosen = largest_at_;
    chosen_loop = loops_[chosen].loop;
  }
  chosen_loop->Post([this, chosen] { CloseAt(chosen); });
}

void Eviction::CloseAt(size_t at) {
  Candidates* candidates = nullptr;
  {
    base::MutexLock lock(&mutex_);
    candidates = loops_[at].candidates;
  }
  if (candidates != nullptr) candidates->CloseLargest();
  base::MutexLock lock(&mutex_);
  choosing_ = false;
}

void Quota::Share(const char* data, size_t bytes) {
  base::MutexLock lock(&mutex_);
  Shared& shared = shared_[data];
  // Two values may begin at one place only if one is empty; the larger counts.
  if (bytes > shared.bytes) {
    AddMemory(static_cast<int64_t>(bytes - shared.bytes));
    shared.bytes = bytes;
  }
  ++shared.replies;
}

void Quota::Unshare(const char* data) {
  base::MutexLock lock(&mutex_);
  const auto found = shared_.find(data);
  BANDB_ASSERT(found != shared_.end());
  if (--found->second.replies > 0) return;
  AddMemory(-static_cast<int64_t>(found->second.bytes));
  shared_.erase(found);
}

}  // namespace bandb::net
