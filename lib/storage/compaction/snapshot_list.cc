#include "storage/compaction/snapshot_list.h"

#include <algorithm>

#include "base/assert.h"

namespace bandb::storage {

DbSnapshot::DbSnapshot(std::shared_ptr<SnapshotList> list, uint64_t generation,
                       const std::atomic<Sequence>& last_sequence, const std::function<uint64_t()>& now_ms)
    : SnapshotState(list.get()),
      list_(std::move(list)),
      generation_(generation),
      place_(list_->Add(last_sequence, now_ms)) {}

DbSnapshot::~DbSnapshot() { list_->Remove(place_); }

SnapshotHorizon SnapshotList::Horizon(uint64_t now_ms) const {
  SnapshotHorizon horizon{.snapshots = {}, .now_ms = now_ms};
  base::MutexLock lock(&mutex_);
  if (!readers_.empty()) horizon.newest_reader = *readers_.rbegin();
  for (const auto& [sequence, snapshot_now_ms] : live_) {
    if (horizon.snapshots.empty() || horizon.snapshots.back() != sequence) horizon.snapshots.push_back(sequence);
    horizon.now_ms = std::min(horizon.now_ms, snapshot_now_ms);
  }
  return horizon;
}

uint64_t SnapshotList::Count() const {
  base::MutexLock lock(&mutex_);
  return live_.size();
}

Sequence SnapshotList::Oldest() const {
  base::MutexLock lock(&mutex_);
  return live_.empty() ? 0 : live_.begin()->first;
}

bool SnapshotList::BeginForgetting(Sequence first) {
  base::MutexLock lock(&mutex_);
  if (!readers_.empty() && *readers_.rbegin() >= first) return false;
  ++forgetting_;
  return true;
}

void SnapshotList::EndForgetting() {
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(forgetting_ > 0);
  --forgetting_;
}

void SnapshotList::SetForgettingDue(bool due) {
  base::MutexLock lock(&mutex_);
  forgetting_due_ = due;
}

SnapshotPlace SnapshotList::Add(const std::atomic<Sequence>& last_sequence, const std::function<uint64_t()>& now_ms) {
  base::MutexLock lock(&mutex_);
  const Moment moment = PresentMoment(last_sequence, now_ms);
  const SnapshotPlace place{{moment.sequence, moment.now_ms}, forgetting_due_ || forgetting_ != 0};
  live_.insert(place.at);
  if (!place.amid_forgetting) readers_.insert(place.at.first);
  return place;
}

void SnapshotList::Remove(const SnapshotPlace& place) {
  {
    base::MutexLock lock(&mutex_);
    const auto at = live_.find(place.at);
    BANDB_ASSERT(at != live_.end());
    live_.erase(at);
    if (!place.amid_forgetting) readers_.erase(readers_.find(place.at.first));
  }
  if (released_) released_();
}

}  // namespace bandb::storage
