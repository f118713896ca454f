#include "sim/log_image.h"

#include "base/assert.h"
#include "raft/types/configuration_codec.h"

namespace bandb::sim {

raft::Term LogImage::TermAt(raft::Index index) const {
  if (index == floor.index) return floor.term;
  if (index < floor.index || index > last()) return 0;
  return entries[index - floor.index - 1].term;
}

void LogImage::Append(const raft::Entries& added, size_t count) {
  if (count == 0) return;
  const raft::Index first = added.front().index;
  BANDB_ASSERT(first > floor.index);
  BANDB_ASSERT(first <= last() + 1);
  while (last() >= first) {
    bytes -= raft::CostBytes(entries.back());
    entries.pop_back();
  }
  for (size_t i = 0; i < count; ++i) {
    bytes += raft::CostBytes(added[i]);
    entries.push_back(added[i]);
  }
}

void LogImage::Compact(raft::Index index) {
  while (floor.index < index && !entries.empty()) {
    const raft::Entry& entry = entries.front();
    floor.index = entry.index;
    floor.term = entry.term;
    if (entry.kind == raft::EntryKind::kConfiguration) {
      const bool valid = raft::DecodeConfiguration(entry.payload.bytes(), &floor.configuration);
      BANDB_ASSERT(valid);
    }
    bytes -= raft::CostBytes(entry);
    entries.pop_front();
  }
}

void LogImage::Reset(const raft::SnapshotMeta& meta) {
  floor = meta;
  entries.clear();
  bytes = 0;
}

}  // namespace bandb::sim
