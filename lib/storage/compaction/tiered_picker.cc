#include "storage/compaction/tiered_picker.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace bandb::storage {

namespace {

struct SortedRun {
  int level = 0;
  // Null for a level below 0, all of which is the run.
  TablePtr table;
  uint64_t bytes = 0;
  bool is_running = false;
  bool is_aside = false;

  bool IsFree() const { return !is_running && !is_aside; }
};

class TieredPicker {
 public:
  TieredPicker(const Version& version, const CompactionSettings& settings, const RunningCompactions& running)
      : version_(version), settings_(settings), running_(running) {
    for (const TablePtr& table : version.level(0)) {
      runs_.push_back({.level = 0, .table = table, .bytes = table->info().file_bytes});
      Mark(&runs_.back(), {table});
    }
    for (int level = 1; level < kLevels; ++level) {
      if (version.level(level).empty()) continue;
      runs_.push_back({.level = level, .table = nullptr, .bytes = version.LevelBytes(level)});
      Mark(&runs_.back(), version.level(level));
    }
  }

  std::optional<Compaction> Pick() {
    for (size_t begin = 0; begin < runs_.size();) {
      size_t end = begin;
      while (end < runs_.size() && !runs_[end].is_aside) ++end;
      if (end - begin >= 2) {
        if (std::optional<Compaction> picked = PickWithin(begin, end)) return picked;
      }
      begin = end + 1;
    }
    return std::nullopt;
  }

 private:
  void Mark(SortedRun* run, const Version::Level& tables) const {
    if (running_.tables.empty() && running_.set_aside.empty()) return;
    for (const TablePtr& table : tables) {
      run->is_running |= running_.tables.contains(table->info().number);
      run->is_aside |= running_.set_aside.contains(table->info().number);
    }
  }

  uint64_t BytesIn(size_t begin, size_t end) const {
    uint64_t bytes = 0;
    for (size_t at = begin; at < end; ++at) bytes += runs_[at].bytes;
    return bytes;
  }
  // Where the free runs end that begin here.
  size_t FreeUntil(size_t begin, size_t end) const {
    size_t at = begin;
    while (at < end && runs_[at].IsFree()) ++at;
    return at;
  }
  static bool IsTooLarge(uint64_t newer_bytes, uint64_t oldest_bytes) {
    return newer_bytes > kNewerBytesMax * oldest_bytes;
  }

  // Among runs none of which is set aside.
  std::optional<Compaction> PickWithin(size_t begin, size_t end) {
    const SortedRun& oldest = runs_[end - 1];
    if (IsTooLarge(BytesIn(begin, end - 1), oldest.bytes) && oldest.IsFree()) {
      size_t first = end - 1;
      while (first > begin && runs_[first - 1].IsFree()) --first;
      // What runs among the newer ones ends, and then all can be merged.
      if (!IsTooLarge(BytesIn(first, end - 1), oldest.bytes)) return std::nullopt;
      return Merge(first, end);
    }
    if (auto picked = PickBySize(begin, end)) return picked;
    // What is being merged will be one run.
    size_t count = 0;
    for (size_t at = begin; at < end; ++at) {
      if (at == begin || runs_[at].IsFree() || runs_[at - 1].IsFree()) ++count;
    }
    const size_t limit = kRunsOfEach * static_cast<size_t>(settings_.level0_tables);
    return count < limit ? std::nullopt : PickByCount(begin, end, count - limit + 2);
  }

  // The newest neighbours of which each is no more than twice as large as those before it are on
  // the average.
  std::optional<Compaction> PickBySize(size_t begin, size_t end) {
    const auto wanted = std::max<size_t>(static_cast<size_t>(settings_.level0_tables), 2);
    for (size_t first = begin; first < end; ++first) {
      const size_t free_end = FreeUntil(first, end);
      uint64_t bytes = runs_[first].bytes;
      size_t last = first + 1;
      while (last < free_end && runs_[last].bytes * (last - first) <= 2 * bytes) bytes += runs_[last++].bytes;
      if (last - first < wanted) continue;
      if (auto picked = Merge(first, last)) return picked;
    }
    return std::nullopt;
  }

  // The newest neighbours of which the largest is the smallest part.
  std::optional<Compaction> PickByCount(size_t begin, size_t end, size_t wanted) {
    double least_part = 2;
    size_t best = end;
    for (size_t first = begin; first + wanted <= end; ++first) {
      if (FreeUntil(first, first + wanted) != first + wanted) continue;
      uint64_t largest = 0;
      for (size_t at = first; at < first + wanted; ++at) largest = std::max(largest, runs_[at].bytes);
      const double part =
          static_cast<double>(largest) / static_cast<double>(std::max<uint64_t>(BytesIn(first, first + wanted), 1));
      if (part >= least_part) continue;
      least_part = part;
      best = first;
    }
    return best == end ? std::nullopt : Merge(best, best + wanted);
  }

  // Of runs that are free. Where they are very many, of the oldest among them.
  std::optional<Compaction> Merge(size_t begin, size_t end) {
    begin = std::max(begin, end - std::min(end, kLevel0InputsMax));
    BANDB_ASSERT(end - begin >= 2);
    Compaction merge;
    merge.level = runs_[begin].level;
    merge.output_level = end == runs_.size() ? kLevels - 1 : std::max(runs_[end].level - 1, 0);
    BANDB_ASSERT(merge.output_level >= runs_[end - 1].level);
    for (size_t at = begin; at < end; ++at) {
      const SortedRun& run = runs_[at];
      if (run.level == 0) {
        merge.inputs.push_back(run.table);
      } else if (run.level == merge.level) {
        merge.inputs = version_.level(run.level);
      } else if (run.level == merge.output_level) {
        merge.output_inputs = version_.level(run.level);
      } else {
        merge.between.push_back({run.level, version_.level(run.level)});
      }
    }
    std::optional<Compaction> complete = CompleteRuns(std::move(merge), running_);
    if (complete) complete->is_move = complete->level == 0 && CanMove(*complete, settings_);
    return complete;
  }

  const Version& version_;
  const CompactionSettings& settings_;
  const RunningCompactions& running_;
  // The newest first.
  std::vector<SortedRun> runs_;
};

}  // namespace

std::optional<Compaction> PickTiered(const Version& version, const CompactionSettings& settings,
                                     const RunningCompactions& running) {
  BANDB_ASSERT(settings.level0_tables > 0);
  BANDB_ASSERT(settings.style == CompactionStyle::kTiered);
  return TieredPicker(version, settings, running).Pick();
}

}  // namespace bandb::storage
