#include "storage/version/version.h"

#include <algorithm>
#include <iterator>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

namespace {

// A largest bound with the largest trailer comes from the limit of a range tombstone, and no key at
// it belongs to the table.
bool IsExclusive(std::string_view largest) { return TrailerSequence(Trailer(largest)) == kSequenceMax; }

}  // namespace

bool EndsBefore(std::string_view largest, std::string_view spaced_key) {
  const int order = CompareSpacedKeys(SpacedKey(largest), spaced_key);
  return order < 0 || (order == 0 && IsExclusive(largest));
}

bool KeyRangesOverlap(std::string_view a_smallest, std::string_view a_largest, std::string_view b_smallest,
                      std::string_view b_largest) {
  return !EndsBefore(a_largest, SpacedKey(b_smallest)) && !EndsBefore(b_largest, SpacedKey(a_smallest));
}

uint64_t Version::TableCount() const {
  uint64_t count = 0;
  for (const Level& tables : levels_) count += tables.size();
  return count;
}

Version::Level Version::RangeTombstoneTables() const {
  Level all;
  for (const Level& tables : range_tombstone_tables_) all.insert(all.end(), tables.begin(), tables.end());
  return all;
}

size_t Version::FindTable(const Level& tables, std::string_view internal_key) {
  const auto at = std::lower_bound(
      tables.begin(), tables.end(), internal_key,
      [](const TablePtr& table, std::string_view key) { return CompareInternalKeys(table->info().largest, key) < 0; });
  return static_cast<size_t>(at - tables.begin());
}

std::vector<TablePtr> Version::Overlapping(int number, std::string_view begin, std::string_view end) const {
  const Level& tables = level(number);
  const auto stands_before = [&](const TablePtr& table) {
    return !begin.empty() && EndsBefore(table->info().largest, begin);
  };
  const auto stands_after = [&](const TablePtr& table) {
    return !end.empty() && CompareSpacedKeys(end, SpacedKey(table->info().smallest)) < 0;
  };
  std::vector<TablePtr> overlapping;
  if (number == 0) {
    std::copy_if(tables.begin(), tables.end(), std::back_inserter(overlapping),
                 [&](const TablePtr& table) { return !stands_before(table) && !stands_after(table); });
  } else {
    auto at = std::partition_point(tables.begin(), tables.end(), stands_before);
    while (at != tables.end() && !stands_after(*at)) overlapping.push_back(*at++);
  }
  return overlapping;
}

bool Version::HasKeyBelow(int number, std::string_view spaced_key) const {
  for (int below = number + 1; below < kLevels; ++below) {
    const Level& tables = level(below);
    const auto at = std::lower_bound(
        tables.begin(), tables.end(), spaced_key,
        [](const TablePtr& table, std::string_view key) { return EndsBefore(table->info().largest, key); });
    if (at != tables.end() && CompareSpacedKeys(SpacedKey((*at)->info().smallest), spaced_key) <= 0) return true;
  }
  return false;
}

bool Version::HasRangeBelow(int number, std::string_view begin, std::string_view limit) const {
  for (int below = number + 1; below < kLevels; ++below) {
    const Level& tables = level(below);
    const auto at = std::lower_bound(
        tables.begin(), tables.end(), begin,
        [](const TablePtr& table, std::string_view key) { return EndsBefore(table->info().largest, key); });
    if (at != tables.end() && CompareSpacedKeys(SpacedKey((*at)->info().smallest), limit) < 0) return true;
  }
  return false;
}

absl::StatusOr<std::shared_ptr<const Version>> Version::Apply(const VersionEdit& edit,
                                                              const std::vector<TablePtr>& added) const {
  BANDB_ASSERT(edit.added.size() == added.size());
  std::array<Level, kLevels> levels = levels_;
  for (const VersionEdit::DeletedTable& gone : edit.deleted) {
    Level& tables = levels[static_cast<size_t>(gone.level)];
    const auto at = std::find_if(tables.begin(), tables.end(),
                                 [&](const TablePtr& table) { return table->info().number == gone.number; });
    if (at == tables.end()) return NotThere(gone);
    tables.erase(at);
  }
  for (size_t i = 0; i < added.size(); ++i) levels[static_cast<size_t>(edit.added[i].level)].push_back(added[i]);
  return Make(std::move(levels));
}

absl::StatusOr<std::shared_ptr<const Version>> Version::Make(std::array<Level, kLevels> levels) {
  auto made = std::make_shared<Version>();
  made->levels_ = std::move(levels);
  for (int number = 0; number < kLevels; ++number) {
    Level& tables = made->levels_[static_cast<size_t>(number)];
    std::sort(tables.begin(), tables.end(),
              [number](const TablePtr& a, const TablePtr& b) { return StandsFirst(number, *a, *b); });
    for (const TablePtr& table : tables) {
      made->level_bytes_[static_cast<size_t>(number)] += table->info().file_bytes;
      if (table->info().range_tombstones != 0) {
        made->range_tombstone_tables_[static_cast<size_t>(number)].push_back(table);
      }
    }
  }
  BANDB_RETURN_IF_ERROR(made->CheckLevels());
  return std::shared_ptr<const Version>(std::move(made));
}

bool Version::StandsFirst(int level, const LiveTable& a, const LiveTable& b) {
  if (level == 0) return a.info().largest_sequence > b.info().largest_sequence;
  return CompareInternalKeys(a.info().smallest, b.info().smallest) < 0;
}

bool Version::FitsAfter(int level, const LiveTable& before, const LiveTable& after) {
  // Flushes write disjoint ranges of sequences; compactions within level 0 would keep that.
  if (level == 0) return before.info().smallest_sequence > after.info().largest_sequence;
  return CompareInternalKeys(before.info().largest, after.info().smallest) < 0 &&
         EndsBefore(before.info().largest, SpacedKey(after.info().smallest));
}

absl::Status Version::NotThere(const VersionEdit::DeletedTable& gone) {
  return base::Error(absl::StatusCode::kDataLoss, "version edit removes table {} from level {}, where it is not",
                     gone.number, gone.level);
}

absl::Status Version::IsThereTwice(uint64_t number) {
  return base::Error(absl::StatusCode::kDataLoss, "table {} is there twice", number);
}

absl::Status Version::Overlap(int level, const LiveTable& before, const LiveTable& after) {
  return base::Error(absl::StatusCode::kDataLoss, "tables {} and {} of level {} overlap", before.info().number,
                     after.info().number, level);
}

absl::Status Version::CheckLevels() const {
  std::vector<uint64_t> numbers;
  for (const Level& tables : levels_) {
    for (const TablePtr& table : tables) numbers.push_back(table->info().number);
  }
  std::sort(numbers.begin(), numbers.end());
  const auto twice = std::adjacent_find(numbers.begin(), numbers.end());
  if (twice != numbers.end()) return IsThereTwice(*twice);
  for (int number = 0; number < kLevels; ++number) {
    const Level& tables = level(number);
    for (size_t i = 1; i < tables.size(); ++i) {
      if (!FitsAfter(number, *tables[i - 1], *tables[i])) return Overlap(number, *tables[i - 1], *tables[i]);
    }
  }
  return absl::OkStatus();
}

}  // namespace bandb::storage
