#include "storage/compaction/compaction_picker.h"

#include <algorithm>

#include "base/assert.h"
#include "storage/compaction/tiered_picker.h"

namespace bandb::storage {

namespace {

// From one level to the next one, the size grows by this.
constexpr uint64_t kLevelRatio = 10;
// So many tables at a time are rewritten where they are: their space is needed twice meanwhile.
constexpr size_t kRewriteTables = 8;

// The bounds of a set of tables, as internal keys; the largest may be exclusive.
struct Bounds {
  std::string_view smallest;
  std::string_view largest;
};

Bounds BoundsOf(const std::vector<TablePtr>& tables) {
  BANDB_ASSERT(!tables.empty());
  Bounds bounds{tables.front()->info().smallest, tables.front()->info().largest};
  for (const TablePtr& table : tables) {
    if (CompareInternalKeys(table->info().smallest, bounds.smallest) < 0) bounds.smallest = table->info().smallest;
    if (CompareInternalKeys(table->info().largest, bounds.largest) > 0) bounds.largest = table->info().largest;
  }
  return bounds;
}

std::vector<TablePtr> TablesOf(const Compaction& compaction) {
  std::vector<TablePtr> all;
  for (const Compaction::Source& source : compaction.Sources()) {
    all.insert(all.end(), source.tables.begin(), source.tables.end());
  }
  return all;
}

uint64_t BytesOf(const std::vector<TablePtr>& tables) {
  uint64_t bytes = 0;
  for (const TablePtr& table : tables) bytes += table->info().file_bytes;
  return bytes;
}

// Whether all keys of a table come before the bounds. The tables of a level below 0 for which that
// is so come before the others.
bool StandsBefore(const TablePtr& table, const Bounds& bounds) {
  const TableInfo& info = table->info();
  return CompareInternalKeys(info.largest, bounds.smallest) < 0 &&
         !KeyRangesOverlap(info.smallest, info.largest, bounds.smallest, bounds.largest);
}

// The tables of a level that overlap the bounds.
std::vector<TablePtr> OverlappingBounds(const Version& version, int level, const Bounds& bounds) {
  BANDB_ASSERT(level > 0);
  const Version::Level& tables = version.level(level);
  std::vector<TablePtr> overlapping;
  auto at = std::partition_point(tables.begin(), tables.end(),
                                 [&](const TablePtr& table) { return StandsBefore(table, bounds); });
  for (; at != tables.end(); ++at) {
    const TableInfo& info = (*at)->info();
    if (!KeyRangesOverlap(info.smallest, info.largest, bounds.smallest, bounds.largest)) break;
    overlapping.push_back(*at);
  }
  return overlapping;
}

// True if a running compaction may write tables into these bounds of a level.
bool OutputIsTaken(const RunningCompactions& running, int level, const Bounds& bounds) {
  return std::any_of(running.outputs.begin(), running.outputs.end(), [&](const RunningCompactions::Output& output) {
    return output.level == level && KeyRangesOverlap(output.smallest, output.largest, bounds.smallest, bounds.largest);
  });
}

// Where the tables of level 0 begin that are older than any that is set aside: a newer one must not
// get below an older one that stays.
size_t FirstMovableInLevel0(const Version& version, const RunningCompactions& running) {
  size_t first = version.level(0).size();
  while (first > 0 && !running.set_aside.contains(version.level(0)[first - 1]->info().number)) --first;
  return first;
}

bool AnySetAside(const std::vector<TablePtr>& tables, const RunningCompactions& running) {
  return std::any_of(tables.begin(), tables.end(),
                     [&](const TablePtr& table) { return running.set_aside.contains(table->info().number); });
}

// Completes a compaction whose inputs are chosen. Nothing if a running one is in the way.
std::optional<Compaction> Complete(const Version& version, Compaction compaction, const RunningCompactions& running) {
  BANDB_ASSERT(compaction.level < compaction.output_level);
  BANDB_ASSERT(compaction.output_level < kLevels);
  BANDB_ASSERT(!compaction.inputs.empty());
  if (running.Holds(compaction.inputs)) return std::nullopt;
  Bounds bounds = BoundsOf(compaction.inputs);
  compaction.output_inputs = OverlappingBounds(version, compaction.output_level, bounds);
  if (running.Holds(compaction.output_inputs)) return std::nullopt;
  std::vector<TablePtr> all = compaction.inputs;
  all.insert(all.end(), compaction.output_inputs.begin(), compaction.output_inputs.end());
  bounds = BoundsOf(all);
  if (OutputIsTaken(running, compaction.output_level, bounds)) return std::nullopt;
  if (compaction.output_level + 1 < kLevels) {
    compaction.grandparents = OverlappingBounds(version, compaction.output_level + 1, bounds);
  }
  return compaction;
}

std::optional<Compaction> PickLevel0(const Version& version, const CompactionSettings& settings, int base_level,
                                     const RunningCompactions& running) {
  BANDB_ASSERT(base_level >= 1);
  BANDB_ASSERT(base_level < kLevels);
  Compaction compaction;
  compaction.level = 0;
  compaction.output_level = base_level;
  // All of it: a part would have to be closed under overlap, which with random keys is all of it
  // anyway. Only where another style has left very many it is done in parts, the oldest first.
  const Version::Level& tables = version.level(0);
  const size_t inputs_max = std::max(kLevel0InputsMax, static_cast<size_t>(settings.level0_tables) * 8);
  const size_t first =
      std::max(FirstMovableInLevel0(version, running), tables.size() - std::min(tables.size(), inputs_max));
  compaction.inputs.assign(tables.begin() + static_cast<ptrdiff_t>(first), tables.end());
  if (compaction.inputs.empty()) return std::nullopt;
  return Complete(version, std::move(compaction), running);
}

// Merges neighbours of level 0 into one, where they cannot go down: from the newest on, as long as
// the next one is no larger than those before it together, so that each entry is rewritten a
// logarithmic number of times and a logarithmic number of tables stays.
std::optional<Compaction> PickWithinLevel0(const Version& version, const CompactionSettings& settings,
                                           const RunningCompactions& running) {
  const Version::Level& tables = version.level(0);
  const size_t stuck = StuckInLevel0(version, settings, running);
  BANDB_ASSERT(stuck <= tables.size());
  const auto is_taken = [&](const TablePtr& table) {
    return running.tables.contains(table->info().number) || running.set_aside.contains(table->info().number);
  };
  for (size_t begin = 0; begin < stuck; ++begin) {
    size_t end = begin;
    while (end < stuck && !is_taken(tables[end])) ++end;
    if (end - begin >= static_cast<size_t>(settings.level0_tables)) {
      uint64_t bytes = tables[begin]->info().file_bytes;
      size_t merged = begin + 1;
      while (merged < end && tables[merged]->info().file_bytes <= bytes) bytes += tables[merged++]->info().file_bytes;
      if (merged - begin >= 2) {
        Compaction compaction;
        compaction.inputs.assign(tables.begin() + static_cast<ptrdiff_t>(begin),
                                 tables.begin() + static_cast<ptrdiff_t>(merged));
        return compaction;
      }
    }
    begin = end;
  }
  return std::nullopt;
}

// The table whose compaction rewrites least for what it moves down (RocksDB's
// kMinOverlappingRatio). Both levels are walked once, side by side: they may hold tens of thousands
// of tables.
std::optional<Compaction> PickFromLevel(const Version& version, int level, const RunningCompactions& running) {
  struct Candidate {
    uint64_t overlap_bytes_per_kb = 0;
    size_t at = 0;
  };
  // The tables of level 0 overlap, and there is nothing below the last level.
  BANDB_ASSERT(level >= 1);
  BANDB_ASSERT(level + 1 < kLevels);
  const Version::Level& tables = version.level(level);
  const Version::Level& below = version.level(level + 1);
  std::vector<Candidate> candidates;
  size_t first_below = 0;
  for (size_t at = 0; at < tables.size(); ++at) {
    const TableInfo& info = tables[at]->info();
    const Bounds bounds{info.smallest, info.largest};
    while (first_below < below.size() && StandsBefore(below[first_below], bounds)) ++first_below;
    if (running.tables.contains(info.number) || running.set_aside.contains(info.number)) continue;
    uint64_t overlap = 0;
    for (size_t other = first_below; other < below.size(); ++other) {
      const TableInfo& overlapped = below[other]->info();
      if (!KeyRangesOverlap(overlapped.smallest, overlapped.largest, bounds.smallest, bounds.largest)) break;
      overlap += overlapped.file_bytes;
    }
    candidates.push_back({overlap * 1024 / std::max<uint64_t>(info.file_bytes, 1), at});
  }
  // The first one that nothing is in the way of is mostly the first one of all.
  const auto is_worse = [](const Candidate& a, const Candidate& b) {
    return a.overlap_bytes_per_kb != b.overlap_bytes_per_kb ? a.overlap_bytes_per_kb > b.overlap_bytes_per_kb
                                                            : a.at > b.at;
  };
  std::make_heap(candidates.begin(), candidates.end(), is_worse);
  while (!candidates.empty()) {
    Compaction compaction;
    compaction.level = level;
    compaction.output_level = level + 1;
    compaction.inputs = {tables[candidates.front().at]};
    if (auto complete = Complete(version, std::move(compaction), running)) return complete;
    std::pop_heap(candidates.begin(), candidates.end(), is_worse);
    candidates.pop_back();
  }
  return std::nullopt;
}

// True if no two of the tables share a key: those of a level below 0 never do.
bool AreDisjoint(const std::vector<TablePtr>& tables) {
  for (size_t i = 0; i < tables.size(); ++i) {
    for (size_t j = i + 1; j < tables.size(); ++j) {
      const TableInfo& a = tables[i]->info();
      const TableInfo& b = tables[j]->info();
      if (KeyRangesOverlap(a.smallest, a.largest, b.smallest, b.largest)) return false;
    }
  }
  return true;
}

}  // namespace

bool CanMove(const Compaction& compaction, const CompactionSettings& settings) {
  if (settings.recompresses_last_level && compaction.output_level == kLevels - 1) return false;
  if (!compaction.between.empty()) return false;
  return compaction.level != compaction.output_level && compaction.output_inputs.empty() &&
         AreDisjoint(compaction.inputs) &&
         BytesOf(compaction.grandparents) <= kGrandparentTables * settings.table_bytes * compaction.inputs.size();
}

std::optional<Compaction> CompleteInPlace(const Version& version, Compaction compaction,
                                          const RunningCompactions& running) {
  BANDB_ASSERT(compaction.level == compaction.output_level);
  BANDB_ASSERT(compaction.output_inputs.empty());
  if (running.Holds(compaction.inputs)) return std::nullopt;
  // Between neighbours there is nothing but what others are about to put there.
  const Bounds bounds = BoundsOf(compaction.inputs);
  if (OutputIsTaken(running, compaction.level, bounds)) return std::nullopt;
  if (compaction.level + 1 < kLevels) {
    compaction.grandparents = OverlappingBounds(version, compaction.level + 1, bounds);
  }
  return compaction;
}

std::optional<Compaction> CompleteRuns(Compaction compaction, const RunningCompactions& running) {
  const std::vector<TablePtr> all = TablesOf(compaction);
  if (running.Holds(all) || OutputIsTaken(running, compaction.output_level, BoundsOf(all))) return std::nullopt;
  return compaction;
}

std::vector<Compaction::Source> Compaction::Sources() const {
  std::vector<Source> sources;
  sources.push_back({level, inputs});
  sources.insert(sources.end(), between.begin(), between.end());
  if (!output_inputs.empty()) sources.push_back({output_level, output_inputs});
  return sources;
}

uint64_t Compaction::InputBytes() const { return BytesOf(TablesOf(*this)); }

bool RunningCompactions::Holds(const std::vector<TablePtr>& asked) const {
  return std::any_of(asked.begin(), asked.end(), [&](const TablePtr& table) {
    return tables.contains(table->info().number) || set_aside.contains(table->info().number);
  });
}

void RunningCompactions::Add(const Compaction& compaction) {
  const std::vector<TablePtr> all = TablesOf(compaction);
  for (const TablePtr& table : all) {
    const bool added = tables.insert(table->info().number).second;
    BANDB_ASSERT(added);
  }
  const Bounds bounds = BoundsOf(all);
  outputs.push_back({compaction.output_level, std::string(bounds.smallest), std::string(bounds.largest)});
}

void RunningCompactions::Remove(const Compaction& compaction) {
  const std::vector<TablePtr> all = TablesOf(compaction);
  for (const TablePtr& table : all) {
    const bool was_there = tables.erase(table->info().number) == 1;
    BANDB_ASSERT(was_there);
  }
  const Bounds bounds = BoundsOf(all);
  RemoveOutput(compaction.output_level, bounds.smallest, bounds.largest);
}

void RunningCompactions::RemoveOutput(int level, std::string_view smallest, std::string_view largest) {
  const auto at = std::find_if(outputs.begin(), outputs.end(), [&](const Output& output) {
    return output.level == level && output.smallest == smallest && output.largest == largest;
  });
  BANDB_ASSERT(at != outputs.end());
  outputs.erase(at);
}

int LowestLevelFor(const Version& version, const CompactionSettings& settings, const RunningCompactions& running,
                   std::string_view smallest, std::string_view largest) {
  BANDB_ASSERT(CompareInternalKeys(smallest, largest) <= 0);
  // Which of its tables is the oldest, kFifo knows by the order of level 0.
  if (settings.style == CompactionStyle::kFifo) return 0;
  const Bounds bounds{smallest, largest};
  const auto overlaps = [&](const TablePtr& table) {
    return KeyRangesOverlap(table->info().smallest, table->info().largest, smallest, largest);
  };
  const Version::Level& level0 = version.level(0);
  if (std::any_of(level0.begin(), level0.end(), overlaps)) return 0;
  const int last = settings.recompresses_last_level ? kLevels - 2 : kLevels - 1;
  int lowest = 0;
  while (lowest < last && OverlappingBounds(version, lowest + 1, bounds).empty() &&
         !OutputIsTaken(running, lowest + 1, bounds)) {
    ++lowest;
  }
  return lowest;
}

LevelTargets TargetsFor(const Version& version, const CompactionSettings& settings) {
  LevelTargets targets;
  int first = kLevels - 1;
  uint64_t largest_bytes = 0;
  for (int level = kLevels - 1; level >= 1; --level) {
    if (version.level(level).empty()) continue;
    first = level;
    largest_bytes = std::max(largest_bytes, version.LevelBytes(level));
  }
  // An empty database compacts into the last level, and grows upward from there.
  targets.base_level = kLevels - 1;
  uint64_t target = std::max(largest_bytes, settings.level_base_bytes);
  targets.bytes[kLevels - 1] = target;
  for (int level = kLevels - 2; level >= 1; --level) {
    // A level is worth having while the one below is larger than the base size.
    if (target <= settings.level_base_bytes) {
      targets.bytes[static_cast<size_t>(level)] = 0;
      continue;
    }
    target = std::max(target / kLevelRatio, settings.level_base_bytes);
    targets.bytes[static_cast<size_t>(level)] = target;
    targets.base_level = level;
  }
  // Level 0 must never be compacted past data that is older than it.
  targets.base_level = std::min({targets.base_level, first, settings.base_level_max});
  BANDB_ASSERT(targets.base_level >= 1);
  BANDB_ASSERT(targets.base_level < kLevels);
  return targets;
}

uint64_t CompactionDebtBytes(const Version& version, const CompactionSettings& settings) {
  if (settings.style != CompactionStyle::kLevelled) {
    const std::optional<Compaction> next = PickCompaction(version, settings, RunningCompactions());
    return next ? next->InputBytes() : 0;
  }
  const LevelTargets targets = TargetsFor(version, settings);
  uint64_t debt = 0;
  uint64_t arriving = 0;
  if (Level0IsDue(version, settings)) {
    arriving = version.LevelBytes(0);
    debt += arriving + version.LevelBytes(targets.base_level);
  }
  for (int level = 1; level + 1 < kLevels; ++level) {
    const uint64_t bytes = version.LevelBytes(level) + (level == targets.base_level ? arriving : 0);
    const uint64_t target = targets.bytes[static_cast<size_t>(level)];
    if (level >= targets.base_level) arriving = 0;
    if (bytes <= target) continue;
    // What is too much moves down, and is merged with its share of the next level.
    const uint64_t excess = bytes - target;
    debt += excess * (1 + version.LevelBytes(level + 1) / std::max<uint64_t>(bytes, 1));
    arriving = excess;
  }
  return debt;
}

size_t StuckInLevel0(const Version& version, const CompactionSettings& settings, const RunningCompactions& running) {
  if (running.set_aside.empty() || version.level(0).empty()) return 0;
  const size_t first = FirstMovableInLevel0(version, running);
  // Runs are merged with those that they can be merged with.
  if (settings.style != CompactionStyle::kLevelled) return first;
  const std::vector<TablePtr> movable(version.level(0).begin() + static_cast<ptrdiff_t>(first), version.level(0).end());
  if (movable.empty()) return first;
  const int base_level = TargetsFor(version, settings).base_level;
  const bool blocked = AnySetAside(OverlappingBounds(version, base_level, BoundsOf(movable)), running);
  return blocked ? version.level(0).size() : first;
}

std::optional<Compaction> PickCompaction(const Version& version, const CompactionSettings& settings,
                                         const RunningCompactions& running) {
  BANDB_ASSERT(settings.level0_tables > 0);
  BANDB_ASSERT(settings.table_bytes > 0);
  if (settings.style == CompactionStyle::kTiered) return PickTiered(version, settings, running);
  if (settings.style == CompactionStyle::kFifo) return std::nullopt;
  const LevelTargets targets = TargetsFor(version, settings);
  struct Score {
    double value = 0;
    int level = 0;
  };
  std::vector<Score> scores;
  // Once level 0 is due it goes before a level that is a little too large: it is what reads and
  // writers feel.
  if (Level0IsDue(version, settings)) {
    scores.push_back({static_cast<double>(version.level(0).size()) / settings.level0_tables + 1, 0});
  }
  for (int level = 1; level + 1 < kLevels; ++level) {
    const uint64_t bytes = version.LevelBytes(level);
    const uint64_t target = targets.bytes[static_cast<size_t>(level)];
    // A level above the base level should be empty.
    if (bytes == 0 || (target != 0 && bytes <= target)) continue;
    scores.push_back(
        {static_cast<double>(bytes) / static_cast<double>(std::max<uint64_t>(target, settings.table_bytes)), level});
  }
  std::stable_sort(scores.begin(), scores.end(), [](const Score& a, const Score& b) { return a.value > b.value; });
  for (const Score& score : scores) {
    std::optional<Compaction> compaction = score.level == 0 ? PickLevel0(version, settings, targets.base_level, running)
                                                            : PickFromLevel(version, score.level, running);
    if (score.level == 0 && !compaction) compaction = PickWithinLevel0(version, settings, running);
    if (!compaction) continue;
    compaction->is_move = CanMove(*compaction, settings);
    return compaction;
  }
  return std::nullopt;
}

std::optional<Compaction> PickRange(const Version& version, int level, int output_level, std::string_view begin,
                                    std::string_view end, const RunningCompactions& running, bool* blocked) {
  BANDB_ASSERT(level < output_level);
  BANDB_ASSERT(output_level < kLevels);
  *blocked = false;
  Compaction compaction;
  compaction.level = level;
  compaction.output_level = output_level;
  compaction.is_manual = true;
  compaction.inputs = version.Overlapping(level, begin, end);
  if (compaction.inputs.empty()) return std::nullopt;
  // Level 0 overlaps itself: an older table must not stay above a newer one that has moved down.
  if (level == 0) {
    const Version::Level& tables = version.level(0);
    compaction.inputs.assign(tables.end() - static_cast<ptrdiff_t>(std::min(tables.size(), kLevel0InputsMax)),
                             tables.end());
  }
  std::optional<Compaction> complete = Complete(version, std::move(compaction), running);
  *blocked = !complete;
  return complete;
}

std::optional<Compaction> PickRewrite(const Version& version, int level, std::string_view begin, std::string_view end,
                                      uint64_t number_limit, const RunningCompactions& running, bool* blocked) {
  BANDB_ASSERT(level > 0);
  BANDB_ASSERT(level < kLevels);
  *blocked = false;
  Compaction compaction;
  compaction.level = level;
  compaction.output_level = level;
  compaction.is_manual = true;
  for (const TablePtr& table : version.Overlapping(level, begin, end)) {
    const bool is_old = table->info().number < number_limit;
    if (is_old) compaction.inputs.push_back(table);
    if (compaction.inputs.size() == kRewriteTables || (!is_old && !compaction.inputs.empty())) break;
  }
  if (compaction.inputs.empty()) return std::nullopt;
  std::optional<Compaction> complete = CompleteInPlace(version, std::move(compaction), running);
  *blocked = !complete;
  return complete;
}

}  // namespace bandb::storage
