// Decides which sorted runs to merge next: a pure function, for CompactionStyle::kTiered.
//
// A table of level 0 is a run, and so is each level below it that holds tables; from the top down
// they are in the order of their age. Neighbours are merged into one run, which goes into the
// lowest level that is free above the next older run, or into level 0 as one table. (The universal
// compaction of RocksDB, from the size-tiered one of Bigtable.) The reasons, in this order:
//   space  all but the oldest run hold more than kNewerBytesMax times as much as the oldest: all
//          are merged, so that what they overwrite and delete goes
//   size   level0_tables or more neighbours are of about one size: so each byte is rewritten a
//          logarithmic number of times
//   count  there are kRunsOfEach times level0_tables runs: those neighbours are merged that are the
//          most alike, as many as are too many
// A run with a table that is set aside stays where it is, and the runs on both sides of it are
// merged apart from each other.
#ifndef BANDB_STORAGE_COMPACTION_TIERED_PICKER_H_
#define BANDB_STORAGE_COMPACTION_TIERED_PICKER_H_

#include <cstdint>
#include <optional>

#include "storage/compaction/compaction_picker.h"
#include "storage/version/version.h"

namespace bandb::storage {

// The bound on space: newer runs hold at most so many times what the oldest does, at rest.
inline constexpr uint64_t kNewerBytesMax = 2;
// The bound on what reads look into: fewer runs than so many times level0_tables, at rest.
inline constexpr size_t kRunsOfEach = 3;

// The most pressing compaction that can run beside the running ones.
std::optional<Compaction> PickTiered(const Version& version, const CompactionSettings& settings,
                                     const RunningCompactions& running);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_COMPACTION_TIERED_PICKER_H_
