// Decides what to compact next: a pure function of the version, the settings and what is already
// being compacted.
//
// Levelled compaction with level sizes derived from the last level upward (RocksDB's
// level_compaction_dynamic_level_bytes): the last level that holds data may be as large as it is,
// each level above a tenth of the one below, and levels that would be smaller than the base size
// stay empty, so that level 0 is compacted into the first level that is worth having. Space
// amplification stays near 1.1 whatever the size of the database. The other styles have pickers of
// their own, tiered_picker.h and fifo_picker.h.
#ifndef BANDB_STORAGE_COMPACTION_COMPACTION_PICKER_H_
#define BANDB_STORAGE_COMPACTION_COMPACTION_PICKER_H_

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bandb/options.h"
#include "storage/version/version.h"

namespace bandb::storage {

struct CompactionSettings {
  int level0_tables = 4;
  uint64_t level_base_bytes = 256 << 20;
  uint64_t table_bytes = 32 << 20;
  // Level 0 is compacted into no level below this one, for a table there is set aside.
  int base_level_max = kLevels - 1;
  CompactionStyle style = CompactionStyle::kLevelled;
  // Of kFifo; 0 and UINT64_MAX: no such bound.
  uint64_t fifo_bytes_max = 0;
  uint64_t fifo_age_max_ms = UINT64_MAX;
  // The last level is compressed in another way, so that nothing is moved there.
  bool recompresses_last_level = false;
};

// A table may overlap so many tables' worth of the level after next: more would make its own
// compaction expensive. Outputs are cut there, and a table that would overlap more is merged rather
// than moved.
inline constexpr uint64_t kGrandparentTables = 10;

// Small tables are joined once so many are neighbours.
inline constexpr size_t kSmallTablesMin = 8;
// So many tables of level 0 at the most are merged at a time, where there are very many.
inline constexpr size_t kLevel0InputsMax = 64;

// Tables that are to be merged into others.
struct Compaction {
  // Tables of a level that it reads.
  struct Source {
    int level = 0;
    std::vector<TablePtr> tables;
  };

  int level = 0;
  int output_level = 0;
  // Newest first for level 0, else in key order.
  std::vector<TablePtr> inputs;
  // All tables of levels between the two, from the uppermost down: of kTiered.
  std::vector<Source> between;
  // Those of the output level that overlap the inputs, in key order.
  std::vector<TablePtr> output_inputs;
  // Those of the level below the output that overlap, in key order: outputs are cut where they
  // would overlap too many.
  std::vector<TablePtr> grandparents;
  // The inputs move down as they are.
  bool is_move = false;
  // The inputs are of no use to anybody any more; level and output_level are the same.
  bool is_drop = false;
  // Part of a CompactRange: rewrites even where a move would do.
  bool is_manual = false;
  // Of kFifo: what users have written into the inputs is forgotten, so that no snapshot may see it.
  // If it is no drop, what the system has written there is kept.
  bool forgets = false;

  // All that it reads, from the newest down.
  std::vector<Source> Sources() const;
  uint64_t InputBytes() const;
  bool Rewrites() const { return !is_move && !is_drop; }
};

// What no compaction may touch: the tables of those that are running, the ranges that these will
// write, and the tables that are set aside, since they are damaged or cannot be read.
struct RunningCompactions {
  std::set<uint64_t> tables;
  std::set<uint64_t> set_aside;
  struct Output {
    int level = 0;
    std::string smallest;
    std::string largest;
  };
  std::vector<Output> outputs;

  bool Holds(const std::vector<TablePtr>& tables_asked) const;
  void Add(const Compaction& compaction);
  void Remove(const Compaction& compaction);
  void RemoveOutput(int level, std::string_view smallest, std::string_view largest);
};

// What the levels should be.
struct LevelTargets {
  int base_level = 1;  // level 0 is compacted into it
  std::array<uint64_t, kLevels> bytes{};
};
LevelTargets TargetsFor(const Version& version, const CompactionSettings& settings);

// True once level 0 holds so many tables that it is to be compacted.
inline bool Level0IsDue(const Version& version, const CompactionSettings& settings) {
  return version.level(0).size() >= static_cast<size_t>(settings.level0_tables);
}

// What compactions have still to rewrite until every level has its target size; level 0 counts from
// its trigger on. Of kTiered, what they will rewrite next.
uint64_t CompactionDebtBytes(const Version& version, const CompactionSettings& settings);

// How many tables of level 0 no compaction can take out of it, since one that is set aside is in
// the way: on them writers need not wait.
size_t StuckInLevel0(const Version& version, const CompactionSettings& settings, const RunningCompactions& running);

// The lowest level into which tables within these bounds can be put as they are, though what they
// hold is newer than all there is: no table of a level down to it overlaps the bounds, and nothing
// that is being written there. 0 if there is no lower one.
int LowestLevelFor(const Version& version, const CompactionSettings& settings, const RunningCompactions& running,
                   std::string_view smallest, std::string_view largest);

// The most pressing compaction that can run beside the running ones, in the settings' style; none
// for kFifo (fifo_picker.h). Where level 0 cannot be compacted downward, its tables are merged
// among themselves.
std::optional<Compaction> PickCompaction(const Version& version, const CompactionSettings& settings,
                                         const RunningCompactions& running);

// A compaction of what `level` holds of spaced keys [begin, end] (empty: unbounded) into
// `output_level`, which is below it; of very many tables of level 0 the oldest, more than these are
// left for another one. Nothing if there is nothing to do; `blocked` is set if a
// running compaction is in the way.
std::optional<Compaction> PickRange(const Version& version, int level, int output_level, std::string_view begin,
                                    std::string_view end, const RunningCompactions& running, bool* blocked);

// Completes a compaction of neighbours within a level, whose inputs are chosen. Nothing if a
// running one is in the way.
std::optional<Compaction> CompleteInPlace(const Version& version, Compaction compaction,
                                          const RunningCompactions& running);

// The same for one of any sources, all of whose other members are chosen: each holds all tables of
// its level, or neighbours of level 0.
std::optional<Compaction> CompleteRuns(Compaction compaction, const RunningCompactions& running);

// Whether moving the inputs down as they are does as well as merging them.
bool CanMove(const Compaction& compaction, const CompactionSettings& settings);

// The next tables of `level` with spaced keys of [begin, end] to be rewritten where they are:
// some neighbours with numbers below `number_limit`, those from there on being new. Nothing if
// there are none; `blocked` as above.
std::optional<Compaction> PickRewrite(const Version& version, int level, std::string_view begin, std::string_view end,
                                      uint64_t number_limit, const RunningCompactions& running, bool* blocked);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_COMPACTION_COMPACTION_PICKER_H_
