// LogImage: the contents of a log at one moment, as pure data. What a disk holds, or what it will
// hold.
#ifndef BANDB_TEST_SIM_LOG_IMAGE_H_
#define BANDB_TEST_SIM_LOG_IMAGE_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "raft/types/durable_state.h"
#include "raft/types/entry.h"

namespace bandb::sim {

struct LogImage {
  raft::HardState hard_state;
  // The log begins after this; its configuration is the one in force there.
  raft::SnapshotMeta floor;
  std::deque<raft::Entry> entries;
  uint64_t bytes = 0;

  raft::Index last() const { return floor.index + entries.size(); }
  // 0 where there is no entry.
  raft::Term TermAt(raft::Index index) const;
  // The first `count` of `added` take their places; all that was there or after is void.
  void Append(const raft::Entries& added, size_t count);
  // Drops entries up to `index`.
  void Compact(raft::Index index);
  // Empty, after `meta`.
  void Reset(const raft::SnapshotMeta& meta);
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_LOG_IMAGE_H_
