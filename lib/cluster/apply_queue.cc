#include "cluster/apply_queue.h"

#include <utility>

#include "base/assert.h"

namespace bandb::cluster {
namespace {

// The numbers of the core's own fetches count up from 1 and stay far below.
constexpr uint64_t kFetchBase = uint64_t{1} << 62;
constexpr uint64_t kFetchBytesMax = 64 << 10;

}  // namespace

void ApplyQueue::Push(raft::Committed range) {
  BANDB_ASSERT(!range.empty());
  BANDB_ASSERT(range.entries.empty() || range.entries.size() == range.last - range.first + 1);
  BANDB_ASSERT(ranges_.empty() || ranges_.back().last + 1 == range.first);
  ranges_.push_back(std::move(range));
}

bool ApplyQueue::TakeReady(raft::Entries* entries) {
  if (!ready()) return false;
  *entries = std::move(ranges_.front().entries);
  ranges_.pop_front();
  return true;
}

std::optional<raft::Fetch> ApplyQueue::NextFetch() {
  if (fetching_ || ranges_.empty() || ready()) return std::nullopt;
  fetching_ = true;
  const raft::Committed& front = ranges_.front();
  return raft::Fetch{kFetchBase + ++fetches_, front.first, front.last, kFetchBytesMax};
}

bool ApplyQueue::Owns(uint64_t fetch) { return fetch >= kFetchBase; }

bool ApplyQueue::Awaits(uint64_t fetch) const { return fetching_ && fetch == kFetchBase + fetches_; }

void ApplyQueue::OnFetched(uint64_t fetch, raft::Entries entries) {
  BANDB_ASSERT(Awaits(fetch));
  BANDB_ASSERT(!ranges_.empty());
  BANDB_ASSERT(!entries.empty());
  raft::Committed& front = ranges_.front();
  BANDB_ASSERT(entries.front().index == front.first);
  BANDB_ASSERT(entries.back().index <= front.last);
  fetching_ = false;
  // Fewer than asked for: the others are the next range.
  const raft::Committed rest{entries.back().index + 1, front.last, {}};
  front.last = entries.back().index;
  front.entries = std::move(entries);
  if (!rest.empty()) ranges_.insert(ranges_.begin() + 1, rest);
}

void ApplyQueue::Clear() {
  ranges_.clear();
  fetching_ = false;
}

}  // namespace bandb::cluster
