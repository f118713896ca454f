// Decides which compaction gives back space that nothing else would: a pure function like the
// picker's, asked when the levels are in shape.
//
// Four kinds of waste, in the order in which they are looked for:
//   * Tables that range tombstones of one table above cover wholly are dropped as they are, unread,
//     unless a snapshot sees something of them that it does not see covered.
//   * What a table holds for a snapshot that is gone, what has expired in it, and what says "gone"
//     where nothing lies below, goes when the table is rewritten where it is.
//   * Deletes and range deletes are merged with what lies below, where that gives back enough of
//     what it rewrites.
//   * Neighbours that are small together become one table.
// A table that was rewritten holds nothing more of that kind, deletes sink a level each time, and
// of small neighbours none is larger than the others together: so there is an end to it, and each
// byte is rewritten a bounded number of times.
//
// Of kFifo only the first kind is looked for, after what is to be forgotten (fifo_picker.h).
#ifndef BANDB_STORAGE_COMPACTION_SPACE_PICKER_H_
#define BANDB_STORAGE_COMPACTION_SPACE_PICKER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "storage/compaction/compaction_picker.h"
#include "storage/compaction/version_keeper.h"
#include "storage/version/version.h"

namespace bandb::storage {

// What there is to gain later.
struct SpaceOutlook {
  // When the next table has expired so far that it is rewritten; UINT64_MAX: none.
  uint64_t next_expiry_ms = UINT64_MAX;
  // There is something that only a snapshot keeps.
  bool waits_for_snapshot = false;
  // Something is to be forgotten, at once or when snapshots let it be.
  bool forgets = false;
  // Tables of which a range delete covers a part that only their index tells, and whose reader is
  // not open: worth another look once it is. Until then they count as not covered.
  std::vector<TablePtr> unread;
};

// What is asked about. `horizon` is of now, `now_ms` as well: snapshots may hold the horizon's time
// back. Lifetime: borrows all of it.
struct SpaceSituation {
  const Version& version;
  const CompactionSettings& settings;
  const RunningCompactions& running;
  const SnapshotHorizon& horizon;
  uint64_t now_ms = 0;
};

// Range tombstones count from the tables whose reader is open. `outlook` is complete when there is
// nothing to pick.
std::optional<Compaction> PickForSpace(const SpaceSituation& situation, SpaceOutlook* outlook);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_COMPACTION_SPACE_PICKER_H_
