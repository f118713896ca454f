#include "raft/read_queue.h"

#include <limits>
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

void ReadQueue::Ask(uint64_t number, Nanos now) {
  for (const Request& request : waiting_) asked_for_.push_back({request, now});
  waiting_.clear();
  BANDB_ASSERT(asking());
  questions_.push_back({number, asked_for_begin_ + asked_for_.size(), now});
}

bool ReadQueue::Asked(uint64_t number) const {
  for (size_t i = 0; i < questions_.size(); ++i) {
    if (questions_[i].number == number) return true;
  }
  return false;
}

void ReadQueue::Answered(uint64_t number, Index index) {
  uint64_t end = 0;
  for (size_t i = 0; i < questions_.size(); ++i) {
    if (questions_[i].number == number) end = questions_[i].end;
  }
  for (; asked_for_begin_ < end; ++asked_for_begin_) {
    Ready(asked_for_.front().request.id, index, false);
    asked_for_.pop_front();
    --pending_;
  }
  DropQuestions();
}

void ReadQueue::Expire(Nanos latest, std::vector<ReadResult>* results) {
  for (; asking() && asking_since() <= latest; ++asked_for_begin_) {
    results->push_back({asked_for_.front().request.id, absl::StatusCode::kUnavailable, 0, false});
    asked_for_.pop_front();
    --pending_;
  }
  DropQuestions();
}

// Questions whose reads have all been answered.
void ReadQueue::DropQuestions() {
  while (!questions_.empty() && questions_.front().end <= asked_for_begin_) questions_.pop_front();
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
  Expire(std::numeric_limits<Nanos>::max(), results);
}

}  // namespace bandb::raft
