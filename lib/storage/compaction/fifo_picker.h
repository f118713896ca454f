// Decides what is forgotten next, for CompactionStyle::kFifo: a pure function like the space
// picker's.
//
// The order in which tables go keeps every key at its latest value or at none: a table goes only
// when nothing that is older lies under it. So all tables of the lowest level that holds any come
// first (other styles have left them), those of the oldest writes before others; then the next
// level; and those of level 0, where flushes go and stay, from the oldest on. They are dropped as
// they are. But the system keeps entries of its own among those of users, such as the cursors of
// the change feed, which must not be forgotten: a table with some is rewritten without the rest.
//
// Flushes may be small, and each table of level 0 costs every read something: so many small
// neighbours are joined, up to the size of a table, or an eighth of what may be there if that is
// less: a table goes at once.
#ifndef BANDB_STORAGE_COMPACTION_FIFO_PICKER_H_
#define BANDB_STORAGE_COMPACTION_FIFO_PICKER_H_

#include <cstdint>
#include <optional>

#include "storage/compaction/compaction_picker.h"
#include "storage/compaction/space_picker.h"
#include "storage/version/version.h"

namespace bandb::storage {

// Whether there is anything in a table that can be forgotten.
bool HoldsUsers(const TableInfo& info);

// What is to be forgotten now, or joined. Adds to `outlook` when there will be more; the age of a
// table is known once its reader is open.
std::optional<Compaction> PickFifo(const SpaceSituation& situation, SpaceOutlook* outlook);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_COMPACTION_FIFO_PICKER_H_
