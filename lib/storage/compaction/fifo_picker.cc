#include "storage/compaction/fifo_picker.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace bandb::storage {

namespace {

// So large a part of what may be there is joined into one table, which goes at once.
constexpr uint64_t kFewestParts = 8;

bool IsUsers(std::string_view internal_key) {
  return static_cast<uint8_t>(internal_key[0]) >= static_cast<uint8_t>(Space::kUser);
}
bool HoldsSystems(const TablePtr& table) { return !IsUsers(table->info().smallest); }

class FifoPicker {
 public:
  FifoPicker(const SpaceSituation& situation, SpaceOutlook* outlook) : in_(situation), outlook_(outlook) {}

  std::optional<Compaction> PickToForget() {
    uint64_t bytes = 0;
    for (int level = 0; level < kLevels; ++level) bytes += in_.version.LevelBytes(level);
    const uint64_t bytes_max = in_.settings.fifo_bytes_max == 0 ? UINT64_MAX : in_.settings.fifo_bytes_max;
    // The lowest level that users have something in.
    for (int level = kLevels - 1; level >= 0; --level) {
      const std::vector<TablePtr> oldest_first = InOrder(level);
      if (oldest_first.empty()) continue;
      std::vector<TablePtr> due;
      size_t confirmed = 0;
      bool is_held = false;
      for (const TablePtr& table : oldest_first) {
        const bool is_too_much = bytes > bytes_max;
        // One that cannot be read, or whose time has yet to come, is at least as old as the next.
        const bool is_unknown =
            !is_too_much && (in_.running.set_aside.contains(table->info().number) || IsAhead(table));
        if (!is_too_much && !is_unknown && !IsOld(table)) break;
        outlook_->forgets |= !is_unknown;
        // What runs on it ends, and then it is looked at again.
        if (in_.running.tables.contains(table->info().number)) break;
        if (SnapshotSees(table->info())) {
          outlook_->waits_for_snapshot = true;
          if (!is_unknown) break;
          // Whether anything is due is for the first that is known to say.
          is_held = true;
        }
        if (is_held) continue;
        due.push_back(table);
        bytes -= table->info().file_bytes;
        if (!is_unknown) confirmed = due.size();
      }
      BANDB_ASSERT(confirmed <= due.size());
      due.resize(confirmed);
      return due.empty() ? std::nullopt : Forget(level, std::move(due));
    }
    return std::nullopt;
  }

  std::optional<Compaction> PickJoin() {
    const Version::Level& tables = in_.version.level(0);
    uint64_t bytes_max = in_.settings.table_bytes;
    if (in_.settings.fifo_bytes_max != 0) bytes_max = std::min(bytes_max, in_.settings.fifo_bytes_max / kFewestParts);
    for (size_t begin = 0; begin + kSmallTablesMin <= tables.size(); ++begin) {
      uint64_t bytes = 0, largest = 0;
      size_t end = begin;
      while (end < tables.size() && end - begin < kLevel0InputsMax && !in_.running.Holds({tables[end]}) &&
             bytes + tables[end]->info().file_bytes <= bytes_max) {
        bytes += tables[end]->info().file_bytes;
        largest = std::max(largest, tables[end++]->info().file_bytes);
      }
      // None is larger than the others together, so that each byte is joined a logarithmic number
      // of times.
      if (end - begin < kSmallTablesMin || largest > bytes - largest) continue;
      Compaction joined;
      joined.inputs.assign(tables.begin() + static_cast<ptrdiff_t>(begin),
                           tables.begin() + static_cast<ptrdiff_t>(end));
      if (auto complete = CompleteRuns(std::move(joined), in_.running)) return complete;
    }
    return std::nullopt;
  }

 private:
  // Of a level, the tables that hold what users have written.
  std::vector<TablePtr> InOrder(int level) const {
    std::vector<TablePtr> tables;
    std::copy_if(in_.version.level(level).rbegin(), in_.version.level(level).rend(), std::back_inserter(tables),
                 [](const TablePtr& table) { return HoldsUsers(table->info()); });
    if (level == 0) return tables;
    std::sort(tables.begin(), tables.end(), [](const TablePtr& a, const TablePtr& b) {
      return a->info().largest_sequence < b->info().largest_sequence;
    });
    return tables;
  }

  bool SnapshotSees(const TableInfo& info) const {
    return in_.horizon.newest_reader != 0 && in_.horizon.newest_reader >= info.smallest_sequence;
  }

  // It was written while the clock was ahead.
  bool IsAhead(const TablePtr& table) {
    if (in_.settings.fifo_age_max_ms == UINT64_MAX) return false;
    const TableReader* reader = table->ReaderIfOpen();
    if (reader == nullptr || reader->properties().NewestMs() <= in_.now_ms) return false;
    // For when its time has come.
    IsOld(table);
    return true;
  }

  bool IsOld(const TablePtr& table) {
    if (in_.settings.fifo_age_max_ms == UINT64_MAX) return false;
    const TableReader* reader = table->ReaderIfOpen();
    if (reader == nullptr) {
      outlook_->unread.push_back(table);
      return false;
    }
    const uint64_t newest_ms = reader->properties().NewestMs();
    // Every release has recorded it.
    if (newest_ms == 0) return false;
    const uint64_t due_ms = newest_ms + std::min(in_.settings.fifo_age_max_ms, UINT64_MAX - newest_ms);
    if (due_ms <= in_.now_ms) return true;
    outlook_->next_expiry_ms = std::min(outlook_->next_expiry_ms, due_ms);
    return false;
  }

  std::optional<Compaction> Forget(int level, std::vector<TablePtr> due) {
    BANDB_ASSERT(!due.empty());
    Compaction forget;
    forget.level = forget.output_level = level;
    forget.forgets = true;
    const auto first_with_systems = std::find_if(due.begin(), due.end(), HoldsSystems);
    if (first_with_systems == due.end() || (level > 0 && due.size() > 1)) {
      // Of a level below 0, one table has both.
      std::erase_if(due, HoldsSystems);
      forget.is_drop = true;
      forget.inputs = std::move(due);
      return forget;
    }
    if (level > 0) {
      forget.inputs = std::move(due);
    } else {
      const auto is_set_aside = [this](const TablePtr& table) {
        return in_.running.set_aside.contains(table->info().number);
      };
      if (first_with_systems != due.begin() && std::any_of(due.begin(), due.end(), is_set_aside)) {
        // What can go unread goes, and the rest when it is the oldest.
        due.erase(first_with_systems, due.end());
        forget.is_drop = true;
        forget.inputs = std::move(due);
        return forget;
      }
      if (is_set_aside(due.front())) return std::nullopt;
      // With what was left of earlier ones, which is older; up to what is set aside on either side.
      due.resize(std::min(due.size(), kLevel0InputsMax));
      const Version::Level& tables = in_.version.level(0);
      const auto oldest = std::find(tables.begin(), tables.end(), due.front());
      BANDB_ASSERT(oldest != tables.end());
      auto newest = std::find(tables.begin(), oldest, due.back());
      for (auto at = newest; at != oldest; ++at) {
        if (is_set_aside(*at)) newest = at + 1;
      }
      forget.inputs.assign(newest, std::find_if(oldest, tables.end(), is_set_aside));
    }
    BANDB_ASSERT(!forget.inputs.empty());
    return CompleteRuns(std::move(forget), in_.running);
  }

  const SpaceSituation in_;
  SpaceOutlook* const outlook_;
};

}  // namespace

bool HoldsUsers(const TableInfo& info) { return IsUsers(info.largest); }

std::optional<Compaction> PickFifo(const SpaceSituation& situation, SpaceOutlook* outlook) {
  BANDB_ASSERT(situation.settings.style == CompactionStyle::kFifo);
  BANDB_ASSERT(situation.settings.fifo_age_max_ms > 0);
  FifoPicker picker(situation, outlook);
  if (std::optional<Compaction> forget = picker.PickToForget()) return forget;
  return picker.PickJoin();
}

}  // namespace bandb::storage
