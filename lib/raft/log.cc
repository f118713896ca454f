#include "raft/log.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace bandb::raft {

Log::Log(const Restart& restart)
    : trail_(restart.floor.index, restart.floor.term, restart.terms, restart.last_index),
      costs_(restart.terms.empty() ? CostTrail(restart.floor.index) : restart.costs),
      commit_(std::min(trail_.last(), std::max({restart.floor.index, restart.applied, restart.hard_state.commit}))),
      durable_(trail_.last()),
      written_(trail_.last()),
      applied_(restart.applied),
      handed_out_(restart.applied),
      first_cached_(trail_.last() + 1) {
  BANDB_ASSERT(applied_ >= trail_.floor());
  BANDB_ASSERT(applied_ <= trail_.last());
  BANDB_ASSERT(restart.tail_costs.size() == last() - commit_);
  for (uint64_t cost : restart.tail_costs) {
    uncommitted_.push_back(cost);
    uncommitted_bytes_ += cost;
  }
}

void Log::Append(Entry entry) {
  BANDB_ASSERT(entry.index == last() + 1);
  const uint64_t cost = CostBytes(entry);
  trail_.Append(entry.term);
  costs_.Append(entry.index, cost);
  uncommitted_.push_back(cost);
  uncommitted_bytes_ += cost;
  cached_bytes_ += cost;
  entries_.push_back(std::move(entry));
}

void Log::TruncateFrom(Index first) {
  BANDB_ASSERT(first > commit_);
  BANDB_ASSERT(first <= last());
  uint64_t removed = 0;
  for (Index i = first; i <= last(); ++i) {
    removed += uncommitted_.back();
    uncommitted_.pop_back();
    if (entries_.empty()) continue;
    cached_bytes_ -= CostBytes(entries_.back());
    entries_.pop_back();
  }
  uncommitted_bytes_ -= removed;
  trail_.TruncateFrom(first);
  BANDB_ASSERT(last() == first - 1);
  costs_.TruncateFrom(first, removed);
  first_cached_ = std::min(first_cached_, first);
  written_ = std::min(written_, first - 1);
  for (size_t i = 0; i < writes_.size(); ++i) writes_[i].covers = std::min(writes_[i].covers, first - 1);
  durable_ = std::min(durable_, first - 1);
}

void Log::CommitTo(Index index) {
  BANDB_ASSERT(index <= last());
  for (; commit_ < index; ++commit_) {
    uncommitted_bytes_ -= uncommitted_.front();
    uncommitted_.pop_front();
  }
}

void Log::HandOutTo(Index index) {
  BANDB_ASSERT(index >= handed_out_);
  BANDB_ASSERT(index <= commit_);
  handed_out_ = index;
}

void Log::SetApplied(Index index) {
  BANDB_ASSERT(index >= applied_);
  BANDB_ASSERT(index <= handed_out_);
  applied_ = index;
}

bool Log::TakeWrite(uint64_t id, Nanos now, LogWrite* write) {
  if (written_ == last()) return false;
  BANDB_ASSERT(written_ + 1 >= first_cached_);
  BANDB_ASSERT(writes_.empty() || writes_.back().id < id);
  write->write = id;
  write->term = last_term();
  write->index = last();
  write->commit = DurableCommit();
  write->entries.clear();
  write->entries.reserve(static_cast<size_t>(last() - written_));
  for (Index i = written_ + 1; i <= last(); ++i) write->entries.push_back(At(i));
  written_ = last();
  writes_.push_back({id, last_term(), last(), last(), now});
  return true;
}

bool Log::Persisted(uint64_t id, Term term, Index index) {
  bool known = false;
  for (size_t i = 0; i < writes_.size() && !known; ++i) {
    known = writes_[i].id == id && writes_[i].term == term && writes_[i].index == index;
  }
  if (!known) return false;
  while (!writes_.empty() && writes_.front().id <= id) {
    durable_ = std::max(durable_, std::min(writes_.front().covers, last()));
    writes_.pop_front();
  }
  return true;
}

uint64_t Log::WriteCovering(Index index) const {
  if (index <= durable_) return 0;
  BANDB_ASSERT(index <= written_);
  for (size_t i = 0; i < writes_.size(); ++i) {
    if (writes_[i].covers >= index) return writes_[i].id;
  }
  BANDB_UNREACHABLE();
}

std::optional<Nanos> Log::OldestWriteSince() const {
  if (writes_.empty()) return std::nullopt;
  return writes_.front().since;
}

void Log::CompactTo(Index index) {
  BANDB_ASSERT(index <= applied_);
  trail_.CompactTo(index);
  costs_.CompactTo(index);
}

void Log::Reset(Index index, Term term) {
  BANDB_ASSERT(index > commit_);
  trail_.Reset(index, term);
  costs_.Reset(index);
  commit_ = durable_ = written_ = applied_ = handed_out_ = index;
  first_cached_ = index + 1;
  entries_.clear();
  uncommitted_.clear();
  writes_.clear();
  cached_bytes_ = uncommitted_bytes_ = 0;
}

void Log::Evict(Index needed_from, uint64_t soft_limit_bytes, uint64_t hard_limit_bytes) {
  const Index settled = std::min(durable_, handed_out_);
  while (!entries_.empty() && first_cached_ <= durable_) {
    const bool unused = first_cached_ <= settled && first_cached_ < needed_from;
    const bool surplus = first_cached_ <= settled && cached_bytes_ > soft_limit_bytes;
    if (!unused && !surplus && cached_bytes_ <= hard_limit_bytes) break;
    cached_bytes_ -= CostBytes(entries_.front());
    entries_.pop_front();
    ++first_cached_;
  }
}

}  // namespace bandb::raft
