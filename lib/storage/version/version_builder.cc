#include "storage/version/version_builder.h"

#include <iterator>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

VersionBuilder::VersionBuilder() {
  for (int level = 0; level < kLevels; ++level) levels_.emplace_back(Order{level});
}

absl::Status VersionBuilder::Apply(const VersionEdit& edit, const std::vector<TablePtr>& added) {
  BANDB_ASSERT(edit.added.size() == added.size());
  for (const VersionEdit::DeletedTable& gone : edit.deleted) {
    const auto at = by_number_.find(gone.number);
    if (at == by_number_.end() || at->second.level != gone.level) return Version::NotThere(gone);
    const size_t erased = levels_[static_cast<size_t>(gone.level)].erase(at->second.table);
    BANDB_ASSERT(erased == 1);
    by_number_.erase(at);
  }
  for (size_t i = 0; i < added.size(); ++i) BANDB_RETURN_IF_ERROR(Add(edit.added[i].level, added[i]));
  return absl::OkStatus();
}

absl::Status VersionBuilder::Add(int level, const TablePtr& table) {
  if (!by_number_.emplace(table->info().number, Place{level, table}).second) {
    return Version::IsThereTwice(table->info().number);
  }
  std::set<TablePtr, Order>& tables = levels_[static_cast<size_t>(level)];
  // Those beside it are enough to look at: all others are apart from these.
  const auto [at, is_new] = tables.insert(table);
  if (!is_new) return Version::Overlap(level, **at, *table);
  if (at != tables.begin() && !Version::FitsAfter(level, **std::prev(at), *table)) {
    return Version::Overlap(level, **std::prev(at), *table);
  }
  const auto next = std::next(at);
  if (next != tables.end() && !Version::FitsAfter(level, *table, **next)) {
    return Version::Overlap(level, *table, **next);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Version>> VersionBuilder::Build() const {
  std::array<Version::Level, kLevels> levels;
  for (size_t level = 0; level < kLevels; ++level) levels[level].assign(levels_[level].begin(), levels_[level].end());
  return Version::Make(std::move(levels));
}

}  // namespace bandb::storage
