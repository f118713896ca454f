#include "cluster/log_index.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "raft/types/configuration_codec.h"

namespace bandb::cluster {

std::optional<raft::Term> LogIndex::TermAt(raft::Index index) const {
  if (index == floor_.index) return floor_.term;
  const EntryPlace* const place = Find(index);
  return place == nullptr ? std::nullopt : std::optional(place->term);
}

const EntryPlace* LogIndex::Find(raft::Index index) const {
  if (index <= floor_.index || index > last()) return nullptr;
  return &places_[index - floor_.index - 1];
}

const raft::Configuration& LogIndex::configuration() const {
  return configurations_.empty() ? floor_.configuration : configurations_.back();
}

void LogIndex::Reset(raft::SnapshotMeta floor) {
  floor_ = std::move(floor);
  places_.clear();
  configurations_.clear();
}

void LogIndex::TruncateAfter(raft::Index index) {
  BANDB_ASSERT(index >= floor_.index);
  if (index >= last()) return;
  places_.resize(index - floor_.index);
  while (!configurations_.empty() && configurations_.back().index > index) configurations_.pop_back();
}

void LogIndex::AppendConfiguration(raft::Configuration configuration) {
  BANDB_ASSERT(configuration.index == last());
  BANDB_ASSERT(!places_.empty());
  configurations_.push_back(std::move(configuration));
}

void LogIndex::Compact(raft::Index index) {
  BANDB_ASSERT(index >= floor_.index);
  BANDB_ASSERT(index <= last());
  if (index == floor_.index) return;
  floor_.term = *TermAt(index);
  places_.erase(places_.begin(), places_.begin() + static_cast<ptrdiff_t>(index - floor_.index));
  floor_.index = index;
  floor_.id = 0;
  size_t covered = 0;
  while (covered < configurations_.size() && configurations_[covered].index <= index) ++covered;
  if (covered == 0) return;
  floor_.configuration = std::move(configurations_[covered - 1]);
  configurations_.erase(configurations_.begin(), configurations_.begin() + static_cast<ptrdiff_t>(covered));
}

absl::StatusOr<raft::Restart> LogIndex::MakeRestart(const raft::HardState& hard_state, raft::Index applied) const {
  raft::Restart restart;
  restart.hard_state = hard_state;
  restart.floor = floor_;
  restart.applied = applied;
  // Of what an entry holds, a restart asks for the size alone, and for configurations.
  uint32_t bytes_max = 0;
  for (const EntryPlace& place : places_) bytes_max = std::max(bytes_max, place.payload_bytes);
  const raft::Payload any(std::string(bytes_max, '\0'));
  auto configuration = configurations_.begin();
  raft::Index index = floor_.index;
  for (const EntryPlace& place : places_) {
    raft::Entry entry{.term = place.term, .index = ++index, .payload = any.Slice(0, place.payload_bytes)};
    if (configuration != configurations_.end() && configuration->index == index) {
      std::string encoded;
      raft::EncodeConfiguration(*configuration++, &encoded);
      entry.kind = raft::EntryKind::kConfiguration;
      entry.payload = raft::Payload(encoded);
    }
    BANDB_RETURN_IF_ERROR(restart.AddEntry(entry));
  }
  return restart;
}

std::vector<size_t> FindBeginnings(const std::vector<SegmentSpan>& segments) {
  std::vector<size_t> beginnings;
  raft::Index lowest_index = UINT64_MAX;
  for (size_t i = segments.size(); i-- > 0;) {
    const raft::Index previous = segments[i].previous.index;
    lowest_index = std::min(lowest_index, segments[i].lowest_index);
    if (lowest_index > previous) beginnings.push_back(i);
    lowest_index = std::min(lowest_index, previous + 1);
  }
  std::reverse(beginnings.begin(), beginnings.end());
  return beginnings;
}

size_t FindFirstSegment(const std::vector<SegmentSpan>& segments, raft::Index bound) {
  size_t first = segments.size();
  for (const size_t i : FindBeginnings(segments)) {
    if (segments[i].previous.index <= bound) first = i;
  }
  return first;
}

}  // namespace bandb::cluster
