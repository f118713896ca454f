// A version: the tables that the database consists of at one moment, level by level.
//
// Level 0 holds what flushes wrote, newest first, and its tables overlap. Each level below holds
// tables that do not overlap, in the order of their keys, and newer versions of a key are in
// upper levels. A version never changes.
#ifndef BANDB_STORAGE_VERSION_VERSION_H_
#define BANDB_STORAGE_VERSION_VERSION_H_

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "storage/version/live_table.h"
#include "storage/version/version_edit.h"

namespace bandb::storage {

// True if the two key ranges share a key: the bounds are internal keys, and a largest may be
// exclusive.
bool KeyRangesOverlap(std::string_view a_smallest, std::string_view a_largest, std::string_view b_smallest,
                      std::string_view b_largest);

// True if the range [.., largest] of a table ends before the spaced key.
bool EndsBefore(std::string_view largest, std::string_view spaced_key);

class Version {
 public:
  using Level = std::vector<TablePtr>;

  Version() = default;
  const Level& level(int number) const { return levels_[static_cast<size_t>(number)]; }
  uint64_t LevelBytes(int number) const { return level_bytes_[static_cast<size_t>(number)]; }
  uint64_t TableCount() const;
  // The tables that hold range tombstones.
  Level RangeTombstoneTables() const;
  // The same of a level, in its order.
  const Level& RangeTombstoneTables(int level) const { return range_tombstone_tables_[static_cast<size_t>(level)]; }

  // The first table of a level below 0 whose largest key is at or after the internal key;
  // level.size() if there is none.
  static size_t FindTable(const Level& level, std::string_view internal_key);
  // The tables of a level that may hold spaced keys of [begin, end], both included; an empty view
  // leaves that end open.
  std::vector<TablePtr> Overlapping(int level, std::string_view begin, std::string_view end) const;
  // True if a table of a level below `level` may hold the spaced key.
  bool HasKeyBelow(int level, std::string_view spaced_key) const;
  // The same for any key of [begin, limit).
  bool HasRangeBelow(int level, std::string_view begin, std::string_view limit) const;

  // The version that `edit` makes of this one; `added` are the tables of edit.added, in their
  // order.
  // Errors: kDataLoss the edit does not fit: a table that is not there is deleted, a table is there
  // twice, or the tables of a level overlap.
  absl::StatusOr<std::shared_ptr<const Version>> Apply(const VersionEdit& edit,
                                                       const std::vector<TablePtr>& added) const;
  // Errors: kDataLoss a table is there twice, or the tables of a level overlap.
  absl::Status CheckLevels() const;

  // For those that make versions. Of these tables of each level, in any order. Errors: as
  // CheckLevels.
  static absl::StatusOr<std::shared_ptr<const Version>> Make(std::array<Level, kLevels> levels);
  // Whether `a` comes before `b` in the order of the level.
  static bool StandsFirst(int level, const LiveTable& a, const LiveTable& b);
  // Whether `after` may come right after `before` there: they do not overlap.
  static bool FitsAfter(int level, const LiveTable& before, const LiveTable& after);
  // The errors of an edit that does not fit.
  static absl::Status NotThere(const VersionEdit::DeletedTable& gone);
  static absl::Status IsThereTwice(uint64_t number);
  static absl::Status Overlap(int level, const LiveTable& before, const LiveTable& after);

 private:
  std::array<Level, kLevels> levels_;
  std::array<uint64_t, kLevels> level_bytes_{};
  std::array<Level, kLevels> range_tombstone_tables_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_VERSION_VERSION_H_
