// Decides which background work comes next: a pure part, told what there is and what has ended,
// with no thread or file.
//
// A flush goes first, one at a time. A CompactRange waits for the compactions that run when its
// turn comes, for they don't know which snapshots have gone since they began; then it goes down
// level by level and at last rewrites what was in the last level before. Between its compactions,
// and beside them, run those that the picker wants; they begin no more while a CompactRange waits.
// With nothing else to do, what is waste is given back, one compaction at a time; so is what kFifo
// forgets, which has no other compactions.
#ifndef BANDB_STORAGE_COMPACTION_COMPACTION_SCHEDULE_H_
#define BANDB_STORAGE_COMPACTION_COMPACTION_SCHEDULE_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "storage/compaction/compaction_picker.h"
#include "storage/compaction/space_picker.h"
#include "storage/compaction/write_pressure.h"
#include "storage/version/version.h"

namespace bandb::storage {

// Iterators that are left until level 0 is compacted for their sake: when so many have merged level
// 0 with what lies below as would pay for compacting it, it is compacted, however few tables it has
// (LevelDB's seek compactions, for iterators alone: filters spare gets).
// Thread safety: any thread.
class ReadAllowance {
 public:
  void Renew(int64_t iterators) { left_.store(iterators, std::memory_order_relaxed); }
  // For each iterator. True for the one that uses it up.
  bool Take() { return left_.fetch_sub(1, std::memory_order_relaxed) == 1; }

 private:
  std::atomic<int64_t> left_{0};
};

// Thread safety: one thread at a time.
class CompactionSchedule {
 public:
  using Done = std::function<void(absl::Status)>;

  struct Situation {
    const Version* version = nullptr;
    // There is something to flush, and a flush may be begun; and whether a compaction may.
    bool may_flush = false;
    bool may_compact = true;
    // The disk is full: of compactions only those that drop tables as they are may be begun.
    bool only_drops = false;
    uint64_t next_file_number = 0;
    // As SpaceSituation has them; null: it is not asked.
    const SnapshotHorizon* horizon = nullptr;
    uint64_t now_ms = 0;
  };
  struct Work {
    enum class Kind : uint8_t { kNothing, kFlush, kCompaction, kManualDone };
    Kind kind = Kind::kNothing;
    Compaction compaction;
    // Of a CompactRange that has nothing left to do, or cannot go on.
    Done done;
    absl::Status status;
  };

  // At most so many of the picker's compactions run at a time.
  CompactionSchedule(const CompactionSettings& settings, int compactions_max)
      : settings_(settings), compactions_max_(compactions_max) {}

  // What is to be begun now; counts as running from here on. Asked until there is nothing.
  Work Next(const Situation& situation);
  void FlushEnded();
  // `goes_on`: a CompactRange that it is part of is not given up. Returns its Done if it is.
  // `again`: it has come to nothing, and what it was to do is still to be done.
  Done CompactionEnded(const Compaction& compaction, bool goes_on, bool again = false);

  // Tables within these bounds, internal keys, are to be put into the level that is returned; see
  // LowestLevelFor. No compaction begins to write there until EndHold.
  int BeginHold(const Version& version, std::string_view smallest, std::string_view largest);
  void EndHold(int level, std::string_view smallest, std::string_view largest);

  // Compacts what holds spaced keys of [begin, end], when its turn comes.
  void AddManual(std::string begin, std::string end, Done done);
  // Gives up every CompactRange of which nothing is running, and hands out its Done.
  void AbandonManual(std::vector<Done>* abandoned);

  // All tables have been replaced by others: what runs on them is not asked about again, and every
  // CompactRange is given up.
  void StartOver(std::vector<Done>* abandoned);

  // No compaction touches the table any more, which is in this level; the others go on around it.
  // `refused`: it is not known to be damaged, only that the operating system does not let it be
  // read. False if that was known.
  bool SetAside(uint64_t number, int level, bool refused);
  // What was dropped is not set aside any more.
  void NoteDropped(const Compaction& compaction);
  // What was set aside is tried again.
  void TakeBack() { set_aside_.clear(), running_.set_aside.clear(), ++take_backs_; }
  // The same for what was refused. True if there was any.
  bool TakeBackRefused();
  // What a compaction has found that began before the last of them may have been mended since.
  uint64_t take_backs() const { return take_backs_; }
  const std::set<uint64_t>& set_aside() const { return running_.set_aside; }
  // What the picker goes by.
  CompactionSettings settings() const;
  WritePressure Pressure(const Version& version) const;

  // Iterators have paid for a compaction of level 0.
  void WantLevel0() { level0_wanted_ = true; }
  // There may be space to give back that there was not before: a snapshot is gone, or time has
  // passed.
  void WantSpace() { space_wanted_ = true; }
  bool wants_space() const { return space_wanted_; }
  // There is no room to give it back now.
  void PutOffSpace() { space_wanted_ = false; }
  // What there will be, as of the last look; complete if no more is wanted.
  const SpaceOutlook& space_outlook() const { return space_outlook_; }
  // Of that, the tables to be opened; given out once.
  std::vector<TablePtr> TakeUnread() { return std::exchange(space_outlook_.unread, {}); }
  // What iterators may do from now on: when level 0 gets its first table, and when a compaction has
  // taken tables out of it. The wish of those before is fulfilled.
  int64_t RenewAllowance(const Version& version);

  bool flush_running() const { return flush_running_; }
  int compactions_running() const { return compactions_running_; }

  // Errors: kInternal the members contradict each other, or the version.
  absl::Status CheckInvariants(const Version& version) const;

 private:
  struct Manual {
    std::string begin;  // spaced keys
    std::string end;
    Done done;
    bool begun = false;
    // Tables from this number on were written since it began.
    uint64_t first_new_number = 0;
    int level = 0;
    bool running = false;
    // What runs is a part of level 0, and the next one is to follow.
    bool is_part = false;
  };

  // The next compaction of the first CompactRange; its end; or nothing.
  Work NextManual(const Situation& situation);
  std::optional<Compaction> PickSpace(const Situation& situation);
  void StartCompaction(Compaction compaction, Work* work);

  const CompactionSettings settings_;
  const int compactions_max_;
  bool flush_running_ = false;
  int compactions_running_ = 0;
  size_t holds_ = 0;
  RunningCompactions running_;
  bool level0_wanted_ = false;
  // Nobody has looked since the version changed.
  bool space_wanted_ = true;
  SpaceOutlook space_outlook_;
  struct Aside {
    int level = 0;
    bool refused = false;
  };
  // By their numbers.
  std::map<uint64_t, Aside> set_aside_;
  uint64_t take_backs_ = 0;
  // One after the other.
  std::deque<Manual> manual_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_COMPACTION_COMPACTION_SCHEDULE_H_
