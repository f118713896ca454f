#include "storage/compaction/space_picker.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "storage/compaction/fifo_picker.h"

namespace bandb::storage {

namespace {

// One part in so many of what is rewritten is to be given back.
constexpr uint64_t kGainedPart = 4;
// So many stretches of deleted keys are measured for one table.
constexpr size_t kFragmentsMax = 256;

bool IsWorthIt(uint64_t gained, uint64_t rewritten) { return gained > 0 && gained >= rewritten / kGainedPart; }

// The range tombstones of a table. Null if it has none, or its reader is not open.
const FragmentedTombstones* TombstonesOf(const LiveTable& table) {
  if (table.info().range_tombstones == 0) return nullptr;
  const TableReader* reader = table.ReaderIfOpen();
  return reader == nullptr || reader->tombstones().empty() ? nullptr : &reader->tombstones();
}

// The fragment at which those over a table begin; fragment_count(): there are none.
size_t FirstOver(const FragmentedTombstones& tombstones, std::string_view smallest) {
  return CompareSpacedKeys(smallest, tombstones.begin(0)) < 0 ? 0 : tombstones.Find(smallest);
}

// Whether all keys that the table may hold are deleted for a reader at `snapshot`, by tombstones
// that are newer than any entry of the table. What is deleted at one snapshot is so at all later
// ones.
bool IsDeleted(const FragmentedTombstones& tombstones, const TableInfo& info, Sequence snapshot) {
  for (size_t at = tombstones.Find(SpacedKey(info.smallest)); at < tombstones.fragment_count(); ++at) {
    if (tombstones.SequenceAt(at, snapshot) <= info.largest_sequence) return false;
    if (EndsBefore(info.largest, tombstones.limit(at))) return true;
  }
  return false;
}

// How much of a table is deleted, roughly, as its index has it. Of one that nobody has read yet it
// is not known, and may be next to nothing: it goes into `unread`.
uint64_t DeletedBytes(const FragmentedTombstones& tombstones, const TablePtr& table, std::vector<TablePtr>* unread) {
  const TableInfo& info = table->info();
  if (IsDeleted(tombstones, info, kSequenceMax)) return info.file_bytes;
  const TableReader* reader = table->ReaderIfOpen();
  const uint64_t trailer = MakeTrailer(kSequenceMax, Kind::kPut);
  uint64_t bytes = 0;
  size_t looked_at = 0;
  for (size_t at = FirstOver(tombstones, SpacedKey(info.smallest)); at < tombstones.fragment_count(); ++at) {
    if (EndsBefore(info.largest, tombstones.begin(at))) break;
    if (tombstones.SequenceAt(at, kSequenceMax) == 0) continue;
    if (reader == nullptr) {
      unread->push_back(table);
      return 0;
    }
    // Where they are very many it is well that they go.
    if (++looked_at > kFragmentsMax) return info.file_bytes / 2;
    const uint64_t from = reader->ApproximateOffset(MakeInternalKey(tombstones.begin(at), trailer));
    const uint64_t to = reader->ApproximateOffset(MakeInternalKey(tombstones.limit(at), trailer));
    bytes += to - std::min(from, to);
  }
  return bytes;
}

class SpacePicker {
 public:
  SpacePicker(const SpaceSituation& situation, SpaceOutlook* outlook) : in_(situation), outlook_(outlook) {}

  std::optional<Compaction> Pick() {
    if (in_.settings.style == CompactionStyle::kFifo) {
      auto forget = PickFifo(in_, outlook_);
      return forget ? forget : PickDrop();
    }
    for (const auto step :
         {&SpacePicker::PickDrop, &SpacePicker::PickRewrites, &SpacePicker::PickSinking, &SpacePicker::PickSmall}) {
      if (std::optional<Compaction> picked = (this->*step)()) return picked;
    }
    return std::nullopt;
  }

 private:
  bool IsBusy(const TablePtr& table) const { return in_.running.Holds({table}); }
  // Whether a snapshot tells entries of these sequences apart: it sees the first and not the last.
  bool SnapshotIn(Sequence first, Sequence last) const {
    const auto at = std::lower_bound(in_.horizon.snapshots.begin(), in_.horizon.snapshots.end(), first);
    return at != in_.horizon.snapshots.end() && *at < last;
  }
  // The oldest snapshot that sees anything of a table; kSequenceMax: none does.
  Sequence OldestReader(const TableInfo& info) const {
    const auto at =
        std::lower_bound(in_.horizon.snapshots.begin(), in_.horizon.snapshots.end(), info.smallest_sequence);
    return at == in_.horizon.snapshots.end() ? kSequenceMax : *at;
  }
  bool HasExpired(const TableInfo& info) {
    if (info.space.expired_at_ms <= in_.horizon.now_ms) return true;
    if (info.space.expired_at_ms <= in_.now_ms) {
      outlook_->waits_for_snapshot = true;
    } else {
      outlook_->next_expiry_ms = std::min(outlook_->next_expiry_ms, info.space.expired_at_ms);
    }
    return false;
  }
  bool NothingBelow(int level, const TableInfo& info) const {
    return !in_.version.HasRangeBelow(level, SpacedKey(info.smallest), std::string(SpacedKey(info.largest)) + '\0');
  }

  std::optional<Compaction> PickDrop() {
    for (int level = 0; level + 1 < kLevels; ++level) {
      const Version::Level& tables = in_.version.level(level);
      for (size_t at = 0; at < tables.size(); ++at) {
        const FragmentedTombstones* tombstones = TombstonesOf(*tables[at]);
        if (tombstones == nullptr) continue;
        if (auto drop = DropCovered(level, at, *tombstones)) return drop;
      }
    }
    return std::nullopt;
  }

  // What the range tombstones of a table cover in older tables, a level at a time.
  std::optional<Compaction> DropCovered(int level, size_t at, const FragmentedTombstones& tombstones) {
    for (int below = level == 0 ? 0 : level + 1; below < kLevels; ++below) {
      std::vector<TablePtr> older;
      if (below == 0) {
        older.assign(in_.version.level(0).begin() + static_cast<ptrdiff_t>(at) + 1, in_.version.level(0).end());
      } else {
        older = in_.version.Overlapping(below, tombstones.begin(0), tombstones.limit(tombstones.fragment_count() - 1));
      }
      Compaction drop;
      drop.level = drop.output_level = below;
      drop.is_drop = true;
      for (const TablePtr& table : older) {
        // Of very many tables hardly any is covered: that is the quicker question.
        if (!IsDeleted(tombstones, table->info(), kSequenceMax) || IsBusy(table)) continue;
        if (IsDeleted(tombstones, table->info(), OldestReader(table->info()))) {
          drop.inputs.push_back(table);
        } else {
          outlook_->waits_for_snapshot = true;
        }
      }
      if (drop.inputs.empty()) continue;
      if (auto complete = CompleteInPlace(in_.version, std::move(drop), in_.running)) return complete;
    }
    return std::nullopt;
  }

  std::optional<Compaction> PickRewrites() {
    for (int level = 1; level < kLevels; ++level) {
      for (const TablePtr& table : in_.version.level(level)) {
        if (!IsWasteful(level, table->info()) || IsBusy(table)) continue;
        Compaction rewrite;
        rewrite.level = rewrite.output_level = level;
        rewrite.inputs = {table};
        if (auto complete = CompleteInPlace(in_.version, std::move(rewrite), in_.running)) return complete;
      }
    }
    return std::nullopt;
  }

  // True if a merge of the table alone gives back enough.
  bool IsWasteful(int level, const TableInfo& info) {
    if (HasExpired(info)) return true;
    if (info.space.hidden + info.deletes + info.range_tombstones == 0) return false;
    const bool says_gone = info.deletes + info.range_tombstones > 0 && NothingBelow(level, info);
    const uint64_t gone = says_gone ? info.deletes : 0;
    // Where nothing lies below, range tombstones are there for a snapshot alone, and with them
    // what they cover.
    const bool holds_ranges = says_gone && info.range_tombstones > 0;
    if (!holds_ranges && !IsWorthIt(info.space.hidden + gone, info.entries)) return false;
    if (!SnapshotIn(0, info.largest_sequence)) return true;
    outlook_->waits_for_snapshot = true;
    return IsWorthIt(info.space.hidden, info.entries) && !SnapshotIn(info.smallest_sequence, info.largest_sequence);
  }

  std::optional<Compaction> PickSinking() {
    bool blocked = false;
    if (!in_.version.level(0).empty()) {
      const int base_level = TargetsFor(in_.version, in_.settings).base_level;
      if (auto sinking = IfWorthIt(PickRange(in_.version, 0, base_level, {}, {}, in_.running, &blocked)))
        return sinking;
    }
    for (int level = 1; level + 1 < kLevels; ++level) {
      for (const TablePtr& table : in_.version.level(level)) {
        const TableInfo& info = table->info();
        if (info.deletes + info.range_tombstones == 0) continue;
        auto picked = PickRange(in_.version, level, level + 1, SpacedKey(info.smallest), SpacedKey(info.largest),
                                in_.running, &blocked);
        if (auto sinking = IfWorthIt(std::move(picked))) return sinking;
      }
    }
    return std::nullopt;
  }

  std::optional<Compaction> IfWorthIt(std::optional<Compaction> sinking) {
    if (!sinking) return std::nullopt;
    sinking->is_manual = false;
    sinking->is_move = CanMove(*sinking, in_.settings);
    // A move costs nothing, and brings what is waste to where it can go.
    const bool worth_it = sinking->is_move
                              ? AnyDense(*sinking)
                              : IsWorthIt(WasteBytes(*sinking) + HiddenBelow(*sinking), sinking->InputBytes());
    if (!worth_it) return std::nullopt;
    Sequence largest = 0;
    for (const TablePtr& table : sinking->inputs) largest = std::max(largest, table->info().largest_sequence);
    if (!SnapshotIn(0, largest)) return sinking;
    outlook_->waits_for_snapshot = true;
    return std::nullopt;
  }

  // Whether one of the inputs holds range deletes, or is waste for a good part.
  bool AnyDense(const Compaction& compaction) {
    return std::any_of(compaction.inputs.begin(), compaction.inputs.end(), [&](const TablePtr& table) {
      const TableInfo& info = table->info();
      return info.range_tombstones > 0 || IsWorthIt(info.deletes + info.space.hidden, info.entries) || HasExpired(info);
    });
  }

  // Of the inputs' own bytes, what the merge does not write again.
  uint64_t WasteBytes(const Compaction& compaction) {
    uint64_t bytes = 0;
    for (const TablePtr& table : compaction.inputs) {
      const TableInfo& info = table->info();
      const bool deletes_go = NothingBelow(compaction.output_level, info);
      uint64_t waste = info.space.hidden + (deletes_go ? info.deletes : 0);
      if (HasExpired(info)) waste = std::max(waste, info.entries / kGainedPart + 1);
      bytes += info.entries == 0 ? (deletes_go ? info.file_bytes : 0)
                                 : info.file_bytes / info.entries * std::min(waste, info.entries);
    }
    return bytes;
  }

  // What deletes and range deletes of the inputs hide in the output level: each delete an entry of
  // middling size.
  uint64_t HiddenBelow(const Compaction& compaction) {
    uint64_t bytes = 0, entries = 0, deletes = 0;
    for (const TablePtr& table : compaction.output_inputs) {
      bytes += table->info().file_bytes;
      entries += table->info().entries;
    }
    for (const TablePtr& table : compaction.inputs) deletes += table->info().deletes;
    uint64_t hidden = bytes / std::max<uint64_t>(entries, 1) * std::min(deletes, entries);
    for (const TablePtr& table : compaction.inputs) {
      const FragmentedTombstones* tombstones = TombstonesOf(*table);
      if (tombstones == nullptr) continue;
      for (const TablePtr& below : compaction.output_inputs) {
        hidden += DeletedBytes(*tombstones, below, &outlook_->unread);
      }
    }
    return std::min(hidden, bytes);
  }

  std::optional<Compaction> PickSmall() {
    for (int level = 1; level < kLevels; ++level) {
      const Version::Level& tables = in_.version.level(level);
      for (size_t begin = 0; begin + kSmallTablesMin <= tables.size(); ++begin) {
        uint64_t bytes = 0, largest = 0;
        size_t end = begin;
        while (end < tables.size() && !IsBusy(tables[end]) &&
               bytes + tables[end]->info().file_bytes <= in_.settings.table_bytes) {
          bytes += tables[end]->info().file_bytes;
          largest = std::max(largest, tables[end++]->info().file_bytes);
        }
        if (end - begin < kSmallTablesMin || largest > bytes - largest) continue;
        Compaction joined;
        joined.level = joined.output_level = level;
        joined.inputs.assign(tables.begin() + static_cast<ptrdiff_t>(begin),
                             tables.begin() + static_cast<ptrdiff_t>(end));
        auto complete = CompleteInPlace(in_.version, std::move(joined), in_.running);
        if (!complete) continue;
        // It would be cut again.
        uint64_t grandparent_bytes = 0;
        for (const TablePtr& table : complete->grandparents) grandparent_bytes += table->info().file_bytes;
        if (grandparent_bytes <= kGrandparentTables * in_.settings.table_bytes) return complete;
      }
    }
    return std::nullopt;
  }

  const SpaceSituation in_;
  SpaceOutlook* const outlook_;
};

}  // namespace

std::optional<Compaction> PickForSpace(const SpaceSituation& situation, SpaceOutlook* outlook) {
  *outlook = SpaceOutlook();
  return SpacePicker(situation, outlook).Pick();
}

}  // namespace bandb::storage
