#include "storage/read/level_tombstones.h"

#include <algorithm>

#include "storage/key/internal_key.h"
#include "storage/version/version.h"

namespace bandb::storage {

bool LevelTombstones::IsFirstFrom(size_t table, std::string_view spaced_key) const {
  if (table > tables_.size()) return false;
  if (table > 0 && !EndsBefore(tables_[table - 1].largest, spaced_key)) return false;
  return table == tables_.size() || !EndsBefore(tables_[table].largest, spaced_key);
}

Sequence LevelTombstones::CoveringSequence(std::string_view spaced_key, Sequence snapshot) {
  if (!IsFirstFrom(last_, spaced_key)) {
    if (IsFirstFrom(last_ + 1, spaced_key)) {
      ++last_;
    } else if (last_ > 0 && IsFirstFrom(last_ - 1, spaced_key)) {
      --last_;
    } else {
      const auto at = std::partition_point(tables_.begin(), tables_.end(), [spaced_key](const Table& table) {
        return EndsBefore(table.largest, spaced_key);
      });
      last_ = static_cast<size_t>(at - tables_.begin());
    }
  }
  if (last_ == tables_.size()) return 0;
  const Table& table = tables_[last_];
  if (CompareSpacedKeys(spaced_key, SpacedKey(table.smallest)) < 0) return 0;
  return table.tombstones->CoveringSequence(spaced_key, snapshot);
}

}  // namespace bandb::storage
