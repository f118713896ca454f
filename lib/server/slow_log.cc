#include "server/slow_log.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace bandb::server {

namespace {

void CutKey(size_t key_bytes, SlowRequest* request) {
  if (request->key.size() > key_bytes) request->key.resize(key_bytes);
  // The length alone would tell something of it.
  if (key_bytes == 0) request->key_bytes = 0;
}

}  // namespace

void SlowLog::Set(absl::Duration threshold, int key_bytes) {
  {
    base::MutexLock lock(&mutex_);
    key_bytes_ = static_cast<size_t>(key_bytes);
    for (SlowRequest& entry : entries_) CutKey(key_bytes_, &entry);
  }
  // Saturates, for an infinite one.
  threshold_nanos_.store(absl::ToInt64Nanoseconds(threshold), std::memory_order_relaxed);
}

void SlowLog::Add(SlowRequest request) {
  base::MutexLock lock(&mutex_);
  CutKey(key_bytes_, &request);
  request.number = ++last_number_;
  entries_.push_front(std::move(request));
  if (entries_.size() > kEntriesMax) entries_.pop_back();
}

std::vector<SlowRequest> SlowLog::List(size_t count_max) const {
  base::MutexLock lock(&mutex_);
  const auto count = static_cast<std::ptrdiff_t>(std::min(count_max, entries_.size()));
  return {entries_.begin(), entries_.begin() + count};
}

std::vector<SlowRequest> SlowLog::List(size_t count_max, const UserRegistry* users, std::string_view user) const {
  std::vector<SlowRequest> requests = List(count_max);
  if (users == nullptr) return requests;
  const std::shared_ptr<const User> reader = users->Find(user);
  for (SlowRequest& request : requests) {
    // What is kept of a key is its beginning: a user that may read all that begins so may read it.
    if (reader == nullptr || !reader->grants.Cover(Access::kRead, request.key)) CutKey(0, &request);
  }
  return requests;
}

void SlowLog::Clear() {
  base::MutexLock lock(&mutex_);
  entries_.clear();
}

}  // namespace bandb::server
