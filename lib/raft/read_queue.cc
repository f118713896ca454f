#include "raft/read_queue.h"

#include <utility>

#include "base/assert.h"

namespace bandb::raft {

void ReadQueue::JoinRound(uint64_t round, Index index) {
  BANDB_ASSERT(batches_.empty() || batches_.back().round <= round);
  if (waiting_.empty()) return;
  batches_.push_back({round, index, std::move(waiting_)});
  waiting_.clear();
}

bool ReadQueue::TakeProved(uint64_t proved, Batch* batch) {
  if (batches_.empty() || batches_.front().round > proved) return false;
  *batch = std::move(batches_.front());
  batches_.pop_front();
  pending_ -= batch->requests.size();
  return true;
}

void ReadQueue::Ask(uint64_t number, Nanos deadline) {
  BANDB_ASSERT(asked_for_.empty());
  BANDB_ASSERT(number != 0);
  asked_ = number;
  ask_deadline_ = deadline;
  asked_for_ = std::move(waiting_);
  waiting_.clear();
}

void ReadQueue::Answered(uint64_t number, Index index) {
  if (asked_ == 0 || number != asked_) return;
  for (const Request& request : asked_for_) Ready(request.id, index, false);
  pending_ -= asked_for_.size();
  asked_for_.clear();
  asked_ = 0;
}

void ReadQueue::Ready(uint64_t id, Index index, bool lease) {
  // A follower's answers may come from different leaders, and so with an index below an earlier
  // one; waiting for the larger is right for both.
  if (!ready_.empty() && ready_.back().index > index) index = ready_.back().index;
  ready_.push_back({id, absl::StatusCode::kOk, index, lease});
  ++pending_;
}

void ReadQueue::Serve(Index applied, std::vector<ReadResult>* results) {
  while (!ready_.empty() && ready_.front().index <= applied) {
    results->push_back(ready_.front());
    ready_.pop_front();
    --pending_;
  }
}

void ReadQueue::Fail(std::vector<ReadResult>* results, std::vector<Request>* refused) {
  auto fail = [&](const std::vector<Request>& requests) {
    for (const Request& request : requests) {
      if (request.from == kNoNode) {
        results->push_back({request.id, absl::StatusCode::kUnavailable, 0, false});
      } else {
        refused->push_back(request);
      }
    }
    pending_ -= requests.size();
  };
  fail(waiting_);
  waiting_.clear();
  for (; !batches_.empty(); batches_.pop_front()) fail(batches_.front().requests);
  fail(asked_for_);
  asked_for_.clear();
  asked_ = 0;
}

}  // namespace bandb::raft
