// LogIndex: where each entry of the log is, and what a segment's head and a restart must know of
// the log besides.
#ifndef BANDB_CLUSTER_LOG_INDEX_H_
#define BANDB_CLUSTER_LOG_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "raft/restart.h"
#include "raft/types/configuration.h"
#include "raft/types/durable_state.h"
#include "raft/types/entry.h"

namespace bandb::cluster {

// A record of an entry.
struct EntryPlace {
  uint64_t segment = 0;
  uint64_t offset = 0;  // of the segment's stream
  uint32_t record_bytes = 0;
  uint32_t payload_bytes = 0;
  raft::Term term = 0;
};

// Thread safety: one thread at a time. Memory: about 40 bytes for each entry after the floor.
class LogIndex {
 public:
  const raft::SnapshotMeta& floor() const { return floor_; }
  raft::Index last() const { return floor_.index + places_.size(); }
  // Empty below the floor and after the end.
  std::optional<raft::Term> TermAt(raft::Index index) const;
  // Null unless the log holds this entry.
  const EntryPlace* Find(raft::Index index) const;
  // The one in force at the end of the log.
  const raft::Configuration& configuration() const;

  // The log is empty after `floor`.
  void Reset(raft::SnapshotMeta floor);
  // What comes after `index`, which is not below the floor, is void.
  void TruncateAfter(raft::Index index);
  // The entry after the last one.
  void Append(const EntryPlace& place) { places_.push_back(place); }
  // The entry that was appended last brought it.
  void AppendConfiguration(raft::Configuration configuration);
  // The log begins after `index`, which is between floor and end.
  void Compact(raft::Index index);

  // Errors: kDataLoss: the terms of the log go back, or a configuration is not in its place.
  absl::StatusOr<raft::Restart> MakeRestart(const raft::HardState& hard_state, raft::Index applied) const;

 private:
  raft::SnapshotMeta floor_;
  std::deque<EntryPlace> places_;
  // Of entries after the floor, in order.
  std::vector<raft::Configuration> configurations_;
};

// What one segment adds to the log.
struct SegmentSpan {
  uint64_t number = 0;
  raft::SnapshotMeta previous{};  // where the log was at its begin
  // The smallest index of an entry that was written in it.
  raft::Index lowest_index = UINT64_MAX;
};

// Which segments the log may begin with, in their order: such a one and those after it have written
// no entry at or below the place where the log was, and none of those went on from before it.
std::vector<size_t> FindBeginnings(const std::vector<SegmentSpan>& segments);

// The last of them that begins no later than after `bound`; the size of `segments` if there is
// none.
size_t FindFirstSegment(const std::vector<SegmentSpan>& segments, raft::Index bound);

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_LOG_INDEX_H_
